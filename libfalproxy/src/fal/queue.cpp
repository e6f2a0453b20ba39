#include <algorithm>

#include "base/text.hpp"
#include "fal/told_progress.hpp"
#include "falproxy/fal.hpp"
#include "json/access.hpp"

namespace falproxy::inline v0::fal {
namespace {

using Raw = nlohmann::json;

Error not_the_queue(std::string message) {
  return Error{ErrorKind::upstream_failed,
               "fal's queue gave an answer that is not its own: " + std::move(message)};
}

// A request id becomes part of addresses and headers.
bool is_plain_id(std::string_view id) noexcept {
  return !id.empty() && id.size() <= 128 && id != "." && id != ".." &&
         std::ranges::all_of(id, [](char c) {
           return is_alnum(c) || c == '-' || c == '_' || c == '.' || c == ':';
         });
}

std::optional<int> queue_position(const Raw& object) {
  const Raw* member = member_of(object, "queue_position");
  if (member == nullptr) return std::nullopt;
  const std::optional<std::int64_t> position = as_integer(*member);
  if (!position.has_value() || *position < 0 || *position > 1'000'000'000) return std::nullopt;
  return static_cast<int>(*position);
}

QueueState state_of(std::string_view status) noexcept {
  if (status == "IN_QUEUE") return QueueState::in_queue;
  if (status == "IN_PROGRESS") return QueueState::in_progress;
  if (status == "COMPLETED") return QueueState::completed;
  return QueueState::unknown;
}

// `error` is text; whatever else it may be is shown as JSON. null, "" and false are no error.
std::optional<std::string> error_of(const Raw& object, std::string_view name) {
  const Raw* member = member_of(object, name);
  if (member == nullptr || *member == false) return std::nullopt;
  if (!member->is_string()) return dump_raw(*member);
  std::string text = member->get<std::string>();
  return text.empty() ? std::nullopt : std::optional(std::move(text));
}

// What a model has printed since long does not tell how far it is now.
constexpr std::size_t newest_lines = 32;

std::optional<int> percent_of(const Raw& object) {
  const Raw* logs = member_of(object, "logs");
  if (logs == nullptr || !logs->is_array()) return std::nullopt;
  std::size_t left = newest_lines;
  for (auto line = logs->rbegin(); line != logs->rend() && left > 0; ++line, --left) {
    const Raw* message = member_of(*line, "message");
    if (message == nullptr || !message->is_string()) continue;
    const std::optional<int> percent = percent_of_line(message->get_ref<const std::string&>());
    if (percent) return percent;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Submitted> submitted_as(std::string_view request_id, const EndpointId& endpoint,
                                      std::string_view base) {
  if (!is_plain_id(request_id)) return std::nullopt;
  Submitted job;
  job.request_id = request_id;
  job.response_url.append(base).append("/").append(endpoint.app()).append("/requests/");
  job.response_url.append(percent_encode(request_id));
  job.status_url = job.response_url + "/status";
  job.cancel_url = job.response_url + "/cancel";
  return job;
}

Result<Submitted> parse_submitted(std::string_view body, const EndpointId& endpoint,
                                  std::string_view base) {
  const Result<Raw> json = parse_raw(body);
  if (!json || !json->is_object())
    return not_the_queue("a JSON object was expected after a submit");
  std::optional<Submitted> job = submitted_as(text_of(*json, "request_id"), endpoint, base);
  if (!job.has_value()) return not_the_queue("it holds no request_id");
  job->queue_position = queue_position(*json);

  const std::optional<Url> queue = Url::parse(base);
  const auto take = [&](std::string_view name, std::string& url) {
    std::string given = text_of(*json, name);
    if (queue.has_value() && is_of_queue(given, *queue)) url = std::move(given);
  };
  take("status_url", job->status_url);
  take("response_url", job->response_url);
  take("cancel_url", job->cancel_url);
  return *std::move(job);
}

CancelAnswer parse_cancel(const HttpHead& head, std::string_view body) {
  const Result<Raw> json = parse_raw(body);
  const std::string word = json ? text_of(*json, "status") : std::string();
  if (word == "ALREADY_COMPLETED") return CancelAnswer::already_completed;
  if (word == "NOT_FOUND" || head.status == 404) return CancelAnswer::not_found;
  return head.status >= 200 && head.status < 300 ? CancelAnswer::taken : CancelAnswer::unclear;
}

Result<QueueStatus> parse_status(std::string_view body) {
  Result<LoggedStatus> logged = parse_logged_status(body);
  if (!logged) return std::move(logged).error();
  return std::move(logged->status);
}

Result<LoggedStatus> parse_logged_status(std::string_view body) {
  const Result<Raw> json = parse_raw(body);
  if (!json || !json->is_object()) return not_the_queue("a JSON object was expected as a status");
  const Raw* word = member_of(*json, "status");
  if (word == nullptr || !word->is_string()) return not_the_queue("it holds no status");
  LoggedStatus logged;
  QueueStatus& status = logged.status;
  status.state = state_of(word->get_ref<const std::string&>());
  status.queue_position = queue_position(*json);
  const Raw* metrics = member_of(*json, "metrics");
  const Raw* seconds = metrics == nullptr ? nullptr : member_of(*metrics, "inference_time");
  if (seconds != nullptr && seconds->is_number() && seconds->get<double>() >= 0.0)
    status.inference_seconds = seconds->get<double>();
  status.error = error_of(*json, "error");
  status.error_type = error_of(*json, "error_type");
  if (status.state == QueueState::in_progress) logged.percent = percent_of(*json);
  return logged;
}

}  // namespace falproxy::inline v0::fal
