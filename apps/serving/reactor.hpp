// reactor.hpp: one thread with one epoll, timers and fibers. What waits on a fiber lets the others
// run.
//
// A fiber is a stack of its own that the reactor's thread runs until it has to wait; it never
// changes its thread (docs/decisions/0014). Waiting is FiberClock's and FiberWaiter's: what waits
// otherwise, in a lock that is held for long or in a file, stops all that the reactor holds, and
// belongs into run_blocking() (offload.hpp).
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/socket_waiter.hpp"
#include "falproxy/system_clock.hpp"

namespace falproxy::serving {

class FiberContext;
class Reactor;

[[nodiscard]] inline TimePoint steady_now() noexcept { return std::chrono::steady_clock::now(); }

/// Calls it and drops what it throws, which is a lack of memory as a rule: one failure does not
/// stop the others. False: it threw.
bool safely(std::invocable auto&& call) noexcept {
  try {
    call();
    return true;
  } catch (...) {
    return false;
  }
}

/// Is told of a descriptor's events on the reactor's thread, where it must not block. What it
/// throws is dropped; so it is with Alarm and with calls that are posted.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void ready(std::uint32_t epoll_events) = 0;

 private:
  friend class Reactor;
  bool called_again_ = false;
};

/// Rings once, on the reactor's thread, where it must not block. Not to be destroyed while it is
/// set.
class Alarm {
 public:
  virtual ~Alarm() = default;
  virtual void ring() = 0;
  [[nodiscard]] bool is_set() const noexcept { return set_; }

 private:
  friend class Reactor;
  using Timers = std::multimap<TimePoint, Alarm*>;
  Timers::node_type node_;  // kept while it is not set: nothing is allocated for the next time
  Timers::iterator place_;
  bool set_ = false;
};

class Reactor {
 public:
  struct Options {
    std::size_t stack_bytes = 256u << 10;  ///< of each fiber, besides a guard page
    Milliseconds idle{10'000};             ///< a stack that nobody used for so long is given back
    std::size_t max_fibers = 16'000;
  };
  /// Half as many reactors as the machine has cores: as many again compute in the offload pool,
  /// log, and do what the kernel does for sockets.
  [[nodiscard]] static std::size_t default_count() noexcept;

  struct Fiber;
  /// One wait of one fiber: whoever holds it can end that wait, and no other.
  struct Pass {
    Fiber* fiber;
    std::uint64_t wait;
  };

  /// Null: the system gives no epoll, or no thread.
  [[nodiscard]] static std::unique_ptr<Reactor> create(const Options& options);
  /// Waits for all its fibers to return.
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  // Any thread.
  /// The reactor whose thread this is; null elsewhere.
  [[nodiscard]] static Reactor* current() noexcept;
  [[nodiscard]] static bool on_fiber() noexcept;
  /// Runs `call` on the reactor's thread, on no fiber.
  void post(std::function<void()> call);
  void wake(Pass pass);
  [[nodiscard]] std::size_t fibers() const noexcept { return busy_.load(); }  ///< not returned yet
  [[nodiscard]] std::size_t stacks() const noexcept { return stacks_.load(); }

  // The reactor's thread.
  /// Runs `task` on a fiber: at once, until it waits; or, called from a fiber, once that one waits.
  /// What it throws must be caught in it. False: there are too many, or there is no memory for a
  /// stack.
  [[nodiscard]] bool spawn(std::function<void()> task);
  /// For these events from now on, until unwatch(). False: the system has no memory for it.
  [[nodiscard]] bool watch(int descriptor, std::uint32_t epoll_events, Watcher& watcher) noexcept;
  /// From the next round on nothing more is heard of it. close() alone is not enough: a process
  /// that is just being begun may still have a copy of the descriptor, which keeps it watched.
  void unwatch(int descriptor) noexcept;
  void set(Alarm& alarm, TimePoint when);
  void cancel(Alarm& alarm);
  /// Tells `watcher`, with no events, when all others have had their turn; once, however often it
  /// is asked to.
  void call_again(Watcher& watcher);
  /// Destroys it when this round is over. Until then events may still come.
  void bury(std::unique_ptr<Watcher> watcher);

  // A fiber of this reactor.
  [[nodiscard]] Pass pass() const noexcept;
  /// Waits for wake() with the pass that pass() gave before. False: `deadline` came first.
  bool park(TimePoint deadline);
  /// Lets all others have their turn.
  void yield();
  /// Whose the running fiber is; so are those that it spawns. Null until it is set.
  [[nodiscard]] void*& local() noexcept;
  /// What else goes with the running fiber, such as the span of a trace; those that it spawns begin
  /// with it.
  [[nodiscard]] std::shared_ptr<const void>& carried() noexcept;
  [[nodiscard]] bool wait_for_socket(int socket, short events, TimePoint deadline);

 private:
  explicit Reactor(const Options& options);
  void ring_bell() const noexcept;
  void run();
  [[nodiscard]] bool take_messages();
  void run_ready();
  void run_again();
  void resume(Fiber& fiber);
  void retire(Fiber& fiber);
  void make_ready(Fiber& fiber, bool in_time);
  void append_ready(Fiber& fiber) noexcept;
  [[nodiscard]] Fiber* take_fiber();
  void free_one_stack();
  [[nodiscard]] int milliseconds_to_wait();
  void wait_for_events();

  const Options options_;
  int epoll_ = -1;
  int bell_ = -1;
  std::atomic<std::size_t> busy_{0};
  std::atomic<std::size_t> stacks_{0};

  std::mutex mutex_;
  std::vector<std::function<void()>> calls_;
  bool asleep_ = false;
  bool stopping_ = false;

  // The reactor's thread's.
  FiberContext* own_ = nullptr;
  Fiber* running_ = nullptr;
  Alarm::Timers timers_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::deque<Fiber*> rested_;  // with their stacks; the one that rested last is the last
  std::vector<Fiber*> bare_;
  Fiber* first_ready_ = nullptr;
  Fiber* last_ready_ = nullptr;
  std::deque<Watcher*> again_;
  std::vector<std::unique_ptr<Watcher>> buried_;

  std::thread thread_;
};

/// All reactors of a program.
using Reactors = std::vector<std::unique_ptr<Reactor>>;
/// `options.max_fibers` is for all together. Those that the system does not give are left out.
[[nodiscard]] Reactors make_reactors(Reactor::Options options,
                                     std::size_t count = Reactor::default_count());

/// Fibers that somebody waits for. All of them, and who waits, belong to one reactor.
class FiberGroup {
 public:
  /// As Reactor::spawn(); what `task` throws is dropped.
  [[nodiscard]] bool spawn(std::function<void()> task);
  void wait();
  [[nodiscard]] bool is_empty() const noexcept { return running_ == 0; }

 private:
  std::size_t running_ = 0;
  std::optional<Reactor::Pass> waiter_;
};

/// On a fiber, lets the reactor's others run meanwhile; elsewhere a PollWaiter.
class FiberWaiter final : public SocketWaiter {
 public:
  bool wait(int socket, short events, TimePoint deadline) override;
};

/// SystemClock, whose sleep lets the reactor's other fibers run.
class FiberClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const override { return system_.now(); }
  [[nodiscard]] WallTime wall_now() const override { return system_.wall_now(); }
  bool sleep_until(TimePoint until, std::stop_token stop) override;

 private:
  SystemClock system_;
};

}  // namespace falproxy::serving
