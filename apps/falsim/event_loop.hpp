// event_loop.hpp: one thread that waits for sockets, timers and work posted by other threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <queue>
#include <vector>

#include "falproxy/result.hpp"

namespace falsim {

using TimePoint = std::chrono::steady_clock::time_point;

/// Everything but post() and stop() belongs to the thread inside run(), or to whoever prepares the
/// loop before it runs.
class EventLoop {
 public:
  /// Whoever owns a descriptor. It may remove() itself in the call, but must live until the round
  /// ends: see later().
  class Watcher {
   public:
    virtual ~Watcher() = default;
    virtual void on_ready(std::uint32_t epoll_events) = 0;
  };
  using Task = std::function<void()>;

  [[nodiscard]] static falproxy::Result<std::unique_ptr<EventLoop>> create();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  bool add(int descriptor, std::uint32_t epoll_events, Watcher& watcher);
  void change(int descriptor, std::uint32_t epoll_events, Watcher& watcher);
  void remove(int descriptor);

  /// Runs `task` once, not before `when`. There is no way to take it back: the task looks whether
  /// it is still wanted.
  void at(TimePoint when, Task task);
  /// Runs `task` when every event of this round has been handed out.
  void later(Task task) { later_.push_back(std::move(task)); }
  /// When this round began.
  [[nodiscard]] TimePoint now() const noexcept { return now_; }

  /// Returns after stop().
  void run();

  void post(Task task);  ///< from any thread
  void stop();           ///< from any thread

 private:
  struct Timer {
    TimePoint when;
    std::uint64_t order;
    Task task;
    bool operator<(const Timer& other) const noexcept {  // the earliest on top
      return when != other.when ? when > other.when : order > other.order;
    }
  };

  EventLoop(int epoll, int wakeup) : epoll_(epoll), wakeup_(wakeup) {}
  [[nodiscard]] int milliseconds_to_next_timer() const;
  void run_timers();
  void run_posted();
  void run_later();

  int epoll_;
  int wakeup_;
  bool stopping_ = false;
  TimePoint now_ = std::chrono::steady_clock::now();
  std::uint64_t order_ = 0;
  std::priority_queue<Timer> timers_;
  std::vector<Task> later_;
  std::mutex mutex_;
  std::vector<Task> posted_;  // under mutex_
};

}  // namespace falsim
