// offload.hpp: a few threads for what computes for milliseconds or blocks: pictures, masks, long
// JSON, documents, files.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "falproxy/executor.hpp"

namespace falproxy::serving {

/// Thread-safe. The Executor of code that runs on fibers.
class Offload final : public Executor {
 public:
  /// As many as the machine has cores.
  [[nodiscard]] static std::size_t default_threads() noexcept;
  explicit Offload(std::size_t threads = default_threads());
  /// Waits for all tasks to return.
  ~Offload() override;
  Offload(const Offload&) = delete;
  Offload& operator=(const Offload&) = delete;

  /// On a fiber, the first task runs on it and the others on fibers beside it. Elsewhere they run
  /// one after the other.
  void run_all(std::span<const std::function<void()>> tasks) override;
  /// On a fiber, one of the threads runs `task` while the fiber waits. Fibers take turns by what
  /// they belong to (Reactor::local()): a request with many tasks holds up those of others by one
  /// at most. Elsewhere the caller runs it.
  void run_blocking(const std::function<void()>& task) override;

  [[nodiscard]] std::size_t waiting() const;  ///< tasks that no thread has begun

 private:
  void work();

  mutable std::mutex mutex_;
  std::condition_variable more_;
  using Tasks = std::deque<std::function<void()>>;
  std::unordered_map<const void*, Tasks> tasks_;  // by whose they are; none is empty
  std::list<const void*> turns_;                  // each of tasks_ once
  std::size_t waiting_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace falproxy::serving
