#include "runs/faults.hpp"

#include <algorithm>
#include <array>

#include "base/fmt.hpp"
#include "base/text.hpp"

namespace falproxy::inline v0::runs {
namespace {

using Cause = fal::Fault::Cause;

// fal's words as far as a client may read them.
std::string words_for_client(const fal::Fault& fault) {
  constexpr std::array<std::string_view, 4> not_for_clients = {"balance", "locked", "billing",
                                                               "key id"};
  const std::string lower = to_lower(fault.message);
  const bool about_accounts = std::ranges::any_of(not_for_clients, [&](std::string_view word) {
    return lower.find(word) != std::string::npos;
  });
  return about_accounts ? std::string() : fault.message;
}

// fal's `error_type` is a word such as runner_server_error.
std::string type_of(const fal::Fault& fault) {
  const bool plain =
      !fault.type.empty() && fault.type.size() <= 64 &&
      std::ranges::all_of(fault.type, [](char c) { return is_alnum(c) || c == '_' || c == '.'; });
  return plain ? fault.type : std::string();
}

std::string rejection(const fal::Fault& fault) {
  const std::string words = words_for_client(fault);
  std::string place;
  for (const std::string& part : fault.location) place += (place.empty() ? "" : ".") + part;
  if (words.empty()) return "The model refused the input.";
  if (place.empty()) return fmt::format("The model refused the input: {}", words);
  return fmt::format("The model refused '{}': {}", place, words);
}

}  // namespace

Verdict verdict_on(const fal::Fault& fault) noexcept {
  switch (fault.cause) {
    case Cause::key_refused:
      return {KeyOutcome::refused, true};
    case Cause::account_blocked:
      return {KeyOutcome::account_blocked, true};
    case Cause::busy:
      return {KeyOutcome::rate_limited, true};
    case Cause::forbidden:
      return {std::nullopt, true};
    case Cause::not_fal:  // somebody in between refuses, and does not say whom
      return {std::nullopt, fault.status >= 401 && fault.status <= 403};
    case Cause::invalid_input:
    case Cause::content_policy:
    case Cause::no_media:
    case Cause::not_found:
    case Cause::ingress:
    case Cause::request_timeout:
    case Cause::cancelled:
    case Cause::model_failed:
      break;
  }
  return {};
}

std::string words_of(const fal::Fault& fault) {
  std::string words = fault.status == 0 ? "the job failed" : std::to_string(fault.status);
  if (const std::string type = type_of(fault); !type.empty()) words += " " + type;
  switch (fault.cause) {
    case Cause::key_refused:
    case Cause::account_blocked:
    case Cause::busy:
      if (!fault.message.empty()) words += ": " + fault.message;
      break;
    case Cause::invalid_input:
    case Cause::content_policy:
    case Cause::no_media:
    case Cause::forbidden:
    case Cause::not_found:
    case Cause::ingress:
    case Cause::request_timeout:
    case Cause::cancelled:
    case Cause::model_failed:
    case Cause::not_fal:
      break;
  }
  return words;
}

Error timed_out_error() {
  return {ErrorKind::timed_out, "The request's time ran out before its image arrived."};
}

Error cancelled_error() { return {ErrorKind::cancelled, "The request was cancelled."}; }

Error internal_error() { return {ErrorKind::internal, "falproxy failed."}; }

Error error_of(const fal::Fault& fault, const fal::EndpointId& endpoint) {
  Error error{ErrorKind::upstream_failed, {}};
  error.fal_request_id = fault.request_id;
  const auto is = [&](ErrorKind kind, std::string message) {
    error.kind = kind;
    error.message = std::move(message);
  };
  switch (fault.cause) {
    case Cause::invalid_input:
      is(ErrorKind::rejected_by_model, rejection(fault));
      break;
    case Cause::content_policy:
      is(ErrorKind::content_policy, "The request was refused by the model's safety system.");
      break;
    case Cause::no_media:
      is(ErrorKind::no_image, "The model made no image for this request.");
      break;
    case Cause::key_refused:
    case Cause::account_blocked:
    case Cause::forbidden:
      is(ErrorKind::keys_out, fmt::format("No configured fal key may use '{}'.", endpoint.str()));
      break;
    case Cause::not_found:
      is(ErrorKind::upstream_failed,
         fmt::format("fal does not know the endpoint '{}'.", endpoint.str()));
      break;
    case Cause::busy:
      is(ErrorKind::keys_resting, "fal takes no more jobs at the moment.");
      error.retry_after = fault.retry_after;
      break;
    case Cause::ingress:
      is(ErrorKind::upstream_unreachable,
         fmt::format("fal's front door answered {}.", fault.status));
      break;
    case Cause::request_timeout:
      is(ErrorKind::timed_out, "fal could not start the job in the time that was left.");
      break;
    case Cause::cancelled:
      is(ErrorKind::upstream_failed, "The job was cancelled at fal.");
      break;
    case Cause::model_failed: {
      const std::string type = type_of(fault);
      is(ErrorKind::upstream_failed, type.empty()
                                         ? std::string("The model failed at fal.")
                                         : fmt::format("The model failed at fal ({}).", type));
      break;
    }
    case Cause::not_fal:
      is(ErrorKind::upstream_failed,
         fault.status == 0
             ? std::string("fal's answer is not in fal's form.")
             : fmt::format("fal's address answered {}, and not in fal's form.", fault.status));
      break;
  }
  return error;
}

void name_field(Error& error, const fal::Fault& fault, const plan::Plan& plan) {
  if (error.kind != ErrorKind::rejected_by_model || fault.location.empty()) return;
  const std::string& property = fault.location.front();
  const auto causes = [&](const plan::Mapping& mapping) {
    return mapping.property == property && !mapping.field.empty();
  };
  const auto found = std::ranges::find_if(plan.mappings, causes);
  error.field = found == plan.mappings.end() ? property : found->field;
  if (error.field == property) return;
  // The client never wrote the property's name.
  error.message =
      fmt::format("The model refused '{}', which became its '{}'", error.field, property);
  const std::string words = words_for_client(fault);
  error.message += words.empty() ? "." : ": " + words;
}

bool contradicts_document(const fal::Fault& fault) {
  if (fault.cause != Cause::invalid_input || fault.status != 422 || fault.location.empty())
    return false;
  // Of fal's documented types, those about what a file holds.
  constexpr std::array<std::string_view, 9> about_content = {
      "image_",   "file_",           "face_",        "audio_",  "video_",
      "archive_", "invalid_archive", "unsupported_", "feature_"};
  return std::ranges::none_of(
      about_content, [&](std::string_view start) { return fault.type.starts_with(start); });
}

bool fallback_may_help(const Error& error) noexcept {
  if (error.submitted) return false;
  return error.kind == ErrorKind::model_unavailable ||
         error.kind == ErrorKind::upstream_unreachable ||
         error.kind == ErrorKind::upstream_failed || error.kind == ErrorKind::keys_out;
}

}  // namespace falproxy::inline v0::runs
