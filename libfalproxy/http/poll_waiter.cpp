#include <poll.h>

#include <algorithm>
#include <cstdint>

#include "falproxy/socket_waiter.hpp"

namespace falproxy::inline v0 {

bool PollWaiter::wait(int socket, short events, TimePoint deadline) {
  pollfd entry{socket, events, 0};
  while (true) {
    const TimePoint now = std::chrono::steady_clock::now();
    // Rounded up, so that it does not spin in the last millisecond.
    const std::int64_t left = std::chrono::ceil<Milliseconds>(deadline - now).count();
    const int timeout = static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
    if (::poll(&entry, 1, timeout) != 0) return true;  // an interruption is nothing to wait out
    if (std::chrono::steady_clock::now() >= deadline) return false;
  }
}

}  // namespace falproxy::inline v0
