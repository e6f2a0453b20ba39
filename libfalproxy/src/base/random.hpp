// random.hpp: numbers for jitter and for ids; no secret may hang on them.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <random>
#include <utility>

namespace falproxy::inline v0 {

/// SplitMix64 over a counter, so that threads need no lock.
class Random {
 public:
  [[nodiscard]] std::uint64_t next() noexcept {
    constexpr std::uint64_t step = 0x9e3779b97f4a7c15ULL;
    std::uint64_t x = state_.fetch_add(step, std::memory_order_relaxed);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
  }
  /// From 0 up to 1.
  [[nodiscard]] double share() noexcept { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

 private:
  std::atomic<std::uint64_t> state_{(std::uint64_t{std::random_device()()} << 32) |
                                    std::random_device()()};
};

/// `random`; if it is empty, one whose jitter is none.
[[nodiscard]] inline std::function<double()> or_middle(std::function<double()> random) {
  if (random) return random;
  return [] { return 0.5; };
}

}  // namespace falproxy::inline v0
