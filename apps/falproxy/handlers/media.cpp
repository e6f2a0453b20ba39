// Kept files: the files themselves, and what is known of them.

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "base/fmt.hpp"
#include "base/unix_time.hpp"
#include "file_answer.hpp"
#include "handlers/handlers.hpp"
#include "later.hpp"
#include "media_store/media_keeper.hpp"
#include "paging.hpp"

namespace falproxy::app {

using nlohmann::ordered_json;
using serving::Response;

namespace {

constexpr std::size_t usual_count = 20;
constexpr std::size_t most = 100;

Error not_found(std::string_view id) {
  return {.kind = ErrorKind::run_not_found,
          .message = fmt::format("There is no file '{}'.", id.substr(0, 100)),
          .field = "id"};
}

Error not_ready() {
  return {.kind = ErrorKind::overloaded,
          .message = "What is known of kept files cannot be read now. Try again.",
          .retry_after = Milliseconds(1000)};
}

Error not_kept() {
  return {.kind = ErrorKind::run_not_found,
          .message = "This server keeps no files: its operator has not set MEDIA_STORE."};
}

ordered_json described(const MediaRecord& record, const MediaLinks& links,
                       const std::string& origin) {
  ordered_json file{
      {"id", record.id.to_string()},
      {"object", "falproxy.media"},
      {"url", links.address(record, origin, std::chrono::system_clock::now())},
      {"status", name_of(record.state)},
      {"created_at", unix_seconds(record.created)},
      {"expires_at", record.expires == WallTime::max()
                         ? ordered_json()
                         : ordered_json(unix_seconds(record.expires))},
      {"model", record.model},
      {"type", record.content_type},
      {"size", record.state == MediaState::kept ? ordered_json(record.size) : ordered_json()},
      {"cost_usd", record.cost ? ordered_json(record.cost->to_string()) : ordered_json()},
      {"request_id", record.request_id},
      {"job", record.run ? ordered_json(job_id(*record.run)) : ordered_json()}};
  if (record.prompt) file["prompt"] = *record.prompt;
  return file;
}

Response answered(const ordered_json& json) {
  Response response =
      json_answer(json.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  serving::append_field(response.fields, "Cache-Control", "no-store");
  return response;
}

// Calls `answer` with the keeper, its links and the record that the address names.
template <class F>
Response with_record(Call& call, F&& answer) {
  MediaKeeper* const keeper = call.door.parts().media;
  if (keeper == nullptr) return call.fail(not_kept());
  const std::string_view name = call.request.parameter("id");
  const std::optional<RunId> id = RunId::parse(name);
  if (!id) return call.fail(not_found(name));
  const Result<std::optional<MediaRecord>> record =
      keeper->find(*id, call.caller.is_operator ? "" : call.caller.client);
  if (!record) return call.fail(record.error());
  if (!record->has_value()) return call.fail(not_found(name));
  const std::shared_ptr<const MediaLinks> links = keeper->links();
  if (links == nullptr) return call.fail(not_ready());
  return answer(*keeper, *links, **record);
}

// Whether the request may have the file: by its address, or as its owner.
std::optional<Response> refusal(Call& call, const MediaLinks& links, const MediaRecord& record) {
  const WallTime now = std::chrono::system_clock::now();
  if (links.opens(record.id, call.request.head().target, now)) return std::nullopt;
  const Result<Caller> known = call.rules->access.check(call.request.head(), now);
  if (known && (known->is_operator || known->client == record.owner)) return std::nullopt;
  if (known) return call.fail(not_found(record.id.to_string()));
  if (known.error().kind == ErrorKind::invalid_access_key ||
      links.place().access == MediaAccess::key)
    return call.door.wrong_key(call, known.error());
  return call.fail({.kind = ErrorKind::permission_denied,
                    .message = "The link has ended, or it is not whole. Its owner gets a new one "
                               "from GET /v1/falproxy/media/{id}."});
}

}  // namespace

std::string public_origin(const serving::RequestHead& head, const Settings& settings) {
  if (!settings.public_url.empty()) return settings.public_url;
  const std::string_view host = head.find("host").value_or("");
  constexpr std::string_view fine =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]";
  if (host.empty() || host.find_first_not_of(fine) != std::string_view::npos) return "";
  const bool is_https = head.find("x-forwarded-proto").value_or("") == "https";
  return fmt::format("{}://{}", is_https ? "https" : "http", host);
}

Response show_file(Call& call) {
  const std::string_view name = call.request.parameter("file");
  MediaKeeper* const keeper = call.door.parts().media;
  const std::optional<RunId> id = id_in_file_name(name);
  if (!id || keeper == nullptr) return call.fail(not_found(name));
  const std::shared_ptr<const MediaLinks> links = keeper->links();
  if (links == nullptr) return call.fail(not_ready());
  const Result<std::optional<MediaRecord>> record = keeper->find(*id);
  if (!record) return call.fail(record.error());
  // Who may not have it is not told either that it is there.
  const MediaRecord about = record->value_or(MediaRecord{.id = *id});
  if (std::optional<Response> refused = refusal(call, *links, about)) return *std::move(refused);
  if (!record->has_value()) return call.fail(not_found(name));
  std::optional<Response> file = file_answer(call, about, false);
  return file ? *std::move(file) : call.fail(not_found(name));
}

Response list_media(Call& call) {
  MediaKeeper* const keeper = call.door.parts().media;
  if (keeper == nullptr) return call.fail(not_kept());
  const std::shared_ptr<const MediaLinks> links = keeper->links();
  if (links == nullptr) return call.fail(not_ready());
  const Result<Page> page = page_of(call.request.head(), usual_count, most);
  if (!page) return call.fail(page.error());
  if (page->oldest_first) {
    return call.fail({.kind = ErrorKind::invalid_value,
                      .message = "'order' must be 'desc': the newest come first.",
                      .field = "order"});
  }
  std::optional<RunId> after = RunId::parse(page->after);
  if (!page->after.empty()) {
    const auto last = after ? keeper->find(*after, call.caller.client)
                            : Result<std::optional<MediaRecord>>(std::optional<MediaRecord>());
    if (!last) return call.fail(last.error());
    if (!last->has_value()) {
      return call.fail(
          {.kind = ErrorKind::invalid_value,
           .message = fmt::format("Invalid 'after': there is no '{}'.", page->after.substr(0, 100)),
           .field = "after"});
    }
  }
  Result<std::vector<MediaRecord>> records =
      keeper->list(call.caller.client, page->limit + 1, after);
  if (!records) return call.fail(records.error());
  const bool has_more = records->size() > page->limit;
  if (has_more) records->pop_back();
  const std::string origin = public_origin(call.request.head(), call.rules->settings);
  ordered_json data = ordered_json::array();
  for (const MediaRecord& record : *records) data.push_back(described(record, *links, origin));
  return answered({{"object", "list"}, {"data", std::move(data)}, {"has_more", has_more}});
}

Response show_media(Call& call) {
  return with_record(call, [&](MediaKeeper&, const MediaLinks& links, const MediaRecord& record) {
    return answered(
        described(record, links, public_origin(call.request.head(), call.rules->settings)));
  });
}

Response delete_media(Call& call) {
  return with_record(call, [&](MediaKeeper& keeper, const MediaLinks&, const MediaRecord& record) {
    if (const Result<Done> gone = keeper.remove(record); !gone) {
      return call.fail(
          {.kind = ErrorKind::overloaded, .message = "The file cannot be deleted now. Try again."});
    }
    return answered(
        {{"id", record.id.to_string()}, {"object", "falproxy.media.deleted"}, {"deleted", true}});
  });
}

}  // namespace falproxy::app
