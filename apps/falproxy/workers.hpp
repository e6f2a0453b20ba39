// workers.hpp: threads that grow with need and go when they are idle.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "falproxy/clock.hpp"
#include "falproxy/executor.hpp"

namespace falproxy::app {

/// Thread-safe. The thread that rested last is woken first, so that the others can grow old and go.
class Workers final : public Executor {
 public:
  struct Options {
    std::size_t max_threads = 8000;
    std::size_t stack_bytes = default_stack_bytes;  ///< of each, besides a guard page
    Milliseconds idle{10'000};                      ///< a thread that rested for so long ends
  };
  /// docs/performance.md has the measurement.
  static constexpr std::size_t default_stack_bytes = 256u << 10;

  explicit Workers(Options options);
  /// Waits for all tasks to return.
  ~Workers() override;
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// Runs `task` on a thread of its own, at once. False: every thread is busy and there may be no
  /// more of them.
  [[nodiscard]] bool submit(std::function<void()> task);

  /// Executor: the first task runs on the calling thread; so do those for which there is no other.
  void run_all(std::span<const std::function<void()>> tasks) override;

  [[nodiscard]] std::size_t threads() const;
  [[nodiscard]] std::size_t idle_threads() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace falproxy::app
