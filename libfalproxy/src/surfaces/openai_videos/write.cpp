#include <chrono>
#include <cmath>

#include "falproxy/openai.hpp"
#include "falproxy/openai_videos.hpp"
#include "json/access.hpp"

namespace falproxy::inline v0::openai {
namespace {

using nlohmann::ordered_json;

std::int64_t seconds(WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
}

// The four words that clients know.
std::string_view status_of(RunPhase phase) {
  switch (phase) {
    case RunPhase::queued:
    case RunPhase::in_progress:
    case RunPhase::completed:
    case RunPhase::failed:
      return name_of(phase);
    case RunPhase::cancelled:
      break;
  }
  return name_of(RunPhase::failed);
}

template <class T>
ordered_json or_null(const std::optional<T>& value) {
  return value.has_value() ? ordered_json(*value) : ordered_json();
}

// Of 5.04 seconds, which are frames of so many, 5.
ordered_json whole(const std::optional<double>& length) {
  if (!length.has_value()) return nullptr;
  return std::to_string(std::max(1L, std::lround(*length)));
}

std::string dumped(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

ordered_json video_of(const RunStatus& status) {
  const RunRecord& record = status.record;
  const bool ended = status.phase == RunPhase::completed || status.error.has_value();
  ordered_json video{
      {"id", video_id(record.id)},
      {"object", "video"},
      {"model", record.requested_model.empty() ? record.served_model : record.requested_model},
      {"status", status_of(status.phase)},
      {"progress", status.progress},
      {"created_at", seconds(record.created)},
      {"completed_at", ended ? ordered_json(seconds(record.changed)) : ordered_json()},
      {"expires_at", ended ? ordered_json(seconds(record.expires)) : ordered_json()},
      {"prompt", or_null(record.prompt)},
      {"size", or_null(status.size)},
      {"seconds", whole(status.seconds)},
      {"remixed_from_video_id", nullptr},
      {"error", nullptr}};
  if (const Result<nlohmann::json> details = parse_raw(status.details); details) {
    if (const std::string source = text_of(*details, "remixed_from_video_id"); !source.empty())
      video["remixed_from_video_id"] = source;
  }
  if (status.error.has_value()) {
    video["error"] = {{"code", describe(status.error->kind).code},
                      {"message", status.error->message}};
  }
  if (const std::optional<Usd> cost = cost_of(record))
    video["falproxy"] = {{"cost_usd", cost->to_string()}};
  if (!status.products.empty()) video["url"] = status.products.front().content.str();
  return video;
}

}  // namespace

std::string write_video(const RunStatus& status) { return dumped(video_of(status)); }

std::string write_videos(const std::vector<RunStatus>& runs, bool has_more) {
  ordered_json page{{"object", "list"}, {"data", ordered_json::array()}};
  for (const RunStatus& status : runs) page["data"].push_back(video_of(status));
  const auto id_of = [&](bool first) {
    if (runs.empty()) return ordered_json();
    return ordered_json(video_id((first ? runs.front() : runs.back()).record.id));
  };
  page["first_id"] = id_of(true);
  page["last_id"] = id_of(false);
  page["has_more"] = has_more;
  return dumped(page);
}

std::string write_deleted_video(const RunId& id) {
  return dumped({{"id", video_id(id)}, {"object", "video.deleted"}, {"deleted", true}});
}

}  // namespace falproxy::inline v0::openai
