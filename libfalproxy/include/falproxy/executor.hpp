// executor.hpp: where several jobs of one request run side by side. The library has no thread of
// its own.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <utility>

namespace falproxy::inline v0 {

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
  /// on the calling thread: enough if each caller has a thread of its own.
  virtual void run_blocking(const std::function<void()>& task) { task(); }
};

/// What `task()` returns. By Executor::run_blocking() if there are so many `bytes` to work on that
/// it takes long.
template <class Task>
[[nodiscard]] auto run_by_size(Executor& executor, std::size_t bytes, Task&& task) {
  constexpr std::size_t many = 64u << 10;
  if (bytes <= many) return task();
  std::optional<decltype(task())> made;
  executor.run_blocking([&] { made.emplace(task()); });
  return *std::move(made);
}

/// Runs the tasks in order on the calling thread.
class InlineExecutor final : public Executor {
 public:
  void run_all(std::span<const std::function<void()>> tasks) override {
    for (const std::function<void()>& task : tasks) task();
  }
};

}  // namespace falproxy::inline v0
