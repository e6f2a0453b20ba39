// service_manager.hpp: what systemd hears of this process, if it has started it: that it serves,
// and that it still does (sd_notify(3), WatchdogSec=).
#pragma once

#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "configuration.hpp"
#include "falproxy/clock.hpp"

namespace falproxy::app {

class ServiceManager {
 public:
  /// NOTIFY_SOCKET and WATCHDOG_USEC; without them nobody is told anything.
  explicit ServiceManager(const Environment& environment);

  /// "READY=1" and its like. Does not block; what is not taken at once is lost.
  void tell(std::string_view state) const noexcept;
  /// How long it waits for a sign of life; 0: it wants none.
  [[nodiscard]] Milliseconds patience() const noexcept { return patience_; }

 private:
  std::string address_;  // empty: nobody; of an abstract socket, its first byte is 0
  Milliseconds patience_{0};
};

/// Gives signs of life, from a thread of its own, as long as it lives.
class Watchdog {
 public:
  /// `is_well`: asked a few times within the manager's patience; while it says why not, no sign is
  /// given. It ends within a quarter of that. Empty text: all is well.
  using IsWell = std::function<std::string(Milliseconds limit)>;
  /// `warn`: told of each answer that is not well.
  Watchdog(const ServiceManager& manager, IsWell is_well,
           std::function<void(std::string_view)> warn);
  /// From now on nobody is asked or warned: who is stopping refuses, and has an end of its own.
  void stopping();

 private:
  void watch(const std::stop_token& stop);
  [[nodiscard]] bool is_stopping();

  const ServiceManager& manager_;
  const IsWell is_well_;
  const std::function<void(std::string_view)> warn_;
  std::mutex mutex_;
  bool stopping_ = false;
  std::jthread thread_;
};

}  // namespace falproxy::app
