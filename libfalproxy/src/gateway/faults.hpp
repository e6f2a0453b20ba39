// faults.hpp: how fal's faults and those of the way to fal look to the person who sent the request.
#pragma once

#include <string>
#include <string_view>

#include "falproxy/fal.hpp"
#include "falproxy/result.hpp"
#include "falproxy/translate.hpp"
#include "falproxy/transport.hpp"

namespace falproxy::gateway {

/// Never fal's words, except where the cause is the input's: those of accounts and balances are the
/// operator's affair.
[[nodiscard]] Error error_of(const fal::Fault& fault, const fal::EndpointId& endpoint);

/// For the operator: "403: User is locked". Without fal's message where that may repeat what the
/// client sent.
[[nodiscard]] std::string words_of(const fal::Fault& fault);

/// Names the OpenAI field that became the property at fault, as the plan's mappings tell.
void name_field(Error& error, const fal::Fault& fault, const translate::FalPlan& plan);

/// True where the fault says that the model's inputs are not what its document says (a bound, an
/// enum, a missing field), rather than that the content of a picture or a prompt did not please.
[[nodiscard]] bool contradicts_document(const fal::Fault& fault);

/// True where another model may do better: nothing was submitted, and neither the input nor the
/// time was at fault.
[[nodiscard]] bool fallback_may_help(const Error& error) noexcept;

[[nodiscard]] Error timed_out_error();
[[nodiscard]] Error cancelled_error();

}  // namespace falproxy::gateway
