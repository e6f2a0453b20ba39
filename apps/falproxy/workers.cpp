#include "workers.hpp"

#include <pthread.h>

#include <condition_variable>
#include <latch>
#include <mutex>
#include <utility>
#include <vector>

#include "sanitizers.hpp"

namespace falproxy::app {

struct Workers::Impl : std::enable_shared_from_this<Impl> {
  // In `resting` exactly while it has no task. Shared with who wakes it: that is done without the
  // lock, which the woken thread would have to wait for, and the thread may be gone by then.
  struct Worker {
    std::condition_variable woken;
    std::function<void()> task;
  };
  struct Start {
    std::shared_ptr<Impl> impl;
    std::function<void()> task;
  };

  explicit Impl(Options given) : options(given) {
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, options.stack_bytes * stack_factor);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  }
  ~Impl() { pthread_attr_destroy(&attributes); }

  bool submit(std::function<void()> task) {
    if (std::unique_lock lock(mutex); !resting.empty()) {
      const std::shared_ptr<Worker> worker = std::move(resting.back());
      resting.pop_back();
      worker->task = std::move(task);
      lock.unlock();
      worker->woken.notify_one();
      return true;
    } else if (stopping || threads >= options.max_threads) {
      return false;
    } else {
      ++threads;
    }
    auto start = std::make_unique<Start>(Start{shared_from_this(), std::move(task)});
    pthread_t thread{};
    if (pthread_create(&thread, &attributes, &Impl::enter, start.get()) == 0) {
      static_cast<void>(start.release());  // the thread owns it now
      return true;
    }
    std::lock_guard lock(mutex);
    --threads;
    gone.notify_all();
    return false;
  }

  static void* enter(void* argument) {
    const std::unique_ptr<Start> start(static_cast<Start*>(argument));
    start->impl->run(std::exchange(start->task, nullptr));
    return nullptr;
  }

  void run(std::function<void()> task) {
    const auto self = std::make_shared<Worker>();
    while (task) {
      task();
      task = nullptr;  // what it holds goes before the thread rests
      std::unique_lock lock(mutex);
      if (!stopping) {
        resting.push_back(self);
        self->woken.wait_for(lock, options.idle, [&] { return self->task != nullptr || stopping; });
        if (self->task == nullptr) std::erase(resting, self);
      }
      task = std::exchange(self->task, nullptr);
    }
    std::lock_guard lock(mutex);
    --threads;
    gone.notify_all();
  }

  const Options options;
  pthread_attr_t attributes{};
  std::mutex mutex;
  std::condition_variable gone;
  std::vector<std::shared_ptr<Worker>> resting;
  std::size_t threads = 0;
  bool stopping = false;
};

Workers::Workers(Options options) : impl_(std::make_shared<Impl>(options)) {}

Workers::~Workers() {
  std::unique_lock lock(impl_->mutex);
  impl_->stopping = true;
  for (const auto& worker : impl_->resting) worker->woken.notify_one();
  impl_->gone.wait(lock, [&] { return impl_->threads == 0; });
}

bool Workers::submit(std::function<void()> task) { return impl_->submit(std::move(task)); }

void Workers::run_all(std::span<const std::function<void()>> tasks) {
  if (tasks.empty()) return;
  std::latch others(static_cast<std::ptrdiff_t>(tasks.size() - 1));
  std::vector<const std::function<void()>*> own = {&tasks.front()};
  for (const std::function<void()>& task : tasks.subspan(1)) {
    const bool taken = impl_->submit([&task, &others] {
      task();
      others.count_down();
    });
    if (!taken) own.push_back(&task);
  }
  for (const std::function<void()>* task : own) (*task)();
  others.count_down(static_cast<std::ptrdiff_t>(own.size() - 1));
  others.wait();
}

std::size_t Workers::threads() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->threads;
}

std::size_t Workers::idle_threads() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->resting.size();
}

}  // namespace falproxy::app
