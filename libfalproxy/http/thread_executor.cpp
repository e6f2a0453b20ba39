#include "falproxy/thread_executor.hpp"

#include <pthread.h>

#include <algorithm>
#include <climits>
#include <functional>
#include <vector>

namespace falproxy::inline v0 {
namespace {

void* run_task(void* task) {
  (*static_cast<const std::function<void()>*>(task))();
  return nullptr;
}

class StackSize {
 public:
  explicit StackSize(std::size_t bytes) {
    ::pthread_attr_init(&attributes_);
    constexpr std::size_t page = 4096;
    const std::size_t least = static_cast<std::size_t>(PTHREAD_STACK_MIN);
    if (bytes > 0) {
      ::pthread_attr_setstacksize(&attributes_, (std::max(bytes, least) + page - 1) / page * page);
    }
  }
  ~StackSize() { ::pthread_attr_destroy(&attributes_); }
  StackSize(const StackSize&) = delete;
  StackSize& operator=(const StackSize&) = delete;
  [[nodiscard]] const pthread_attr_t* get() const noexcept { return &attributes_; }

 private:
  pthread_attr_t attributes_{};
};

}  // namespace

void ThreadExecutor::run_all(std::span<const std::function<void()>> tasks) {
  if (tasks.empty()) return;
  std::vector<pthread_t> threads;
  std::vector<const std::function<void()>*> own{&tasks.front()};
  if (tasks.size() > 1) {
    const StackSize stack(stack_bytes_);
    threads.reserve(tasks.size() - 1);
    for (const std::function<void()>& task : tasks.subspan(1)) {
      pthread_t thread{};
      // pthread wants a pointer to mutable data and gives it back unchanged.
      auto* argument = const_cast<std::function<void()>*>(&task);
      if (::pthread_create(&thread, stack.get(), run_task, argument) == 0) {
        threads.push_back(thread);
      } else {
        own.push_back(&task);  // no thread to be had: it runs here, after the first
      }
    }
  }
  for (const std::function<void()>* task : own) (*task)();
  for (const pthread_t thread : threads) ::pthread_join(thread, nullptr);
}

}  // namespace falproxy::inline v0
