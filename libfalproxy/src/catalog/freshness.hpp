// freshness.hpp: when a document that was fetched is fetched again; a pure function of time.
#pragma once

#include <chrono>

#include "falproxy/clock.hpp"

namespace falproxy::inline v0::catalog {

/// How much longer a document of that `age` is fresh: until 80 to 95 percent of `ttl`, so that it
/// is refreshed before it runs out and not with all others at once. Zero: it is due.
[[nodiscard]] Milliseconds fresh_for(Milliseconds age, std::chrono::seconds ttl,
                                     double random) noexcept;

}  // namespace falproxy::inline v0::catalog
