#include "serving/offload.hpp"

#include <algorithm>
#include <exception>
#include <new>
#include <utility>

#include "serving/reactor.hpp"

namespace falproxy::serving {

std::size_t Offload::default_threads() noexcept {
  return std::max(1U, std::thread::hardware_concurrency());
}

Offload::Offload(std::size_t threads) {
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

Offload::~Offload() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  more_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Offload::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    more_.wait(lock, [this] { return stopping_ || waiting_ > 0; });
    if (waiting_ == 0) return;
    const auto next = tasks_.find(turns_.front());
    const std::function<void()> task = std::move(next->second.front());
    next->second.pop_front();
    --waiting_;
    turns_.splice(turns_.end(), turns_, turns_.begin());
    if (next->second.empty()) turns_.pop_back();
    if (next->second.empty()) tasks_.erase(next);
    lock.unlock();
    task();
    lock.lock();
  }
}

void Offload::run_all(std::span<const std::function<void()>> tasks) {
  std::vector<const std::function<void()>*> own;
  own.reserve(tasks.size());
  FiberGroup others;
  std::exception_ptr fault;
  try {
    for (const std::function<void()>& task : tasks) {
      const bool here = own.empty() || !Reactor::on_fiber();
      if (here || !others.spawn([&task] { task(); })) own.push_back(&task);
    }
    for (const std::function<void()>* task : own) (*task)();
  } catch (...) {  // those beside still refer to what is the caller's
    fault = std::current_exception();
  }
  others.wait();
  if (fault) std::rethrow_exception(std::move(fault));
}

void Offload::run_blocking(const std::function<void()>& task) {
  if (!Reactor::on_fiber()) return task();
  Reactor& reactor = *Reactor::current();
  std::exception_ptr fault;
  const auto run = [&reactor, &task, &fault, done = reactor.pass()] {
    try {
      task();
    } catch (...) {
      fault = std::current_exception();
    }
    reactor.wake(done);
  };
  {
    const std::lock_guard lock(mutex_);
    Tasks& own = tasks_[reactor.local()];
    own.emplace_back(std::ref(run));
    if (own.size() == 1 && !safely([&] { turns_.push_back(reactor.local()); })) {
      tasks_.erase(reactor.local());
      throw std::bad_alloc();
    }
    ++waiting_;
  }
  more_.notify_one();
  reactor.park(TimePoint::max());
  if (fault) std::rethrow_exception(std::move(fault));
}

std::size_t Offload::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_;
}

}  // namespace falproxy::serving
