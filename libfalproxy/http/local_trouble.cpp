#include "local_trouble.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/fmt.hpp"

namespace falproxy::inline v0 {

bool LocalTrouble::is_of_the_network(int error) noexcept {
  constexpr std::array<int, 9> ordinary{ECONNRESET, ECONNREFUSED, EPIPE,
                                        ETIMEDOUT,  EHOSTUNREACH, ENETUNREACH,
                                        EHOSTDOWN,  ENETDOWN,     ENETRESET};
  return std::ranges::find(ordinary, error) != ordinary.end();
}

void LocalTrouble::tell(const std::string& what) {
  if (!log_) return;
  const TimePoint now = std::chrono::steady_clock::now();
  TimePoint::rep next = next_.load();
  const TimePoint::rep then = (now + Seconds(1)).time_since_epoch().count();
  if (now.time_since_epoch().count() < next || !next_.compare_exchange_strong(next, then)) {
    left_out_.fetch_add(1);
    return;
  }
  const int left_out = left_out_.exchange(0);
  log_(LogLevel::warning,
       fmt::format("trouble on the way to fal: {}{}", what,
                   left_out == 0 ? "" : fmt::format(" (and {} more)", left_out)));
}

}  // namespace falproxy::inline v0
