// background.hpp: work that goes on without the request that began it.
#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <semaphore>
#include <stop_token>

#include "falproxy/clock.hpp"

namespace falproxy::app {

/// Thread-safe.
class Background {
 public:
  Background() = default;
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  /// Runs `task` on a fiber of the reactor whose fiber calls. `task` ends soon once its stop is
  /// requested. It belongs to no trace, as it may do the work of other requests, too. False: there
  /// is no room for it, or stop() was called.
  [[nodiscard]] bool begin(std::function<void(const std::stop_token&)> task);
  /// Asks all tasks to end, and takes no more.
  void stop() { stop_.request_stop(); }
  /// After stop(): until all have ended.
  void wait();
  /// The same, but not longer than that. False: some have not ended.
  bool wait_for(Milliseconds time);

 private:
  void end();

  std::stop_source stop_;
  std::mutex mutex_;
  std::size_t running_ = 0;
  std::binary_semaphore idle_{1};
};

}  // namespace falproxy::app
