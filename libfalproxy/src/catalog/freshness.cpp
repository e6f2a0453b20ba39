#include "catalog/freshness.hpp"

#include <algorithm>

namespace falproxy::inline v0::catalog {

using namespace std::chrono_literals;

Milliseconds fresh_for(Milliseconds age, std::chrono::seconds ttl, double random) noexcept {
  const double whole = std::chrono::duration<double, std::milli>(ttl).count();
  const Milliseconds due(static_cast<Milliseconds::rep>(whole * (0.8 + 0.15 * random)));
  return std::max(due - std::max(age, 0ms), 0ms);
}

}  // namespace falproxy::inline v0::catalog
