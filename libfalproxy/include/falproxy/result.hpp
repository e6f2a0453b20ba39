// result.hpp: how falproxy's functions say that they failed: Result<T>, Error, ErrorKind.
//
// The names of Result are those of std::expected (C++23), which the compilers that falproxy
// supports do not have yet. Values of these types carry no locks: distinct objects may be used from
// distinct threads.
#pragma once

#include <cassert>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

/// OpenAI's images API in front of fal.ai's models: the values, the mapping between the two, and
/// what runs it. Free of global state; what it needs from outside comes in through Transport,
/// Clock, Executor and Codecs.
namespace falproxy {

/// What went wrong, as far as a caller must act on it. Each kind is one row of docs/errors.md
/// (status, type, code, retry advice), and `openai::describe(ErrorKind)` is that table in code.
enum class ErrorKind {
  // The request is at fault.
  invalid_json,  ///< the body is not JSON, or not an object, or breaks a limit of depth or count
  missing_parameter,      ///< a required field is absent
  invalid_type,           ///< a field has the wrong JSON type
  invalid_value,          ///< a field has a value that is not allowed
  unknown_parameter,      ///< nobody knows the field, and STRICT_PARAMETERS is on
  unsupported_parameter,  ///< the field is OpenAI's, but this request or model cannot have it
  unknown_model,          ///< the `model` of an image request is not configured
  model_not_found,        ///< GET /v1/models/{id} of a model that is not configured
  edit_unsupported,       ///< the model takes no image, and no edit endpoint is configured for it
  unsupported_file,       ///< an uploaded file is not a png, jpeg, webp or gif
  invalid_mask,           ///< the mask is not a PNG, or does not fit the image
  content_policy,         ///< fal, or the model behind it, refused the content
  rejected_by_model,      ///< fal's 422: the model refuses a field that its document allows
  // The exchange with the client is at fault.
  missing_access_key,        ///< no key in Authorization, x-api-key or api-key
  invalid_access_key,        ///< the key is none of the configured ones
  unknown_url,               ///< there is no such route
  method_not_allowed,        ///< the route is there, for other methods
  unsupported_content_type,  ///< the route takes application/json or multipart/form-data
  body_too_large,            ///< beyond MAX_BODY_BYTES, MAX_UPLOAD_BYTES or the limit of JSON text
  headers_too_large,         ///< too many or too long header fields
  bad_request_framing,       ///< a lying Content-Length, broken chunks, a broken multipart body
  request_too_slow,          ///< header or body did not arrive in time
  // falproxy cannot serve it now.
  rate_limited,       ///< the client's own limit (RATE_LIMIT, MAX_IN_FLIGHT_PER_KEY)
  overloaded,         ///< MAX_IN_FLIGHT or MAX_BODY_MEMORY is reached, or the server is stopping
  queue_full,         ///< the local queue before the accounts (MAX_JOBS_PER_ACCOUNT) is full
  keys_resting,       ///< every fal key rests; `retry_after` says when the first is back
  keys_out,           ///< no fal key is usable: refused or without balance; the operator's affair
  model_unavailable,  ///< the model's OpenAPI document cannot be had
  // fal is at fault.
  upstream_unreachable,  ///< no connection, or the ingress refused, until attempts or time ran out
  upstream_failed,  ///< fal answered with a failure, or with something that is not its protocol
  upstream_untrusted_url,  ///< fal's answer names a URL outside the configured hosts
  no_image,                ///< the job ended well but brought no image
  download_failed,  ///< the image could not be fetched from fal's CDN, or is too large, or is no
                    ///< image
  timed_out,        ///< the deadline of the request passed
  cancelled,        ///< the client left, or the caller asked to stop
  // Not about a request.
  invalid_document,  ///< a model's OpenAPI document cannot be used; `field` is a JSON Pointer into
                     ///< it
  invalid_settings,  ///< a setting is missing or wrong; `field` is its name
  internal,          ///< a defect in falproxy
};

/// The lower-case name of a kind, as written above.
[[nodiscard]] std::string_view name_of(ErrorKind kind) noexcept;

/// A failure. `message` is a sentence for the person who sent the request: it names the field and
/// the mend, and never holds a key. Two errors are equal when all their parts are.
struct Error {
  ErrorKind kind = ErrorKind::internal;  ///< what to branch on
  std::string message;  ///< English, for people; its words may change, so branch on `kind`
  /// The OpenAI field (`param`), setting or JSON Pointer at fault; empty: none.
  std::string field = {};
  /// When trying again makes sense.
  std::optional<std::chrono::milliseconds> retry_after = std::nullopt;
  /// A fal job was accepted (and may be billed): the client must not repeat by itself.
  bool submitted = false;
  std::string fal_request_id = {};  ///< of the job that failed, where there is one

  bool operator==(const Error&) const = default;
};

/// Either a value or an error. [[nodiscard]] as a class: a dropped Result is a compiler warning.
/// Precondition of value(), * and ->: has_value(); of error(): !has_value().
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
  /// The value; of a temporary, to be moved out. Where there is none a debug build asserts, and a
  /// release build has undefined behaviour.
  T& value() & noexcept { return *get(); }
  const T& value() const& noexcept { return *get(); }
  T&& value() && noexcept { return std::move(*get()); }
  T& operator*() & noexcept { return *get(); }
  const T& operator*() const& noexcept { return *get(); }
  T&& operator*() && noexcept { return std::move(*get()); }
  T* operator->() noexcept { return get(); }
  const T* operator->() const noexcept { return get(); }
  /// @}

  /// @{
  /// The error; of a temporary, to be moved out. Only where has_value() is false.
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

/// The value of a function that only succeeds or fails.
struct Done {
  bool operator==(const Done&) const = default;
};

}  // namespace falproxy
