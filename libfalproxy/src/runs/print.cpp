#include "base/enum_names.hpp"
#include "base/printer.hpp"
#include "falproxy/runner.hpp"

namespace falproxy::inline v0 {

bool JobReceipt::operator==(const JobReceipt& other) const noexcept {
  return fal_request_id == other.fal_request_id && endpoint == other.endpoint &&
         key_slot == other.key_slot && fault.empty() == other.fault.empty() &&
         submits == other.submits && resumed == other.resumed && accepted == other.accepted &&
         cancelled == other.cancelled && abandoned == other.abandoned &&
         billable_units == other.billable_units && estimate == other.estimate &&
         cost == other.cost && submit == other.submit && queue == other.queue &&
         inference == other.inference && result == other.result;
}

std::ostream& operator<<(std::ostream& out, const Product& product) {
  return Printer(out, "Product")("medium", product.medium)("content", product.content)(
             "is_address", product.is_address)("created", product.created)("size", product.size)(
             "quality", product.quality)("background", product.background)(
             "output_format", product.output_format)("revised_prompt", product.revised_prompt)(
             "content_type", product.content_type)("seconds", product.seconds)(
             "fal_request_id", product.fal_request_id)("transcript", product.transcript)(
             "thumbnail", product.thumbnail)
      .end();
}

std::string_view name_of(RunPhase value) noexcept {
  constexpr std::string_view names[] = {"queued", "in_progress", "completed", "failed",
                                        "cancelled"};
  return name_at(names, value);
}

std::ostream& operator<<(std::ostream& out, const RunStatus& status) {
  return Printer(out, "RunStatus")("record", status.record)("phase", status.phase)(
             "queue_position", status.queue_position)("progress", status.progress)(
             "is_left", status.is_left)("size", status.size)("seconds", status.seconds)(
             "response_format", status.response_format)("details", status.details)(
             "products", status.products)("left_out", status.left_out)("error", status.error)
      .end();
}

std::ostream& operator<<(std::ostream& out, const JobReceipt& receipt) {
  return Printer(out, "JobReceipt")("fal_request_id", receipt.fal_request_id)(
             "endpoint", receipt.endpoint)("key_slot", receipt.key_slot)("fault", receipt.fault)(
             "submits", receipt.submits)("resumed", receipt.resumed)("accepted", receipt.accepted)(
             "cancelled", receipt.cancelled)("abandoned", receipt.abandoned)(
             "billable_units", receipt.billable_units)("estimate", receipt.estimate)(
             "cost", receipt.cost)("submit", receipt.submit)("queue", receipt.queue)(
             "inference", receipt.inference)("result", receipt.result)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Recovered& recovered) {
  return Printer(out, "Recovered")("found", recovered.found)("completed", recovered.completed)(
             "failed", recovered.failed)("cancelled", recovered.cancelled)(
             "uncertain", recovered.uncertain)("found_at_fal", recovered.found_at_fal)(
             "left", recovered.left)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Receipt& receipt) {
  return Printer(out, "Receipt")("requested_model", receipt.requested_model)(
             "served_model", receipt.served_model)("jobs", receipt.jobs)("notes", receipt.notes)(
             "recovered", receipt.recovered)("images", receipt.images)(
             "answer_bytes", receipt.answer_bytes)("map", receipt.map)("upload", receipt.upload)(
             "submit", receipt.submit)("queue", receipt.queue)("inference", receipt.inference)(
             "result", receipt.result)("media", receipt.media)("total", receipt.total)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Underway& underway) {
  return Printer(out, "Underway")("model", underway.model)("notes", underway.notes)(
             "fal_request_ids", underway.fal_request_ids)("jobs", underway.jobs)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Runner::Counters& counters) {
  return Printer(out, "Counters")("submits", counters.submits)("repeated", counters.repeated)(
             "accepted", counters.accepted)("results", counters.results)(
             "cancels", counters.cancels)("failures", counters.failures)(
             "abandoned", counters.abandoned)("resumed", counters.resumed)(
             "recovered", counters.recovered)("upstream_faults", counters.upstream_faults)(
             "streams_held", counters.streams_held)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  Printer printer(out, "Outcome");
  if (outcome.response) {
    printer("response", *outcome.response);
  } else {
    printer("error", outcome.response.error());
  }
  return printer("receipt", outcome.receipt)("shortfall", outcome.shortfall).end();
}

std::ostream& operator<<(std::ostream& out, const ForwardedRequest& request) {
  return Printer(out, "ForwardedRequest")("request", request.request)("account", request.account)(
             "counted", request.counted)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Forwarded& forwarded) {
  return Printer(out, "Forwarded")("account", forwarded.account).end();
}

}  // namespace falproxy::inline v0
