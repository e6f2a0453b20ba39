// result.hpp: how falproxy's functions say that they failed: Result<T>, Error, ErrorKind.
//
// The names of Result are those of std::expected (C++23), which the compilers that falproxy
// supports do not have yet. Values of these types carry no locks: distinct objects may be used from
// distinct threads.
#pragma once

#include <cassert>
#include <chrono>
#include <concepts>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "falproxy/print.hpp"

/// OpenAI's images API in front of fal.ai's models: the values, the mapping between the two, and
/// what runs it. Free of global state; what it needs from outside comes in through Transport,
/// Clock, Executor and Codecs.
namespace falproxy::inline v0 {

/// What went wrong, as far as a caller must act on it. Each kind is one row of docs/errors.md
/// (status, type, code, retry advice), and `openai::describe(ErrorKind)` is that table in code.
enum class ErrorKind {
  // The request is at fault.
  invalid_json,  ///< the body is not JSON, or not an object, or breaks a limit of depth or count
  missing_parameter,      ///< a required field is absent
  invalid_type,           ///< a field has the wrong JSON type
  invalid_value,          ///< a field has a value that is not allowed
  unknown_parameter,      ///< nobody knows the field, and it matters
  unsupported_parameter,  ///< the field is OpenAI's, but this request or model cannot have it
  unsupported_value,      ///< the value is OpenAI's, but this model cannot have it
  unknown_model,          ///< the `model` of an image request is not configured
  model_not_found,        ///< a model that is not configured, of GET /v1/models/{id} or of a chat
  deployment_not_found,   ///< Azure's address names a model that is not configured
  response_not_found,     ///< no such earlier response, or it is somebody else's
  run_not_found,          ///< no such job or video, or it is somebody else's
  edit_unsupported,       ///< the model takes no image, and no edit endpoint is configured for it
  unsupported_file,       ///< an uploaded file is no whole png, jpeg, webp, gif or avif
  invalid_mask,           ///< the mask is not a PNG, or does not fit the image
  content_policy,         ///< fal, or the model behind it, refused the content
  rejected_by_model,      ///< fal's 422: the model refuses a field that its document allows
  // The exchange with the client is at fault.
  missing_access_key,        ///< no key in Authorization, x-api-key or api-key
  invalid_access_key,        ///< the key is none of the configured ones
  permission_denied,         ///< the key is right, but not for this route
  model_not_allowed,         ///< the key is right, but not for this model
  unknown_url,               ///< there is no such route
  method_not_allowed,        ///< the route is there, for other methods
  unsupported_content_type,  ///< the route takes application/json or multipart/form-data
  body_too_large,            ///< beyond MAX_BODY_BYTES, MAX_UPLOAD_BYTES or the limit of JSON text
  headers_too_large,         ///< too many or too long header fields
  bad_request_framing,       ///< a lying Content-Length, broken chunks, a broken multipart body
  request_too_slow,          ///< header or body did not arrive in time
  // falproxy cannot serve it now.
  rate_limited,        ///< the client's own limit (RATE_LIMIT, MAX_IN_FLIGHT_PER_KEY)
  insufficient_quota,  ///< the key's budget, or that of all keys together, is used up
  overloaded,          ///< MAX_IN_FLIGHT or MAX_BODY_MEMORY is reached, or the server is stopping
  queue_full,          ///< the local queue before the accounts (MAX_JOBS_PER_ACCOUNT) is full
  keys_resting,        ///< every fal key rests; `retry_after` says when the first is back
  keys_out,            ///< no fal key is usable: refused or without balance; the operator's affair
  model_unavailable,   ///< the model's OpenAPI document cannot be had
  // fal is at fault.
  upstream_unreachable,  ///< no connection, or the ingress refused, until attempts or time ran out
  upstream_failed,  ///< fal answered with a failure, or with something that is not its protocol
  upstream_untrusted_url,  ///< fal's answer names a URL outside the configured hosts
  no_image,                ///< the job ended well but brought no image
  download_failed,    ///< the image could not be fetched from fal's CDN, or is too large, or is no
                      ///< image
  timed_out,          ///< the deadline of the request passed
  key_is_configured,  ///< an access key stands in a file, and is changed there
  // An earlier request stands in the way.
  idempotency_key_reused,  ///< the same Idempotency-Key came with another request before
  job_uncertain,   ///< falproxy ended while it submitted the job: nobody knows whether fal has it
  result_expired,  ///< the job was done, and fal no longer has what it made
  cancelled,       ///< the client left, or the caller asked to stop
  // Not about a request.
  invalid_document,  ///< a model's OpenAPI document cannot be used; `field` is a JSON Pointer into
                     ///< it
  invalid_settings,  ///< a setting is missing or wrong; `field` is its name
  internal,          ///< a defect in falproxy
};

/// The lower-case name of a kind, as written above.
[[nodiscard]] std::string_view name_of(ErrorKind kind) noexcept;

/// A failure. `message` is a sentence for the person who sent the request: it names the field and
/// the mend, and never holds a key.
struct Error {
  ErrorKind kind = ErrorKind::internal;  ///< what to branch on
  std::string message;  ///< English, for people; its words may change, so branch on `kind`
  /// The OpenAI field (`param`), setting or JSON Pointer at fault; empty: none.
  std::string field = {};
  /// When trying again makes sense.
  std::optional<std::chrono::milliseconds> retry_after = std::nullopt;
  /// A fal job was accepted (and may be billed): the client must not repeat by itself.
  bool submitted = false;
  std::string fal_request_id = {};  ///< of the job that failed, if there is one

