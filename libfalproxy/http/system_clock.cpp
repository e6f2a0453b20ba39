#include "falproxy/system_clock.hpp"

#include <semaphore.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

namespace falproxy::inline v0 {

TimePoint SystemClock::now() const { return std::chrono::steady_clock::now(); }

WallTime SystemClock::wall_now() const { return std::chrono::system_clock::now(); }

// A semaphore of its own for each sleep: a condition variable leaves its mutex marked as contended,
// so that every sleep would end with one more system call.
bool SystemClock::sleep_until(TimePoint until, std::stop_token stop) {
  sem_t woken;
  ::sem_init(&woken, 0, 0);
  {
    const std::stop_callback wake(stop, [&woken] { ::sem_post(&woken); });
    const auto since_epoch = std::max(until, TimePoint()).time_since_epoch();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_epoch);
    const timespec time{.tv_sec = seconds.count(),
                        .tv_nsec = std::chrono::nanoseconds(since_epoch - seconds).count()};
    while (::sem_clockwait(&woken, CLOCK_MONOTONIC, &time) != 0 && errno == EINTR) {
    }
  }
  ::sem_destroy(&woken);
  return !stop.stop_requested();
}

}  // namespace falproxy::inline v0
