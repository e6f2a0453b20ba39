// freshness.hpp: when a document is fetched again; pure functions of time.
#pragma once

#include <chrono>

#include "falproxy/clock.hpp"

namespace falproxy::catalog {

/// After `failures` attempts in a row: 2 s, doubling up to 5 minutes, give or take a quarter, so
/// that the first retry comes within 5 s. `random` is in [0, 1).
[[nodiscard]] Milliseconds retry_delay(int failures, double random) noexcept;

/// How much longer a document of that `age` is fresh: until 80 to 95 percent of `ttl`, so that it
/// is refreshed before it runs out and not with all others at once. Zero: it is due.
[[nodiscard]] Milliseconds fresh_for(Milliseconds age, std::chrono::seconds ttl,
                                     double random) noexcept;

}  // namespace falproxy::catalog
