// thread_executor.hpp: runs the tasks of one call side by side, each on a thread of its own.
#pragma once

#include <cstddef>

#include "falproxy/executor.hpp"

namespace falproxy::inline v0 {

/// Thread-safe. The first task runs on the calling thread, the others on threads with small stacks
/// that end with the call.
class ThreadExecutor final : public Executor {
 public:
  /// `stack_bytes`: of each thread, besides its guard page; 0: the system's default.
  explicit ThreadExecutor(std::size_t stack_bytes = 0) : stack_bytes_(stack_bytes) {}
  void run_all(std::span<const std::function<void()>> tasks) override;

 private:
  std::size_t stack_bytes_;
};

}  // namespace falproxy::inline v0
