// answers.hpp: the header fields of every answer, and how an Error becomes one. The only place that
// does either.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "connection/application.hpp"
#include "falproxy/result.hpp"

namespace falproxy::app {

/// The fields that falproxy answers with, besides those that browsers let scripts see anyway.
inline constexpr std::array<std::string_view, 15> exposed_fields = {
    "x-request-id",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "server-timing",
    "openai-processing-ms",
    "x-falproxy-model",
    "x-falproxy-notes",
    "x-fal-request-id",
    "x-fal-billable-units",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "www-authenticate",
    "allow",
};

/// Cross-origin rules: CORS_ALLOW_ORIGINS. Immutable.
class Cors {
 public:
  explicit Cors(std::vector<std::string> origins);
  /// For every answer. `head` may be null.
  void append(std::string& fields, const RequestHead* head) const;
  /// For the answer to a preflight: whatever the browser asks to send may be sent.
  void append_preflight(std::string& fields, const RequestHead& head) const;

 private:
  std::vector<std::string> origins_;
  bool any_;
  std::string constant_;
};

/// Ids for requests that bring none: unique, and without meaning.
class RequestIds {
 public:
  explicit RequestIds(std::uint64_t seed) noexcept : next_(seed) {}
  /// The client's own x-request-id where it is at most 128 letters, digits, '-', '_', '.' and ':';
  /// else a new one.
  [[nodiscard]] std::string of(const RequestHead* head);

 private:
  std::atomic<std::uint64_t> next_;
};

/// `value` may come from outside: what does not belong into a header is left out.
void append_safe_field(std::string& fields, std::string_view name, std::string_view value);

/// An error as it goes to an OpenAI client.
struct ErrorAnswer {
  int status = 500;
  std::string code;
  std::string fields = {};  ///< retry-after, x-should-retry and the like
  std::string body;
};
/// `model`: as asked for.
[[nodiscard]] ErrorAnswer error_answer(const Error& error, std::string_view model = {});

}  // namespace falproxy::app
