// alerts.hpp: tells the operator at once what costs money: ALERT_URL.
#pragma once

#include <cstddef>
#include <deque>
#include <mutex>
#include <stop_token>
#include <string>

#include "base/bell.hpp"
#include "falproxy/budgets.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/log.hpp"
#include "falproxy/transport.hpp"

namespace falproxy::app {

/// Thread-safe.
class Alerts {
 public:
  /// So many wait at once; others are dropped, and stand in the log only.
  static constexpr std::size_t most_waiting = 100;
  static constexpr int attempts = 3;
  static constexpr Seconds pause{5}, longest_exchange{10};

  Alerts(Transport& transport, Clock& clock, LogLine log, std::string url)
      : transport_(transport), clock_(clock), log_(std::move(log)), url_(std::move(url)) {}

  /// Empty: nobody is told.
  void reload(std::string url);
  /// Logs it, and has it sent. Does not block.
  void add(const SpendingAlert& alert);
  /// Sends what comes, until it is stopped. Blocks.
  void send_all(const std::stop_token& stop);

 private:
  void send(const std::string& url, const SpendingAlert& alert, const std::stop_token& stop);

  Transport& transport_;
  Clock& clock_;
  const LogLine log_;
  std::mutex mutex_;
  Bell filled_;
  std::string url_;
  std::deque<SpendingAlert> waiting_;
};

}  // namespace falproxy::app
