#include <nlohmann/json.hpp>

#include "base/utf8.hpp"
#include "falproxy/openai.hpp"
#include "json/access.hpp"

namespace falproxy::inline v0::openai {
namespace {

constexpr std::string_view request_error = "invalid_request_error";
constexpr std::string_view image_user_error = "image_generation_user_error";
constexpr std::string_view image_server_error = "image_generation_server_error";
constexpr std::string_view rate_error = "requests";
constexpr std::string_view unavailable = "service_unavailable_error";
constexpr std::string_view server_error = "server_error";

std::string_view code_for(const Error& error, std::string_view model, Medium makes) noexcept {
  if (error.kind == ErrorKind::content_policy && model.starts_with("dall-e"))
    return "content_policy_violation";
  if (makes != Medium::image) {
    switch (error.kind) {
      case ErrorKind::upstream_failed:
        return "generation_failed";
      case ErrorKind::no_image:
        return "nothing_generated";
      case ErrorKind::download_failed:
        return "download_failed";
      default:
        break;
    }
  }
  return describe(error.kind).code;
}

std::string_view type_for(const Error& error, Medium makes) noexcept {
  const std::string_view type = describe(error.kind).type;
  if (makes == Medium::image) return type;
  if (type == image_user_error) return request_error;
  return type == image_server_error ? server_error : type;
}

// A message may quote what the client sent, or what fal answered.
nlohmann::ordered_json error_object(const Error& error, std::string_view model,
                                    Medium makes = Medium::image) {
  constexpr std::size_t longest_message = 4096;
  constexpr std::size_t longest_field = 256;
  nlohmann::ordered_json object;
  object["message"] = cut(error.message, longest_message);
  object["type"] = type_for(error, makes);
  object["param"] = error.field.empty() ? nlohmann::ordered_json()
                                        : nlohmann::ordered_json(cut(error.field, longest_field));
  object["code"] = code_for(error, model, makes);
  return object;
}

std::string dump(const nlohmann::ordered_json& value) {
  return value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

ErrorRow describe(ErrorKind kind) noexcept {
  using enum ErrorKind;
  switch (kind) {
    case invalid_json:
      return {400, request_error, "invalid_json", false};
    case missing_parameter:
      return {400, request_error, "missing_required_parameter", false};
    case invalid_type:
      return {400, request_error, "invalid_type", false};
    case invalid_value:
      return {400, request_error, "invalid_value", false};
    case unknown_parameter:
      return {400, request_error, "unknown_parameter", false};
    case unsupported_parameter:
      return {400, request_error, "unsupported_parameter", false};
    case unsupported_value:
      return {400, request_error, "unsupported_value", false};
    case unknown_model:
      return {400, image_user_error, "invalid_value", false};
    case model_not_found:
      return {404, request_error, "model_not_found", false};
    case deployment_not_found:
      return {404, request_error, "DeploymentNotFound", false};
    case response_not_found:
      return {400, request_error, "previous_response_not_found", false};
    case run_not_found:
      return {404, request_error, "not_found", false};
    case edit_unsupported:
      return {400, image_user_error, "edit_unsupported", false};
    case unsupported_file:
      return {400, request_error, "unsupported_file_mimetype", false};
    case invalid_mask:
      return {400, image_user_error, "invalid_mask_image_format", false};
    case content_policy:
      return {400, image_user_error, "moderation_blocked", false};
    case rejected_by_model:
      return {400, image_user_error, "invalid_value", false};

    case missing_access_key:
      return {401, request_error, "missing_api_key", false};
    case invalid_access_key:
      return {401, request_error, "invalid_api_key", false};
    case permission_denied:
      return {403, request_error, "insufficient_permissions", false};
    case model_not_allowed:
      return {403, request_error, "model_not_allowed", false};
    case unknown_url:
      return {404, request_error, "unknown_url", false};
    case method_not_allowed:
      return {405, request_error, "method_not_supported", false};
    case unsupported_content_type:
      return {415, request_error, "unsupported_content_type", false};
    case body_too_large:
      return {413, request_error, "request_too_large", false};
    case headers_too_large:
      return {431, request_error, "headers_too_large", false};
    case bad_request_framing:
      return {400, request_error, "bad_request", false};
    case request_too_slow:
      return {408, request_error, "request_timeout", false};

    case rate_limited:
      return {429, rate_error, "rate_limit_exceeded", true};
    case insufficient_quota:
      return {429, "insufficient_quota", "insufficient_quota", false};
    case overloaded:
      return {503, unavailable, "server_is_overloaded", true};
    case queue_full:
    case keys_resting:
      return {429, rate_error, "rate_limit_exceeded", true};
    case keys_out:
      return {503, unavailable, "upstream_account_unavailable", false};
    case model_unavailable:
      return {503, unavailable, "model_unavailable", true};

    case upstream_unreachable:
      return {503, unavailable, "upstream_unreachable", true};
    case upstream_failed:
      return {502, image_server_error, "image_generation_failed", false};
    case upstream_untrusted_url:
      return {502, image_server_error, "upstream_untrusted_url", false};
    case no_image:
      return {400, image_user_error, "no_image_generated", false};
    case download_failed:
      return {502, image_server_error, "image_download_failed", false};
    case key_is_configured:
      return {409, request_error, "key_is_configured", false};
    case idempotency_key_reused:
      return {409, request_error, "idempotency_key_reused", false};
    case job_uncertain:
      return {409, image_server_error, "job_uncertain", false};
    case result_expired:
      return {410, image_server_error, "result_expired", false};
    case timed_out:
      return {504, image_server_error, "request_timeout", false};
    case cancelled:
      return {499, request_error, "request_cancelled", false};

    case invalid_document:
      return {503, unavailable, "model_unavailable", false};
    case invalid_settings:
      return {500, server_error, "invalid_settings", false};
    case internal:
      return {500, server_error, "internal_error", false};
  }
  return {500, server_error, "internal_error", false};
}

std::string write_error(const Error& error, std::string_view model, Medium makes) {
  nlohmann::ordered_json body;
  body["error"] = error_object(error, model, makes);
  return dump(body);
}

std::string write_error_event(const Error& error, std::string_view model) {
  nlohmann::ordered_json data;
  data["type"] = "error";
  data["error"] = error_object(error, model);
  return "event: error\ndata: " + dump(data) + "\n\n";
}

}  // namespace falproxy::inline v0::openai
