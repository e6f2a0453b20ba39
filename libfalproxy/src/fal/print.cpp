#include "base/enum_names.hpp"
#include "base/printer.hpp"
#include "falproxy/fal.hpp"

namespace falproxy::inline v0::fal {

std::string_view name_of(QueueState value) noexcept {
  constexpr std::string_view names[] = {"in_queue", "in_progress", "completed", "unknown"};
  return name_at(names, value);
}

std::string_view name_of(CancelAnswer value) noexcept {
  constexpr std::string_view names[] = {"taken", "already_completed", "not_found", "unclear"};
  return name_at(names, value);
}

std::string_view name_of(Fault::Cause value) noexcept {
  constexpr std::string_view names[] = {
      "invalid_input", "content_policy", "no_media", "key_refused", "account_blocked",
      "forbidden",     "not_found",      "busy",     "ingress",     "request_timeout",
      "cancelled",     "model_failed",   "not_fal"};
  return name_at(names, value);
}

std::ostream& operator<<(std::ostream& out, const EndpointId& id) { return out << id.str(); }

std::ostream& operator<<(std::ostream& out, const Addresses& addresses) {
  return Printer(out, "Addresses")("queue", addresses.queue)("run", addresses.run)(
             "schema", addresses.schema)("rest", addresses.rest)
      .end();
}

std::ostream& operator<<(std::ostream& out, const MediaHosts& hosts) {
  bool first = true;
  for (const MediaHosts::Rule& rule : hosts.rules_) {
    if (!std::exchange(first, false)) out << ',';
    if (rule.subdomains) {
      out << "*." << rule.host;
    } else {
      const std::string origin = Url{rule.scheme, rule.host, rule.port, "/"}.origin();
      out << (origin == "https://" + rule.host ? rule.host : origin);
    }
  }
  return out;
}

std::ostream& operator<<(std::ostream& out, const Submitted& submitted) {
  return Printer(out, "Submitted")("request_id", submitted.request_id)(
             "status_url", submitted.status_url)("response_url", submitted.response_url)(
             "cancel_url", submitted.cancel_url)("queue_position", submitted.queue_position)
      .end();
}

std::ostream& operator<<(std::ostream& out, const QueueStatus& status) {
  return Printer(out, "QueueStatus")("state", status.state)("queue_position",
                                                            status.queue_position)(
             "inference_seconds", status.inference_seconds)("error", status.error)(
             "error_type", status.error_type)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Fault& fault) {
  return Printer(out, "Fault")("cause", fault.cause)("status", fault.status)("type", fault.type)(
             "message", fault.message)("location", fault.location)(
             "retry_after", fault.retry_after)("retryable", fault.retryable)("request_id",
                                                                             fault.request_id)
      .end();
}

// What was sent is whoever's who sent it.
std::ostream& operator<<(std::ostream& out, const PastRequest& request) {
  return Printer(out, "PastRequest")("request_id", request.request_id).end();
}

std::ostream& operator<<(std::ostream& out, const SubmitOptions& options) {
  return Printer(out, "SubmitOptions")("start_timeout_seconds", options.start_timeout_seconds)(
             "preferences", options.preferences)
      .end();
}

// An upload address is signed: whoever has it may write there.
std::ostream& operator<<(std::ostream& out, const UploadTarget& target) {
  return Printer(out, "UploadTarget")("upload_url",
                                      target.upload_url.substr(0, target.upload_url.find('?')))(
             "file_url", target.file_url)
      .end();
}

}  // namespace falproxy::inline v0::fal
