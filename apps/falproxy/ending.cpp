#include "ending.hpp"

#include <sys/socket.h>

#include <utility>

namespace falproxy::app {

bool EndingWaiter::wait(int socket, short events, TimePoint deadline) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return false;
    sockets_.insert(socket);
  }
  const bool ready = serving::FiberWaiter().wait(socket, events, deadline);
  const std::lock_guard lock(mutex_);
  sockets_.erase(socket);
  return ready && !ended_;
}

void EndingWaiter::end() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
}

TimePoint EndingClock::now() const {
  return clock_.now() + (ended_.stop_requested() ? std::chrono::years(1) : std::chrono::years(0));
}

bool EndingClock::sleep_until(TimePoint until, std::stop_token stop) {
  std::stop_source wake;
  const auto wake_up = [&wake] { wake.request_stop(); };
  const std::stop_callback on_stop(stop, wake_up);
  const std::stop_callback on_end(ended_.get_token(), wake_up);
  clock_.sleep_until(until, wake.get_token());
  return !stop.stop_requested();
}

}  // namespace falproxy::app
