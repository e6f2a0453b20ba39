#include "server/server.hpp"

#include <algorithm>
#include <array>
#include <random>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "configuration.hpp"
#include "connection/http_text.hpp"
#include "playground.hpp"
#include "server/images.hpp"
#include "server/operator_tasks.hpp"

namespace falproxy::app {
namespace {

constexpr std::string_view json_type = "Content-Type: application/json\r\n";

Piece text_piece(std::string text) {
  auto owner = std::make_shared<const std::string>(std::move(text));
  const std::string_view bytes = *owner;
  return {std::move(owner), bytes};
}

std::uint64_t random_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

RateLimiter::Limits limits_of(const Settings& settings) {
  return {.rate = settings.rate_limit, .max_in_flight_per_key = settings.max_in_flight_per_key};
}

// `Bearer KEY` in any case, `Key KEY`, or the key alone.
std::string_view without_scheme(std::string_view value) noexcept {
  const std::size_t blank = std::min(value.find_first_of(" \t"), value.size());
  for (const std::string_view scheme : {"bearer", "key"}) {
    if (equal_ignoring_case(value.substr(0, blank), scheme)) return trim(value.substr(blank));
  }
  return value;
}

std::string media_type(const RequestHead& head) {
  const std::string_view value = head.find("content-type").value_or("");
  return to_lower(trim(value.substr(0, value.find(';'))));
}

// What can be told to be wrong with an image request before its body is read.
std::optional<Error> fault_of_body(const RequestHead& head, const Route& route,
                                   const Settings& settings) {
  const std::string type = media_type(head);
  const bool form = type == "multipart/form-data";
  const bool takes_form = route.id != RouteId::generations;
  const std::string encoding = to_lower(head.find("content-encoding").value_or("identity"));
  if (encoding != "identity") {
    return Error{.kind = ErrorKind::unsupported_content_type,
                 .message = "The body is compressed; send it without Content-Encoding."};
  }
  // A body without a type is taken for JSON: the endpoint has no other, and whoever forgets the
  // type means it.
  if (!type.empty() && type != "application/json" && !(form && takes_form)) {
    return Error{
        .kind = ErrorKind::unsupported_content_type,
        .message = fmt::format(
            "Unsupported content type: '{}'. {} takes {}.", type, route.name,
            takes_form ? "multipart/form-data or application/json"
                       : "application/json; with curl, add -H 'Content-Type: application/json'")};
  }
  const std::size_t limit =
      form ? settings.max_body_bytes : std::min(settings.max_body_bytes, max_json_bytes);
  if (head.content_length.value_or(0) > limit) {
    return Error{.kind = ErrorKind::body_too_large,
                 .message = fmt::format("Maximum content size limit ({}) exceeded ({} bytes).",
                                        limit, *head.content_length)};
  }
  return std::nullopt;
}

// Uploads, masks and long bodies are worked on for milliseconds, in which a fiber's neighbours
// would stand still.
bool brings_little(const RequestHead& head, const Route& route) {
  constexpr std::uint64_t little = 64u << 10;
  return route.id == RouteId::generations && head.content_length.value_or(little + 1) <= little;
}

}  // namespace

Rules::Rules(Settings from)
    : settings(std::move(from)),
      limits(request_limits(settings)),
      cors(settings.cors_allow_origins) {}

Result<std::string> check_access(const RequestHead& head, const std::vector<AccessKey>& keys) {
  std::array<std::string_view, 3> candidates;
  std::size_t count = 0;
  for (const std::string_view name : {"authorization", "x-api-key", "api-key"}) {
    const std::string_view value = without_scheme(trim(head.find(name).value_or("")));
    if (!value.empty()) candidates[count++] = value;
  }
  if (count == 0) {
    return Error{.kind = ErrorKind::missing_access_key,
                 .message =
                     "You didn't provide an access key. Provide it in an Authorization header "
                     "using Bearer auth "
                     "(i.e. Authorization: Bearer YOUR_KEY)."};
  }
  const AccessKey* right = nullptr;
  for (const AccessKey& key : keys) {
    for (std::size_t i = 0; i < count; ++i) {
      if (key.key.matches(candidates[i])) right = &key;
    }
  }
  if (right == nullptr) {
    return Error{
        .kind = ErrorKind::invalid_access_key,
        .message =
            "Incorrect access key provided. Ask the operator of this server for the right one."};
  }
  return right->name;
}

struct Server::Asked {
  const RequestHead* head;  // null where it could not be read
  std::shared_ptr<const Rules> rules;
  std::string request_id;
  RouteMatch match = {};
  std::string path = {};