  /// By all parts but the message.
  bool operator==(const Error& other) const noexcept {
    return kind == other.kind && field == other.field && retry_after == other.retry_after &&
           submitted == other.submitted && fal_request_id == other.fal_request_id;
  }
};
/// For people, in one line: the kind, the message, and the rest if there is any.
std::ostream& operator<<(std::ostream& out, const Error& error);

/// Writes `text` to standard error and ends the process: what Result::value() does without a value.
[[noreturn]] void end_without_value(const char* text) noexcept;

/// An error as end_without_value() tells it: what it prints, or each of several does.
template <class E>
[[nodiscard]] std::string failure_text(const E& error) {
  if constexpr (Printed<E>) {
    return printed(error);
  } else if constexpr (std::convertible_to<const E&, std::string>) {
    return error;
  } else if constexpr (requires { failure_text(*error.begin()); }) {
    std::string text;
    for (const auto& one : error) text += (text.empty() ? "" : "\n") + failure_text(one);
    return text;
  } else {
    return "an error";
  }
}

/// Either a value or an error. [[nodiscard]] as a class: a dropped Result is a compiler warning.
/// Precondition of * and ->: has_value(); of error(): !has_value().
template <class T, class E = Error>
class [[nodiscard]] Result {
 public:
  using value_type = T;  ///< T, as in std::expected
  using error_type = E;  ///< E, as in std::expected

  /// Implicit, so that `return value;` does in a function that may fail.
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  /// Implicit, so that `return error;` does.
  Result(E error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  /// Else error() is there.
  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
  /// The same, for `if (result)`.
  explicit operator bool() const noexcept { return has_value(); }

  /// @{
  /// The value; of a temporary, to be moved out. If there is none, the process ends (std::abort),
  /// and the error stands on standard error: for tests, and for what cannot fail.
  T& value() & noexcept { return need(), *get(); }
  const T& value() const& noexcept { return need(), *get(); }
  T&& value() && noexcept { return need(), std::move(*get()); }
  /// @}
  /// @{
  /// As value(), but without a look: if there is none, a debug build asserts, and a release build
  /// has undefined behaviour.
  T& operator*() & noexcept { return *get(); }
  const T& operator*() const& noexcept { return *get(); }
  T&& operator*() && noexcept { return std::move(*get()); }
  T* operator->() noexcept { return get(); }
  const T* operator->() const noexcept { return get(); }
  /// @}

  /// @{
  /// The error; of a temporary, to be moved out. Only if has_value() is false.
  E& error() & noexcept { return *get_error(); }
  const E& error() const& noexcept { return *get_error(); }
  E&& error() && noexcept { return std::move(*get_error()); }
  /// @}

  /// The value, else `other` as a T; the error is lost.
  template <class U>
  [[nodiscard]] T value_or(U&& other) const& {
    return has_value() ? *get() : static_cast<T>(std::forward<U>(other));
  }

  /// The result of `f(value)`, itself a Result with the same error type; or this error.
  template <class F>
  auto and_then(F&& f) && -> decltype(std::forward<F>(f)(std::declval<T&&>())) {
    if (has_value()) return std::forward<F>(f)(std::move(*get()));
    return std::move(*get_error());
  }

  bool operator==(const Result&) const = default;

 private:
  void need() const noexcept {
    if (!has_value()) end_without_value(failure_text(error()).c_str());
  }
  T* get() noexcept {
    T* value = std::get_if<0>(&state_);
    assert(value != nullptr);
    return value;
  }
  const T* get() const noexcept {
    const T* value = std::get_if<0>(&state_);
    assert(value != nullptr);
    return value;
  }
  E* get_error() noexcept {
    E* error = std::get_if<1>(&state_);
    assert(error != nullptr);
    return error;
  }
  const E* get_error() const noexcept {
    const E* error = std::get_if<1>(&state_);
    assert(error != nullptr);
    return error;
  }

  std::variant<T, E> state_;
};

/// The value, or "error: " and the error.
template <class T, class E>
  requires Printed<E> && requires(std::ostream& out, const T& value) { out << value; }
std::ostream& operator<<(std::ostream& out, const Result<T, E>& result) {
  if (result.has_value()) return out << *result;
  return print_name(out, "error: ") << result.error();
}

/// The value of a function that only succeeds or fails.
struct Done {
  bool operator==(const Done&) const = default;
};
/// "done".
std::ostream& operator<<(std::ostream& out, Done done);

}  // namespace falproxy::inline v0
