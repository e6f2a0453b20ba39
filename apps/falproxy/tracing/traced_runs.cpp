#include "tracing/traced_runs.hpp"

#include <cstdint>
#include <string>
#include <utility>

#include "falproxy/runner.hpp"

namespace falproxy::app {
namespace {

class TracedStage final : public StageObserver {
 public:
  TracedStage(Tracer& tracer, std::unique_ptr<Span> span)
      : tracer_(tracer), span_(std::move(span)), entered_(span_->context()) {}

  void part(std::string_view name) override {
    part_ = nullptr;  // it ends before the next one begins
    part_ = tracer_.begin_child(span_->context(), SpanKind::internal, name);
  }

  void ended(const JobReceipt& job) override {
    part_ = nullptr;
    if (!job.fal_request_id.empty()) span_->set("gen_ai.response.id", job.fal_request_id);
    span_->set("falproxy.account", static_cast<std::int64_t>(job.key_slot) + 1);
    span_->set("falproxy.submits", std::int64_t{job.submits});
    if (job.billable_units) span_->set("falproxy.billable_units", *job.billable_units);
    span_->set("falproxy.inference_seconds", std::chrono::duration<double>(job.inference).count());
    if (job.resumed) span_->set("falproxy.resumed", true);
    if (job.cancelled) span_->set("falproxy.cancelled", true);
    if (job.abandoned) span_->set("falproxy.abandoned", true);
    // The words may quote the prompt.
    if (!job.fault.empty()) span_->fail("job_failed");
  }

 private:
  Tracer& tracer_;
  const std::unique_ptr<Span> span_;
  const EnteredSpan entered_;
  std::unique_ptr<Span> part_;
};

}  // namespace

std::unique_ptr<StageObserver> TracedRuns::begin(std::string_view name, std::string_view endpoint) {
  const bool is_job = !endpoint.empty();
  // A job is what the conventions for generative AI call an inference: a client's call of a model.
  std::unique_ptr<Span> span =
      tracer_.begin_child(current_span(), is_job ? SpanKind::client : SpanKind::internal,
                          is_job ? "generate_content " + std::string(endpoint) : std::string(name));
  if (span == nullptr) return nullptr;
  if (is_job) {
    span->set("gen_ai.operation.name", std::string("generate_content"));
    span->set("gen_ai.provider.name", std::string("fal"));
    span->set("gen_ai.request.model", std::string(endpoint));
  }
  return std::make_unique<TracedStage>(tracer_, std::move(span));
}

}  // namespace falproxy::app
