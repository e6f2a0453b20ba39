#include "falproxy/result.hpp"

#include <cstdio>
#include <cstdlib>

namespace falproxy::inline v0 {

std::string_view name_of(ErrorKind kind) noexcept {
  using enum ErrorKind;
  switch (kind) {
    case invalid_json:
      return "invalid_json";
    case missing_parameter:
      return "missing_parameter";
    case invalid_type:
      return "invalid_type";
    case invalid_value:
      return "invalid_value";
    case unknown_parameter:
      return "unknown_parameter";
    case unsupported_parameter:
      return "unsupported_parameter";
    case unsupported_value:
      return "unsupported_value";
    case unknown_model:
      return "unknown_model";
    case model_not_found:
      return "model_not_found";
    case deployment_not_found:
      return "deployment_not_found";
    case response_not_found:
      return "response_not_found";
    case run_not_found:
      return "run_not_found";
    case edit_unsupported:
      return "edit_unsupported";
    case unsupported_file:
      return "unsupported_file";
    case invalid_mask:
      return "invalid_mask";
    case content_policy:
      return "content_policy";
    case rejected_by_model:
      return "rejected_by_model";
    case missing_access_key:
      return "missing_access_key";
    case invalid_access_key:
      return "invalid_access_key";
    case permission_denied:
      return "permission_denied";
    case unknown_url:
      return "unknown_url";
    case method_not_allowed:
      return "method_not_allowed";
    case unsupported_content_type:
      return "unsupported_content_type";
    case body_too_large:
      return "body_too_large";
    case headers_too_large:
      return "headers_too_large";
    case bad_request_framing:
      return "bad_request_framing";
    case request_too_slow:
      return "request_too_slow";
    case rate_limited:
      return "rate_limited";
    case overloaded:
      return "overloaded";
    case queue_full:
      return "queue_full";
    case keys_resting:
      return "keys_resting";
    case keys_out:
      return "keys_out";
    case model_unavailable:
      return "model_unavailable";
    case upstream_unreachable:
      return "upstream_unreachable";
    case upstream_failed:
      return "upstream_failed";
    case upstream_untrusted_url:
      return "upstream_untrusted_url";
    case no_image:
      return "no_image";
    case download_failed:
      return "download_failed";
    case model_not_allowed:
      return "model_not_allowed";
    case insufficient_quota:
      return "insufficient_quota";
    case key_is_configured:
      return "key_is_configured";
    case idempotency_key_reused:
      return "idempotency_key_reused";
    case job_uncertain:
      return "job_uncertain";
    case result_expired:
      return "result_expired";
    case timed_out:
      return "timed_out";
    case cancelled:
      return "cancelled";
    case invalid_document:
      return "invalid_document";
    case invalid_settings:
      return "invalid_settings";
    case internal:
      return "internal";
  }
  return "internal";
}

void end_without_value(const char* text) noexcept {
  std::fprintf(stderr, "falproxy: a Result has no value: %s\n", text);
  std::fflush(stderr);
  std::abort();
}

}  // namespace falproxy::inline v0
