#include "handlers/fal_target.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/executor.hpp"
#include "falproxy/fal.hpp"
#include "handlers/handlers.hpp"

namespace falproxy::app {
namespace {

using Kind = FalTarget::Kind;
using nlohmann::ordered_json;

enum class Host { queue, run, rest };

bool is_endpoint_of(const ModelRoute& model, std::string_view endpoint) {
  return model.endpoint == endpoint || model.edit_endpoint == endpoint;
}

bool is_configured(const Settings& settings, std::string_view endpoint) {
  return std::ranges::any_of(
      settings.models, [&](const ModelRoute& model) { return is_endpoint_of(model, endpoint); });
}

Error not_there(std::string_view path) {
  return {
      .kind = ErrorKind::unknown_url,
      .message = fmt::format("fal has nothing at '{}' that is served here.", path.substr(0, 200))};
}

Error wrong_method(std::string_view method) {
  return {.kind = ErrorKind::method_not_allowed,
          .message = fmt::format("fal does not take {} there.", method)};
}

bool is_request_id(std::string_view text) {
  return !text.empty() && text.size() <= 128 &&
         std::ranges::all_of(text, [](char c) { return is_alnum(c) || c == '-' || c == '_'; });
}

// `app/requests/ID...`
Result<FalTarget> job_target(std::string_view method, std::string_view path, std::size_t marker,
                             std::string_view rest) {
  struct Row {
    std::string_view tail, method;
    Kind kind;
  };
  constexpr std::array<Row, 5> rows = {{{"", "GET", Kind::result},
                                        {"/response", "GET", Kind::result},
                                        {"/status", "GET", Kind::status},
                                        {"/status/stream", "GET", Kind::status_stream},
                                        {"/cancel", "PUT", Kind::cancel}}};
  const Result<fal::EndpointId> app = fal::EndpointId::parse(path.substr(0, marker));
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  const auto* const row = std::ranges::find(rows, rest.substr(slash), &Row::tail);
  if (!app || row == rows.end() || !is_request_id(rest.substr(0, slash))) return not_there(path);
  if (method != row->method) return wrong_method(method);
  return FalTarget{.kind = row->kind, .request_id = std::string(rest.substr(0, slash))};
}

Result<FalTarget> queue_target(std::string_view method, std::string_view path) {
  constexpr std::string_view marker = "/requests/";
  if (const std::size_t at = path.find(marker); at != std::string_view::npos)
    return job_target(method, path, at, path.substr(at + marker.size()));
  const Result<fal::EndpointId> endpoint = fal::EndpointId::parse(path);
  if (!endpoint) return not_there(path);
  if (method != "POST") return wrong_method(method);
  return FalTarget{.kind = Kind::submit, .endpoint = std::string(path)};
}

// Some ids end with "/stream" themselves.
Result<FalTarget> run_target(const Settings& settings, std::string_view method,
                             std::string_view path) {
  constexpr std::string_view tail = "/stream";
  if (!fal::EndpointId::parse(path)) return not_there(path);
  if (method != "POST") return wrong_method(method);
  if (!path.ends_with(tail) || is_configured(settings, path))
    return FalTarget{.kind = Kind::run, .endpoint = std::string(path)};
  return FalTarget{.kind = Kind::stream,
                   .endpoint = std::string(path.substr(0, path.size() - tail.size()))};
}

// What falproxy lets through to fal's storage: where a file may be put, and not a token that would
// use the operator's account past every limit.
Result<FalTarget> rest_target(std::string_view method, std::string_view path) {
  if (path != "storage/upload/initiate" && path != "storage/upload/initiate-multipart") {
    return Error{.kind = ErrorKind::invalid_value,
                 .message =
                     "Invalid request: of https://rest.fal.ai the header x-fal-target-url "
                     "may name storage/upload/initiate and initiate-multipart alone.",
                 .field = "x-fal-target-url"};
  }
  if (method != "POST") return wrong_method(method);
  return FalTarget{.kind = Kind::upload};
}

// `path` without a slash before it; `query` with its '?'.
Result<FalTarget> target_at(const Call& call, Host host, std::string_view path,
                            std::string_view query) {
  const std::string_view method =
      call.request.head().method == "HEAD" ? "GET" : call.request.head().method;
  const Settings& settings = call.rules->settings;
  Result<FalTarget> target = host == Host::queue ? queue_target(method, path)
                             : host == Host::run ? run_target(settings, method, path)
                                                 : rest_target(method, path);
  if (!target) return target;
  const std::string& origin = host == Host::queue ? settings.fal_queue_url
                              : host == Host::run ? settings.fal_run_url
                                                  : settings.fal_rest_url;
  target->url = origin + "/" + std::string(path) + std::string(query);
  return target;
}

bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f && c != '\\'; });
}

