// faults.hpp: how fal's faults and those of the way to fal look to the person who sent the request.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "falproxy/fal.hpp"
#include "falproxy/key_ring.hpp"
#include "falproxy/plan.hpp"
#include "falproxy/result.hpp"
#include "falproxy/transport.hpp"

namespace falproxy::inline v0::runs {

/// Never fal's words, except where the cause is the input's: those of accounts and balances are the
/// operator's affair.
[[nodiscard]] Error error_of(const fal::Fault& fault, const fal::EndpointId& endpoint);

/// What a fault says of the key that the request was sent with, and of the key's account.
struct Verdict {
  std::optional<KeyOutcome> outcome;  ///< for the key ring; none: it says nothing of them
  bool another_key = false;           ///< fal refused the request: another key may do better
  bool operator==(const Verdict&) const = default;
};
[[nodiscard]] Verdict verdict_on(const fal::Fault& fault) noexcept;

/// For the operator: "403: User is locked". Without fal's message where that may repeat what the
/// client sent.
[[nodiscard]] std::string words_of(const fal::Fault& fault);

/// Names the OpenAI field that became the property at fault, as the plan's mappings tell.
void name_field(Error& error, const fal::Fault& fault, const plan::Plan& plan);

/// True where the fault says that the model's inputs are not what its document says (a bound, an
/// enum, a missing field), rather than that the content of a picture or a prompt did not please.
[[nodiscard]] bool contradicts_document(const fal::Fault& fault);

/// True where another model may do better: nothing was submitted, and neither the input nor the
/// time was at fault.
[[nodiscard]] bool fallback_may_help(const Error& error) noexcept;

[[nodiscard]] Error timed_out_error();
[[nodiscard]] Error cancelled_error();
[[nodiscard]] Error internal_error();

}  // namespace falproxy::inline v0::runs
