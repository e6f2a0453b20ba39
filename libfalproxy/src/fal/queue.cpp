#include <algorithm>

#include "base/text.hpp"
#include "falproxy/fal.hpp"
#include "json/access.hpp"

namespace falproxy::fal {
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

}  // namespace

Result<Submitted> parse_submitted(std::string_view body, const EndpointId& endpoint,
                                  std::string_view base) {
  const Result<Raw> json = parse_raw(body);
  if (!json || !json->is_object())
    return not_the_queue("a JSON object was expected after a submit");
  Submitted job;
  job.request_id = text_of(*json, "request_id");
  if (!is_plain_id(job.request_id)) return not_the_queue("it holds no request_id");
  job.queue_position = queue_position(*json);

  const std::optional<Url> queue = Url::parse(base);
  const auto take = [&](std::string_view name, std::string_view suffix, std::string& url) {
    url = text_of(*json, name);
    if (url.empty()) {
      url.append(base).append("/").append(endpoint.app()).append("/requests/");
      url.append(percent_encode(job.request_id)).append(suffix);
    }
    return queue.has_value() && same_origin(url, *queue);
  };
  if (take("status_url", "/status", job.status_url) && take("response_url", "", job.response_url) &&
      take("cancel_url", "/cancel", job.cancel_url)) {
    return job;
  }
  Error error{ErrorKind::upstream_untrusted_url,
              "fal's queue named an address that is not on the configured queue host; the key was "
              "not sent there."};
  error.submitted = true;
  error.fal_request_id = job.request_id;
  return error;
}

Result<QueueStatus> parse_status(std::string_view body) {
  const Result<Raw> json = parse_raw(body);
  if (!json || !json->is_object()) return not_the_queue("a JSON object was expected as a status");
  const Raw* word = member_of(*json, "status");
  if (word == nullptr || !word->is_string()) return not_the_queue("it holds no status");
  QueueStatus status;
  status.state = state_of(word->get_ref<const std::string&>());
  status.queue_position = queue_position(*json);
  const Raw* metrics = member_of(*json, "metrics");
  const Raw* seconds = metrics == nullptr ? nullptr : member_of(*metrics, "inference_time");
  if (seconds != nullptr && seconds->is_number() && seconds->get<double>() >= 0.0)
    status.inference_seconds = seconds->get<double>();
  status.error = error_of(*json, "error");
  status.error_type = error_of(*json, "error_type");
  return status;
}

}  // namespace falproxy::fal
