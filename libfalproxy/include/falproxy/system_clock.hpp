// system_clock.hpp: the machine's clocks.
#pragma once

#include "falproxy/clock.hpp"

namespace falproxy::inline v0 {

/// Thread-safe.
class SystemClock final : public Clock {
 public:
  /// std::chrono::steady_clock.
  [[nodiscard]] TimePoint now() const override;
  /// std::chrono::system_clock.
  [[nodiscard]] WallTime wall_now() const override;
  bool sleep_until(TimePoint until, std::stop_token stop) override;
};

}  // namespace falproxy::inline v0
