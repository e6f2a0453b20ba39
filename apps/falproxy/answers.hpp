// answers.hpp: the header fields of every answer, and how an Error becomes one. The only place that
// does either.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "falproxy/result.hpp"
#include "falproxy/runner.hpp"
#include "serving/request.hpp"

namespace falproxy::app {

using serving::RequestHead;

/// The fields that falproxy answers with, besides those that browsers let scripts see anyway.
inline constexpr std::array<std::string_view, 21> exposed_fields = {
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
    "x-falproxy-cost-usd",
    "x-falproxy-budget-remaining-usd",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "idempotent-replayed",
    "location",
    "openai-poll-after-ms",
    "preference-applied",
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

/// The client's own x-request-id if it is at most 128 letters, digits, '-', '_', '.' and ':'; else
/// a new one, unique and without meaning.
[[nodiscard]] std::string request_id(const RequestHead* head, Random& random);

/// `value` may come from outside: what does not belong into a header is left out.
void append_safe_field(std::string& fields, std::string_view name, std::string_view value);

/// What a request's way tells with its answer, as names and values: Server-Timing, x-fal-request-id
/// and their like. Values may come from outside.
using Facts = std::vector<std::pair<std::string_view, std::string>>;
[[nodiscard]] Facts facts_of(const Receipt& receipt);
void append_facts(std::string& fields, const Facts& facts);
/// The same as a comment of a stream.
[[nodiscard]] std::string comment_of(const Facts& facts);
/// What is known of them once fal has a job.
void append_underway(std::string& fields, const Underway& underway);

/// Of fal's own API, whose clients read the message at `detail`.
[[nodiscard]] bool speaks_fal(std::string_view route) noexcept;
/// An error in fal's words.
[[nodiscard]] Body fal_error(const Error& error);

/// Programs built on the AI SDK send again what is answered with 408, 409, 429 or 500 and more,
/// whatever the answer says.
[[nodiscard]] bool repeats_all(std::string_view user_agent) noexcept;

/// An error as it goes to an OpenAI client. `model`: as asked for. `once`: a failure after fal took
/// a job, which may be billed, has the status 400, which nobody sends again by himself. `makes`:
/// see openai::write_error().
[[nodiscard]] serving::Response error_answer(const Error& error, std::string_view model = {},
                                             bool once = false, Medium makes = Medium::image);

}  // namespace falproxy::app
