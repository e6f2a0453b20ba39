// pace.hpp: how slow a client may be: a deadline for a transfer as a whole, whatever its size and
// however it is cut.
#pragma once

#include <algorithm>
#include <cstdint>

#include "falproxy/clock.hpp"

namespace falproxy::app {

/// The time spent waiting for a client may be at most `grace` plus what the bytes so far are worth
/// at the least rate.
class Pace {
 public:
  static constexpr Milliseconds default_grace{20'000};
  static constexpr std::uint64_t default_rate = 16u << 10;  ///< bytes per second

  explicit Pace(Milliseconds grace = default_grace,
                std::uint64_t bytes_per_second = default_rate) noexcept
      : grace_(grace), rate_(bytes_per_second) {}

  void moved(std::uint64_t bytes) noexcept { bytes_ += bytes; }
  void waited(std::chrono::nanoseconds time) noexcept { waited_ += time; }
  /// What is left to wait; zero: too slow.
  [[nodiscard]] Milliseconds left() const noexcept {
    const auto allowed = grace_ + Milliseconds(static_cast<std::int64_t>(bytes_ * 1000 / rate_));
    return std::max(Milliseconds(0), allowed - std::chrono::ceil<Milliseconds>(waited_));
  }

 private:
  Milliseconds grace_;
  std::uint64_t rate_;
  std::uint64_t bytes_ = 0;
  std::chrono::nanoseconds waited_{0};
};

}  // namespace falproxy::app
