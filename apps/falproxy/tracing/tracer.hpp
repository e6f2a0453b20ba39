// tracer.hpp: begins spans, and holds those that have ended until they are sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/bell.hpp"
#include "base/random.hpp"
#include "falproxy/clock.hpp"
#include "tracing/otel_settings.hpp"
#include "tracing/span.hpp"

namespace falproxy::app {

/// For metrics.
struct TraceStatus {
  std::uint64_t sent = 0;     ///< spans that the collector has taken
  std::uint64_t dropped = 0;  ///< spans that were lost: there was no room, or nobody took them
  std::size_t waiting = 0;
};

/// Thread-safe.
class Tracer {
 public:
  /// Of spans that wait, whatever their number.
  static constexpr std::size_t most_bytes = 8u << 20;

  /// `settings` name an endpoint.
  explicit Tracer(OtelSettings settings) : settings_(std::move(settings)) {}

  [[nodiscard]] const OtelSettings& settings() const noexcept { return settings_; }

  /// What a request's own span is to be: a child of its sender's, or the root of a new trace.
  [[nodiscard]] std::shared_ptr<const SpanContext> begin_trace(
      const std::optional<SpanContext>& sender);
  /// The span of that context; null: it is not sampled.
  [[nodiscard]] std::unique_ptr<Span> begin(std::shared_ptr<const SpanContext> context,
                                            std::uint64_t parent, SpanKind kind,
                                            std::string name) noexcept;
  /// A child; null: its parent is not sampled, or there is none.
  [[nodiscard]] std::unique_ptr<Span> begin_child(const std::shared_ptr<const SpanContext>& parent,
                                                  SpanKind kind, std::string_view name) noexcept;
  /// One that has ended. If there is no room, it is dropped.
  void take(SpanRecord record) noexcept;

  // For whoever sends them.
  /// Until a batch is full, flush(), `until` or a stop.
  void wait(Clock& clock, TimePoint until, const std::stop_token& stop);
  /// The oldest, a batch at most. They count as waiting until sent() or lost().
  [[nodiscard]] std::vector<SpanRecord> take_batch();
  void sent(std::size_t spans) noexcept;
  void lost(std::size_t spans) noexcept;
  /// What waits is to be sent at once.
  void flush();

  [[nodiscard]] TraceStatus status() const;

 private:
  [[nodiscard]] std::uint64_t new_id() noexcept;
  [[nodiscard]] bool is_sampled(const std::optional<SpanContext>& sender,
                                std::uint64_t low_half) const noexcept;

  const OtelSettings settings_;
  Random random_;
  mutable std::mutex mutex_;
  Bell filled_;
  std::deque<SpanRecord> waiting_;
  std::size_t bytes_ = 0;  // of waiting_
  std::size_t being_sent_ = 0;
  bool flush_ = false;
  TraceStatus counts_;  // but for `waiting`
};

}  // namespace falproxy::app