  [[nodiscard]] RouteId id() const noexcept {
    return match.route == nullptr ? RouteId::unknown : match.route->id;
  }
};

Server::Server(Parts parts, Settings settings)
    : parts_(std::move(parts)),
      started_(std::chrono::system_clock::now()),
      ids_(random_seed()),
      limiter_(limits_of(settings)),
      body_memory_(settings.max_body_memory),
      rules_(std::make_shared<const Rules>(std::move(settings))),
      models_(ModelList::make(parts_.catalog, started_)) {}

std::shared_ptr<const Rules> Server::rules() const {
  const std::lock_guard lock(mutex_);
  return rules_;
}

std::shared_ptr<const ModelList> Server::model_list() const {
  const std::lock_guard lock(mutex_);
  return models_;
}

void Server::reload(Settings settings) {
  limiter_.reload(limits_of(settings));
  body_memory_.set_limit(settings.max_body_memory);
  auto rules = std::make_shared<const Rules>(std::move(settings));
  {
    const std::lock_guard lock(mutex_);
    rules_ = std::move(rules);
  }
  refresh_models();
}

void Server::refresh_models() {
  if (!model_list()->is_outdated(parts_.catalog)) return;
  std::shared_ptr<const ModelList> list = ModelList::make(parts_.catalog, started_);
  const std::lock_guard lock(mutex_);
  models_ = std::move(list);
}

Gauges Server::gauges() const {
  Gauges gauges = parts_.gauges();
  gauges.now = std::chrono::system_clock::now();
  gauges.uptime = std::chrono::floor<Seconds>(gauges.now - started_);
  gauges.in_flight = in_flight_.load();
  gauges.body_memory = body_memory_.used();
  return gauges;
}

std::unique_ptr<Task> Server::receive(const RequestHead& head, Reply& reply) {
  Asked asked{.head = &head, .rules = rules(), .request_id = ids_.of(&head)};
  if (head.method == "OPTIONS") {
    reply.status = 204;
    asked.rules->cors.append(reply.fields, &head);
    asked.rules->cors.append_preflight(reply.fields, head);
    append_field(reply.fields, "x-request-id", asked.request_id);
    return nullptr;
  }
  asked.path = normal_path(head.path());
  asked.match = find_route(head.method, asked.path);
  std::unique_ptr<Task> task = answer(asked, reply);
  if (head.method == "HEAD") reply.body = {};
  // Health checks and lists of models would fill the log: they are counted, and shown with
  // DEBUG_MODE.
  if (task == nullptr && reply.status < 400 && parts_.log.wants(LogLevel::debug)) {
    parts_.log.request({.time = std::chrono::system_clock::now(),
                        .request_id = asked.request_id,
                        .route = route_name(asked.id()),
                        .status = reply.status,
                        .answer_bytes = reply.body.bytes.size()});
  }
  return task;
}

std::unique_ptr<Task> Server::answer(const Asked& asked, Reply& reply) {
  const Settings& settings = asked.rules->settings;
  const Route* const route = asked.match.route;
  if (route == nullptr && !asked.match.path_known) {
    return fail(
        asked,
        Error{.kind = ErrorKind::unknown_url,
              .message = fmt::format("Unknown request URL: {} {}. Please check the URL for typos.",
                                     asked.head->method, asked.head->path().substr(0, 200))},
        reply);
  }
  if (route == nullptr) {
    append_field(reply.fields, "Allow", allowed_methods(asked.path));
    return fail(asked,
                Error{.kind = ErrorKind::method_not_allowed,
                      .message = fmt::format(
                          "Not allowed to {} on {}. (HINT: Perhaps you meant to use a different "
                          "HTTP method?)",
                          asked.head->method, asked.head->path().substr(0, 200))},
                reply);
  }
  const bool open_list =
      settings.public_models && (route->id == RouteId::models || route->id == RouteId::model);
  if (route->needs_key && !open_list) {
    // Image requests are checked where they begin: their limits go by the key's name.
    if (route->method == "POST") return begin_image_request(asked, reply);
    if (const Result<std::string> client = check_access(*asked.head, settings.access_keys);
        !client) {
      return fail(asked, client.error(), reply);
    }
  }
  switch (route->id) {
    case RouteId::health:
      return give(asked, {nullptr, R"({"status":"ok"})"}, reply);
    case RouteId::ready:
      return give_readiness(asked, reply);
    case RouteId::models:
      return give(asked, model_list()->all(), reply);
    case RouteId::model:
      return give_model(asked, reply);
    case RouteId::page:
      return give_page(asked, reply);
    case RouteId::metrics:
    case RouteId::status: {
      std::string fields;
      asked.rules->cors.append(fields, asked.head);
      append_field(fields, "x-request-id", asked.request_id);
      return make_operator_task(*this, route->id, std::move(fields));
    }
    case RouteId::generations:
    case RouteId::edits:
    case RouteId::variations:
    case RouteId::unknown:
      break;
  }
  return fail(asked, Error{.kind = ErrorKind::internal, .message = "No one answers this route."},
              reply);
}

std::unique_ptr<Task> Server::give(const Asked& asked, const Piece& body, Reply& reply) {
  reply.fields.append(json_type);
  append_field(reply.fields, "Content-Length", std::to_string(body.bytes.size()));
  append_field(reply.fields, "x-request-id", asked.request_id);
  asked.rules->cors.append(reply.fields, asked.head);
  reply.body = body;
  parts_.metrics.count_reply(asked.id(), reply.status);
  return nullptr;
}

std::unique_ptr<Task> Server::fail(const Asked& asked, const Error& error, Reply& reply) {
  ErrorAnswer answer = error_answer(error);
  reply.status = answer.status;
  reply.fields.append(answer.fields);
  give(asked, text_piece(std::move(answer.body)), reply);
  parts_.log.request({.time = std::chrono::system_clock::now(),
                      .request_id = asked.request_id,
                      .route = route_name(asked.id()),
                      .status = answer.status,
                      .error_code = std::move(answer.code),
                      .error_message = error.message,
                      .answer_bytes = reply.body.bytes.size()});
  return nullptr;
}

void Server::refuse(const RequestHead* head, const Error& error, Reply& reply) {
  static_cast<void>(
      fail({.head = head, .rules = rules(), .request_id = ids_.of(head)}, error, reply));
}

std::unique_ptr<Task> Server::give_readiness(const Asked& asked, Reply& reply) {
  const auto accounts = parts_.keys.status(std::chrono::steady_clock::now());
  const bool account = std::ranges::any_of(accounts, [](const AccountStatus& status) {
    return status.state == AccountStatus::State::ready;
  });
  std::string_view missing;
  if (model_list()->usable() == 0) missing = "no model's document is there yet";
  if (!account) missing = "no fal account is usable";
  if (draining()) missing = "the server is stopping";
  if (missing.empty()) return give(asked, {nullptr, R"({"status":"ok"})"}, reply);
  reply.status = 503;
  return give(asked,
              text_piece(fmt::format(R"({{"status":"unavailable","reason":"{}"}})", missing)),
              reply);
}

std::unique_ptr<Task> Server::give_model(const Asked& asked, Reply& reply) {
  const std::shared_ptr<const ModelList> list = model_list();
  if (const Piece* model = list->find(asked.match.rest)) return give(asked, *model, reply);
  // With ALLOW_ANY_MODEL an endpoint's id is a model, too.
  if (const Result<CatalogModel> model = parts_.catalog.find(asked.match.rest)) {
    return give(asked, plain_model(*model, started_), reply);
  }
  return fail(asked,
              Error{.kind = ErrorKind::model_not_found,
                    .message = fmt::format("The model '{}' does not exist",
                                           asked.match.rest.substr(0, 200)),
                    .field = "model"},
              reply);
}

std::unique_ptr<Task> Server::give_page(const Asked& asked, Reply& reply) {
  const auto header = [&](std::string_view name) { return asked.head->find(name).value_or(""); };
  append_field(reply.fields, "x-request-id", asked.request_id);
  asked.rules->cors.append(reply.fields, asked.head);
  if (asked.path == "/" && asked.rules->settings.playground) {
    reply.status = 302;
    reply.fields.append("Location: /playground\r\nContent-Length: 0\r\n");
    return nullptr;
  }
  PlaygroundAnswer page;
  if (asked.rules->settings.playground) {
    page = playground_answer(asked.path, header("accept-encoding"), header("if-none-match"));
  }
  if (page.status == 404) {
    reply.fields.clear();
    return fail(
        asked,
        Error{.kind = ErrorKind::unknown_url,
              .message = fmt::format("Unknown request URL: {} {}. The API is below /v1.",
                                     asked.head->method, asked.head->path().substr(0, 200))},
        reply);
  }
  reply.status = page.status;
  reply.body = {nullptr, page.body};
  append_field(reply.fields, "ETag", page.etag);
  append_field(reply.fields, "Cache-Control", "no-cache");
  append_field(reply.fields, "Vary", "Accept-Encoding");
  append_field(reply.fields, "Content-Security-Policy", content_security_policy);
  append_field(reply.fields, "X-Content-Type-Options", "nosniff");
  append_field(reply.fields, "Referrer-Policy", "no-referrer");
  if (page.status == 200) {
    append_field(reply.fields, "Content-Type", page.content_type);
    append_field(reply.fields, "Content-Length", std::to_string(page.body.size()));
    if (page.gzip) append_field(reply.fields, "Content-Encoding", "gzip");
  }
  parts_.metrics.count_reply(asked.id(), reply.status);
  return nullptr;
}

std::unique_ptr<Task> Server::begin_image_request(const Asked& asked, Reply& reply) {
  const Settings& settings = asked.rules->settings;
  Result<std::string> client = check_access(*asked.head, settings.access_keys);
  if (!client) return fail(asked, client.error(), reply);
  if (const auto fault = fault_of_body(*asked.head, *asked.match.route, settings))
    return fail(asked, *fault, reply);
  if (draining()) {
    return fail(asked, Error{.kind = ErrorKind::overloaded, .message = "The server is stopping."},
                reply);
  }
  InFlight in_flight(in_flight_);
  if (in_flight_.load() > settings.max_in_flight) {
    return fail(
        asked,
        Error{.kind = ErrorKind::overloaded,
              .message = fmt::format("The server has {} requests in flight, and takes no more.",
                                     settings.max_in_flight)},
        reply);
  }
  RateLimiter::Permit permit;
  if (asked.head->find("x-falproxy-explain").value_or("") != "1") {
    Result<RateLimiter::Permit> admitted =
        limiter_.admit(*client, std::chrono::steady_clock::now(), reply.fields);
    if (!admitted) return fail(asked, admitted.error(), reply);
    permit = std::move(admitted).value();
  }
  std::string common;
  asked.rules->cors.append(common, asked.head);
  append_field(common, "x-request-id", asked.request_id);
  common.append(permit.fields());
  return std::make_unique<ImageTask>(
      *this, ImageTask::Admission{.route = asked.match.route,
                                  .rules = asked.rules,
                                  .request_id = asked.request_id,
                                  .client = std::move(client).value(),
                                  .common_fields = std::move(common),
                                  .in_flight = std::move(in_flight),
                                  .permit = std::move(permit),
                                  .mostly_waits = brings_little(*asked.head, *asked.match.route)});
}

}  // namespace falproxy::app
