// executor.hpp: where several jobs of one request run side by side. The library has no thread of
// its own.
#pragma once

#include <functional>
#include <span>

namespace falproxy {

/// Thread-safe. `ThreadExecutor` of falproxy::http uses threads; `InlineExecutor` below runs one
/// after the other.
class Executor {
 public:
  virtual ~Executor() = default;
  /// Runs every task, one of them on the calling thread, and returns when all have returned. Tasks
  /// do not throw.
  virtual void run_all(std::span<const std::function<void()>> tasks) = 0;
  /// Runs `task`, which blocks its thread (a file) or computes for milliseconds (an OpenAPI
  /// document), and returns when it has returned; what it throws, this throws. Unless overridden,
  /// on the calling thread: enough where each caller has a thread of its own.
  virtual void run_blocking(const std::function<void()>& task) { task(); }
};

/// Runs the tasks in order on the calling thread.
class InlineExecutor final : public Executor {
 public:
  void run_all(std::span<const std::function<void()>> tasks) override {
    for (const std::function<void()>& task : tasks) task();
  }
};

}  // namespace falproxy
