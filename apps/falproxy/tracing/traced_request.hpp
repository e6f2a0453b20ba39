// traced_request.hpp: the span of a request, from its head to the last byte of its answer.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "falproxy/wish.hpp"
#include "log.hpp"
#include "serving/request.hpp"
#include "tracing/tracer.hpp"

namespace falproxy::app {

/// On the request's fiber, which has it as its current span from then on. `route`: its template.
void begin_request_span(Tracer& tracer, serving::Request& request, std::string_view route);
/// What is known of the answer once its head is.
void describe_answer(serving::Request& request, int status);
/// What is asked for; the prompt only with OTEL_CAPTURE_CONTENT. Nothing without a span.
void describe_wish(serving::Request& request, const Tracer* tracer, const Wish& wish);
/// What became of a run. Nothing without a span.
void describe_run(serving::Request& request, const RequestRecord& record, Medium makes);

/// A run that outlives its request: a span below `parent`, and the fiber's current one.
class TracedLaterRun {
 public:
  /// Nothing without a tracer, or without a parent.
  TracedLaterRun(Tracer* tracer, const std::shared_ptr<const SpanContext>& parent) noexcept;

 private:
  std::unique_ptr<Span> span_;
  std::optional<EnteredSpan> entered_;
};

}  // namespace falproxy::app
