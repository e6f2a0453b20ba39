// flag.hpp: what a test can wait for: a flag, which a fiber can wait for, too, and anything else.
#pragma once

#include <functional>
#include <mutex>
#include <thread>

#include "base/bell.hpp"
#include "serving/reactor.hpp"

namespace falproxy::test {

class Flag {
 public:
  void raise() {
    std::unique_lock lock(mutex_);
    up_ = true;
    Bell::Ring ring = raised_.take();
    lock.unlock();
    ring();
  }
  /// False: not in time.
  bool wait(Milliseconds limit = Milliseconds(10'000)) {
    const TimePoint until = clock_.now() + limit;
    std::unique_lock lock(mutex_);
    while (!up_ && clock_.now() < until) raised_.wait(lock, clock_, until, {});
    return up_;
  }

 private:
  serving::FiberClock clock_;
  std::mutex mutex_;
  Bell raised_;
  bool up_ = false;
};

/// Looks until it holds. False: not in 10 s.
inline bool eventually(const std::function<bool()>& holds) {
  const TimePoint until = std::chrono::steady_clock::now() + Seconds(10);
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(Milliseconds(1));
  }
  return true;
}

}  // namespace falproxy::test
