#include "runs/answer_sinks.hpp"

#include "base/text.hpp"
#include "fal/told_progress.hpp"

namespace falproxy::inline v0::runs {
namespace {

bool is_event_stream(const HttpHead& head) {
  const std::string_view type = head.headers.find("content-type").value_or("");
  return head.status >= 200 && head.status < 300 &&
         to_lower(type.substr(0, type.find(';'))).starts_with("text/event-stream");
}

// A model that fails in the middle of its stream, whose head is out by then, says so in an event of
// its own: the body that its answer would have had otherwise.
std::optional<int> status_told_by(std::string_view event) {
  constexpr std::size_t longest_failure = 64u << 10;
  if (event.size() > longest_failure) return std::nullopt;
  const Result<Json> json = Json::parse(event);
  if (!json) return std::nullopt;
  const std::optional<Json> detail = json->find("detail");
  if (!detail.has_value()) return std::nullopt;
  return detail->is_array() ? 422 : 500;
}

// False: it is too large, and nothing was appended.
bool append(CountedText& text, std::string_view bytes, std::size_t max) {
  if (bytes.size() > max - text.text().size()) return false;
  text.charge_room(bytes.size());
  text.text().append(bytes);
  return true;
}

}  // namespace

bool StatusStreamSink::head(HttpHead head) { return is_event_stream(head); }

bool StatusStreamSink::data(std::string_view bytes) {
  return limits_.allow(bytes) &&
         reader_.feed(bytes, [this](std::string_view text) { return on_event(text); });
}

bool StatusStreamSink::on_event(std::string_view text) {
  Result<fal::LoggedStatus> logged = fal::parse_logged_status(text);
  if (!logged) return true;
  const Action action = step_(event::StatusSaid{std::move(logged->status), logged->percent});
  if (action.kind == Action::Kind::keep_holding) return true;
  next_ = action;
  return false;
}

bool AnswerSink::head(HttpHead head) {
  head_ = std::move(head);
  return true;
}

bool AnswerSink::data(std::string_view bytes) {
  too_large_ = !append(text_, bytes, max_);
  return !too_large_;
}

bool ModelStreamSink::head(HttpHead head) {
  head_ = std::move(head);
  is_stream_ = is_event_stream(head_);
  if (is_stream_) on_head_(head_);
  return true;
}

bool ModelStreamSink::data(std::string_view bytes) {
  if (!limits_.allow(bytes)) return false;
  if (!is_stream_) return append(plain_, bytes, SIZE_MAX);
  const bool goes_on = reader_.feed(bytes, [this](std::string_view event) {
    if (last_ != nullptr && on_partial_) call([&] { on_partial_(std::move(last_)); });
    last_ = charged(std::string(event), memory_);
    return true;
  });
  too_large_ = !goes_on;
  return goes_on;
}

std::optional<TransportError> ModelStreamSink::fault() const {
  if (too_large_ || limits_.too_large())
    return TransportError{TransportFault::too_large, "too large", false};
  if (limits_.is_late()) return TransportError{TransportFault::timed_out, "too late", false};
  return std::nullopt;
}

event::Answered ModelStreamSink::answer() {
  if (!is_stream_) last_ = plain_.take();
  if (last_ == nullptr) last_ = std::make_shared<const std::string>();
  if (is_stream_) head_.status = status_told_by(*last_).value_or(head_.status);
  return {std::move(head_), std::move(last_)};
}

}  // namespace falproxy::inline v0::runs
