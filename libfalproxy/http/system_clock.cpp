#include "falproxy/system_clock.hpp"

#include <condition_variable>
#include <mutex>

namespace falproxy {

TimePoint SystemClock::now() const { return std::chrono::steady_clock::now(); }

WallTime SystemClock::wall_now() const { return std::chrono::system_clock::now(); }

bool SystemClock::sleep_until(TimePoint until, std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any woken;
  std::unique_lock lock(mutex);
  woken.wait_until(lock, stop, until, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace falproxy
