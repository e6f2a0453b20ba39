// span.hpp: the spans of a trace, and the one that runs on a fiber. A span's children find it by
// the fiber (Reactor::carried()), so that what lies between knows nothing of traces.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "falproxy/clock.hpp"

namespace falproxy::app {

class Tracer;

/// What the children of a span need to know of it, here and in other programs (W3C Trace Context).
struct SpanContext {
  std::array<std::uint64_t, 2> trace{};  ///< its id, never 0
  std::uint64_t span = 0;                ///< its id, never 0
  bool sampled = false;                  ///< else nothing is recorded
  std::string state = {};                ///< the field tracestate, as it came
  /// One moment by both clocks: the wall clock may jump, and times must nest all the same.
  WallTime wall_began = {};
  TimePoint began = {};
};

/// The fields `traceparent` and `tracestate` of a request. None: there is no traceparent, or it is
/// malformed.
[[nodiscard]] std::optional<SpanContext> parse_traceparent(std::string_view parent,
                                                           std::string_view state);
[[nodiscard]] std::string to_traceparent(const SpanContext& context);

enum class SpanKind { internal = 1, server = 2, client = 3 };  ///< the numbers are OTLP's

using AttributeValue = std::variant<std::string, std::int64_t, double, bool>;

/// A span that has ended.
struct SpanRecord {
  std::shared_ptr<const SpanContext> context;
  std::uint64_t parent = 0;  ///< 0: it has none
  SpanKind kind = SpanKind::internal;
  std::string name;
  TimePoint began, ended;
  std::vector<std::pair<std::string_view, AttributeValue>> attributes;  ///< names are literals
  bool failed = false;

  /// Memory that it holds, roughly.
  [[nodiscard]] std::size_t bytes() const noexcept;
};

/// A span that runs. Belongs to one fiber at a time. Nothing here throws: what there is no memory
/// for is left out.
class Span {
 public:
  Span(Tracer& tracer, SpanRecord record) noexcept;
  /// Ends it.
  ~Span();
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;

  [[nodiscard]] const std::shared_ptr<const SpanContext>& context() const noexcept {
    return record_.context;
  }
  /// `name`: a literal. A text is cut after longest_text bytes.
  void set(std::string_view name, AttributeValue value) noexcept;
  /// `type`: for the attribute error.type. A later one does not count.
  void fail(std::string_view type) noexcept;

  static constexpr std::size_t longest_text = 8u << 10;

 private:
  Tracer& tracer_;
  SpanRecord record_;
};

/// Of the running fiber; null: no trace is under way there.
[[nodiscard]] std::shared_ptr<const SpanContext> current_span() noexcept;

/// Makes a span the current one of its fiber, until it is destroyed there.
class EnteredSpan {
 public:
  explicit EnteredSpan(std::shared_ptr<const SpanContext> context) noexcept;
  ~EnteredSpan();
  EnteredSpan(const EnteredSpan&) = delete;
  EnteredSpan& operator=(const EnteredSpan&) = delete;

 private:
  std::shared_ptr<const void> before_;
};

}  // namespace falproxy::app
