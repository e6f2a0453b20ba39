// forward.hpp: requests that go to fal as their client wrote them.
#pragma once

#include "falproxy/runner.hpp"
#include "runs/driver.hpp"

namespace falproxy::inline v0::runs {

/// See Runner::forward().
[[nodiscard]] Result<Forwarded> forward(const World& world, const ForwardedRequest& request,
                                        const CallContext& context, ResponseSink& sink);

}  // namespace falproxy::inline v0::runs
