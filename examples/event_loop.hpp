// event_loop.hpp: in place of QApplication and QMetaObject::invokeMethod, for gui_program.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <utility>

/// Turns on the thread that calls run(); post() and quit() may be called from any.
class EventLoop {
 public:
  void post(std::function<void()> event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    posted_.notify_one();
  }
  void quit() {
    post([this] { done_ = true; });
  }
  void run() {
    while (!done_) {
      std::unique_lock lock(mutex_);
      posted_.wait(lock, [this] { return !events_.empty(); });
      const std::function<void()> event = std::move(events_.front());
      events_.pop_front();
      lock.unlock();
      const auto begin = std::chrono::steady_clock::now();
      event();
      longest_ = std::max(longest_, std::chrono::steady_clock::now() - begin);
    }
  }
  /// The longest that one event held up the others.
  [[nodiscard]] std::chrono::microseconds longest_turn() const {
    return std::chrono::duration_cast<std::chrono::microseconds>(longest_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable posted_;
  std::deque<std::function<void()>> events_;
  std::chrono::steady_clock::duration longest_{};
  bool done_ = false;
};
