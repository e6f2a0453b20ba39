// unix_time.hpp: times as most of the world writes them.
#pragma once

#include <chrono>
#include <cstdint>

#include "falproxy/clock.hpp"

namespace falproxy::inline v0 {

/// Whole seconds since 1970.
[[nodiscard]] inline std::int64_t unix_seconds(WallTime time) {
  return std::chrono::floor<Seconds>(time.time_since_epoch()).count();
}

}  // namespace falproxy::inline v0
