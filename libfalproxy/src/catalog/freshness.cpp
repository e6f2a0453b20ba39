#include "catalog/freshness.hpp"

#include <algorithm>

namespace falproxy::catalog {

using namespace std::chrono_literals;

Milliseconds retry_delay(int failures, double random) noexcept {
  const int doublings = std::clamp(failures - 1, 0, 10);
  const Milliseconds base = std::min<Milliseconds>(2s * (1 << doublings), 5min);
  return Milliseconds(
      static_cast<Milliseconds::rep>(static_cast<double>(base.count()) * (0.75 + random / 2)));
}

Milliseconds fresh_for(Milliseconds age, std::chrono::seconds ttl, double random) noexcept {
  const double whole = std::chrono::duration<double, std::milli>(ttl).count();
  const Milliseconds due(static_cast<Milliseconds::rep>(whole * (0.8 + 0.15 * random)));
  return std::max(due - std::max(age, 0ms), 0ms);
}

}  // namespace falproxy::catalog
