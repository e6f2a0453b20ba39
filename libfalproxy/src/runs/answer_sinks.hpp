// answer_sinks.hpp: what takes in fal's answers to a job's requests as they come.
#pragma once

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "falproxy/clock.hpp"
#include "falproxy/fal.hpp"
#include "falproxy/memory_budget.hpp"
#include "falproxy/transport.hpp"
#include "runs/driver.hpp"
#include "runs/job.hpp"

namespace falproxy::inline v0::runs {

/// Calls a listener. A job that is paid for goes on, whatever the listener throws.
void call(std::invocable auto&& listener) noexcept {
  try {
    listener();
  } catch (...) {
  }
}

/// What a stream may take in time and bytes. A stream that never pauses leaves nobody else the time
/// to look at the clock.
class StreamLimits {
 public:
  StreamLimits(const Clock& clock, TimePoint deadline, std::size_t max_bytes)
      : clock_(clock), deadline_(deadline), left_(max_bytes) {}

  [[nodiscard]] bool allow(std::string_view bytes) {
    too_large_ = too_large_ || bytes.size() > left_;
    if (too_large_ || is_late()) return false;
    left_ -= bytes.size();
    return true;
  }
  [[nodiscard]] bool too_large() const noexcept { return too_large_; }
  [[nodiscard]] bool is_late() const { return clock_.now() >= deadline_; }

 private:
  const Clock& clock_;
  const TimePoint deadline_;
  std::size_t left_;
  bool too_large_ = false;
};

/// Steps the job with each event of its status stream, until the job wants something else.
class StatusStreamSink final : public ResponseSink {
 public:
  using Step = std::function<Action(event::StatusSaid)>;
  /// `step` outlives it.
  StatusStreamSink(const Step& step, StreamLimits limits) : step_(step), limits_(limits) {}

  bool head(HttpHead head) override;
  bool data(std::string_view bytes) override;
  /// What the job wants now; none: the stream ended before it wanted anything else.
  [[nodiscard]] const std::optional<Action>& next() const noexcept { return next_; }

 private:
  bool on_event(std::string_view text);

  const Step& step_;
  StreamLimits limits_;
  fal::EventStreamReader reader_;
  std::optional<Action> next_;
};

/// A whole answer, counted as it comes.
class AnswerSink final : public ResponseSink {
 public:
  AnswerSink(MemoryBudget* memory, std::size_t max_bytes) : text_(memory), max_(max_bytes) {}

  bool head(HttpHead head) override;
  bool data(std::string_view bytes) override;
  [[nodiscard]] bool too_large() const noexcept { return too_large_; }
  [[nodiscard]] HttpHead take_head() noexcept { return std::move(head_); }
  [[nodiscard]] std::shared_ptr<const std::string> take_body() { return text_.take(); }

 private:
  HttpHead head_;
  CountedText text_;
  const std::size_t max_;
  bool too_large_ = false;
};

/// A model's own stream: the last event is the result, those before it are partial pictures. An
/// answer that is no stream is kept whole.
class ModelStreamSink final : public ResponseSink {
 public:
  using OnHead = std::function<void(const HttpHead&)>;
  /// `on_partial` outlives it.
  ModelStreamSink(MemoryBudget* memory, StreamLimits limits, std::size_t max_event_bytes,
                  const OnPartial& on_partial, OnHead on_head)
      : memory_(memory),
        limits_(limits),
        reader_(max_event_bytes),
        on_partial_(on_partial),
        on_head_(std::move(on_head)) {}

  bool head(HttpHead head) override;
  bool data(std::string_view bytes) override;
  /// Why there is no answer though the transport has no fault; none: there is one.
  [[nodiscard]] std::optional<TransportError> fault() const;
  [[nodiscard]] event::Answered answer();

 private:
  MemoryBudget* const memory_;
  StreamLimits limits_;
  fal::EventStreamReader reader_;
  const OnPartial& on_partial_;
  const OnHead on_head_;
  HttpHead head_;
  bool is_stream_ = false, too_large_ = false;
  CountedText plain_{memory_};
  std::shared_ptr<const std::string> last_;
};

}  // namespace falproxy::inline v0::runs
