// bell.hpp: a condition variable whose waiting is a Clock's, so that tests drive it in virtual
// time.
#pragma once

#include <mutex>
#include <stop_token>
#include <utility>
#include <vector>

#include "falproxy/clock.hpp"

namespace falproxy::inline v0 {

/// Guarded by the mutex of whoever owns it.
class Bell {
 public:
  /// Those who waited; to be woken without the mutex, since that runs the clock's code.
  class Ring {
   public:
    explicit Ring(std::vector<std::stop_source> waiting) : waiting_(std::move(waiting)) {}
    void operator()() {
      for (std::stop_source& wake : waiting_) wake.request_stop();
    }

   private:
    std::vector<std::stop_source> waiting_;
  };

  /// Until the bell is rung, `until` or a stop; lets go of `lock` meanwhile. The caller looks again
  /// why it was woken.
  void wait(std::unique_lock<std::mutex>& lock, Clock& clock, TimePoint until,
            const std::stop_token& stop) {
    std::stop_source wake;
    waiting_.push_back(wake);
    lock.unlock();
    {
      const std::stop_callback with_the_caller(stop, [&wake] { wake.request_stop(); });
      clock.sleep_until(until, wake.get_token());
    }
    lock.lock();
    std::erase(waiting_, wake);
  }

  [[nodiscard]] Ring take() { return Ring(std::exchange(waiting_, {})); }

 private:
  std::vector<std::stop_source> waiting_;
};

}  // namespace falproxy::inline v0