std::string query_of(std::string_view target) {
  const std::size_t at = target.find('?');
  return at == std::string_view::npos ? std::string() : std::string(target.substr(at));
}

std::string with_addresses_at(const std::string& origin, const std::string& text) {
  auto answer = ordered_json::parse(text, nullptr, false);
  if (!answer.is_object()) return text;
  const std::string here = origin + "/fal/queue";
  for (const char* name : {"status_url", "response_url", "cancel_url"}) {
    const auto found = answer.find(name);
    if (found == answer.end() || !found->is_string()) continue;
    const std::string address = found->get<std::string>();
    const std::optional<Url> url = Url::parse(address);
    if (url) *found = here + url->target;
  }
  return answer.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace

Result<FalTarget> proxied_target(const Call& call) {
  constexpr std::array<std::pair<std::string_view, Host>, 3> hosts = {
      {{"https://queue.fal.run/", Host::queue},
       {"https://fal.run/", Host::run},
       {"https://rest.fal.ai/", Host::rest}}};
  constexpr std::size_t longest = 8192;
  const std::string_view address = call.field("x-fal-target-url");
  const auto* const row = std::ranges::find_if(
      hosts, [&](const auto& host) { return address.starts_with(host.first); });
  if (row == hosts.end() || !is_plain(address) || address.size() > longest ||
      address.find('#') != std::string_view::npos) {
    return Error{.kind = ErrorKind::invalid_value,
                 .message =
                     "Invalid request: the header x-fal-target-url names no address of "
                     "https://queue.fal.run, https://fal.run or https://rest.fal.ai.",
                 .field = "x-fal-target-url"};
  }
  const std::string_view rest = address.substr(row->first.size());
  return target_at(call, row->second, rest.substr(0, rest.find('?')), query_of(rest));
}

Result<FalTarget> target_below(const Call& call, bool is_run) {
  const std::string query = query_of(call.request.head().target);
  if (!is_plain(query)) return not_there("?");
  Result<FalTarget> target =
      target_at(call, is_run ? Host::run : Host::queue, call.request.parameter("rest"), query);
  if (target) target->is_below = true;
  return target;
}

std::optional<std::string> model_of(const Call& call, const FalTarget& target) {
  const Settings& settings = call.rules->settings;
  const auto may_use = [&](std::string_view model) {
    return call.rules->access.may_use(call.caller.client, model);
  };
  for (const ModelRoute& model : settings.models) {
    if (is_endpoint_of(model, target.endpoint) && may_use(model.name)) return model.name;
  }
  if (is_configured(settings, target.endpoint) || !settings.allow_any_model ||
      !may_use(target.endpoint))
    return std::nullopt;
  return target.endpoint;
}

std::string origin_of(const Call& call) {
  return public_origin(call.request.head(), call.rules->settings);
}

std::string event_at(const std::string& origin, std::string_view line) {
  constexpr std::string_view data = "data: ";
  if (!line.starts_with(data)) return std::string(line);
  return std::string(data) + with_addresses_at(origin, std::string(line.substr(data.size())));
}

std::string with_addresses_here(std::string text, const Call& call) {
  const std::string origin = origin_of(call);
  return run_by_size(call.door.parts().executor, text.size(),
                     [&] { return with_addresses_at(origin, text); });
}

}  // namespace falproxy::app
