// ending.hpp: waits for sockets and for time that are cut short when the process ends.
#pragma once

#include <mutex>
#include <stop_token>
#include <unordered_set>

#include "serving/reactor.hpp"

namespace falproxy::app {

/// A FiberWaiter whose waits can be ended all at once. Thread-safe.
class EndingWaiter final : public SocketWaiter {
 public:
  bool wait(int socket, short events, TimePoint deadline) override;
  /// For good: the waits that last now end, and each that comes later ends at once, as if its
  /// deadline had passed. The sockets that are waited for are shut down.
  void end();

 private:
  std::mutex mutex_;
  bool ended_ = false;
  std::unordered_set<int> sockets_;
};

/// A FiberClock on which every deadline can be made to have passed. Thread-safe.
class EndingClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const override;
  [[nodiscard]] WallTime wall_now() const override { return clock_.wall_now(); }
  bool sleep_until(TimePoint until, std::stop_token stop) override;
  /// For good: who sleeps wakes up, and it is a year later.
  void end() { ended_.request_stop(); }

 private:
  serving::FiberClock clock_;
  std::stop_source ended_;
};

}  // namespace falproxy::app
