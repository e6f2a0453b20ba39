// fibers.hpp: requests that mostly wait, thousands of them on a few threads.
//
// A fiber is a stack of its own that a thread (its carrier) runs until it has to wait; then the
// carrier runs another one (docs/decisions/0014). Waiting is FiberClock's and FiberWaiter's: what
// waits otherwise - in a lock that is held for long, in a file - stops all fibers of its carrier,
// and belongs into run_blocking().
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "falproxy/executor.hpp"
#include "falproxy/socket_waiter.hpp"
#include "falproxy/system_clock.hpp"
#include "workers.hpp"

namespace falproxy::app {

/// Thread-safe. A task stays on one carrier, so that errno and the like remain its own between two
/// waits.
class Fibers final : public Executor {
 public:
  struct Options {
    std::size_t carriers = default_carriers();
    std::size_t stack_bytes = Workers::default_stack_bytes;  ///< of each, besides a guard page
    Milliseconds idle{10'000};        ///< a stack that nobody used for so long is given back
    std::size_t max_stacks = 16'000;  ///< of all carriers together
  };
  /// Half as many as the machine has cores: as many again listen, log and do what workers do.
  [[nodiscard]] static std::size_t default_carriers() noexcept;

  /// `workers` outlive this: run_all() of what runs on no fiber is theirs.
  Fibers(Workers& workers, Options options);
  /// Waits for all tasks to return.
  ~Fibers() override;
  Fibers(const Fibers&) = delete;
  Fibers& operator=(const Fibers&) = delete;

  /// Runs `task` on a fiber of its own. False: there is no room or no memory for its stack.
  [[nodiscard]] bool submit(std::function<void()> task);

  /// Executor. On a fiber, the first task runs on it, the others on fibers beside it, or after it
  /// where there is no room for them.
  void run_all(std::span<const std::function<void()>> tasks) override;

  /// Executor. On a fiber, a worker runs `task` while the fiber waits. Elsewhere, or where no
  /// worker is to be had, the caller runs it.
  void run_blocking(const std::function<void()>& task) override;

  [[nodiscard]] std::size_t count() const noexcept;  ///< of tasks that have not returned
  [[nodiscard]] std::size_t stacks() const;          ///< in use or kept for the next task

 private:
  friend class FiberClock;
  friend class FiberWaiter;
  class Carrier;

  Workers& workers_;
  std::vector<std::unique_ptr<Carrier>> carriers_;
};

/// On a fiber, lets the carrier's others run meanwhile; elsewhere a PollWaiter.
class FiberWaiter final : public SocketWaiter {
 public:
  bool wait(int socket, short events, TimePoint deadline) override;
};

/// SystemClock, whose sleep lets the carrier's other fibers run.
class FiberClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const override { return system_.now(); }
  [[nodiscard]] WallTime wall_now() const override { return system_.wall_now(); }
  bool sleep_until(TimePoint until, std::stop_token stop) override;

 private:
  SystemClock system_;
};

}  // namespace falproxy::app
