#include "fibers.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>

#include "fiber_context.hpp"

namespace falproxy::app {
namespace {

TimePoint steady_now() noexcept { return std::chrono::steady_clock::now(); }

struct Fiber;
using Timers = std::multimap<TimePoint, Fiber*>;

// The carrier's, but for the time that it is in the hands of submit(). Never freed before the
// carrier: somebody may still mean to wake it.
struct Fiber {
  std::unique_ptr<FiberContext> context;
  std::function<void()> task;
  bool waits = true;
  bool woken = false;      // in time
  std::uint64_t wait = 0;  // which one: the number that who wakes it must know
  Timers::node_type timer;
  Timers::iterator place;  // of the timer, while it is set
  bool timed = false;      // it is set
  TimePoint rested_at;
};

}  // namespace

class Fibers::Carrier {
 public:
  explicit Carrier(const Options& options);
  ~Carrier();
  Carrier(const Carrier&) = delete;
  Carrier& operator=(const Carrier&) = delete;

  /// Whether it has what it needs; otherwise it is only to be destroyed.
  [[nodiscard]] bool works() const noexcept { return thread_.joinable(); }
  [[nodiscard]] std::size_t load() const noexcept { return load_.load(std::memory_order_relaxed); }

  // Any thread.
  [[nodiscard]] bool submit(std::function<void()>&& task);
  [[nodiscard]] std::size_t stacks() const;

  // A fiber of this carrier.
  [[nodiscard]] static Carrier* current() noexcept;
  bool wait_for_socket(int socket, short events, TimePoint deadline);
  void sleep_until(TimePoint until, const std::stop_token& stop);
  void run_all(std::span<const std::function<void()>> tasks);
  void run_elsewhere(Workers& workers, const std::function<void()>& task);

 private:
  struct Message {
    Fiber* fiber;
    std::uint64_t wait;
  };

  [[nodiscard]] bool post(Message message);
  void ring() const noexcept;
  void wake(Message message);
  bool park(TimePoint deadline);

  void run();
  bool take_messages();
  void run_ready();
  void retire(Fiber& fiber);
  void wait_for_events();
  void make_ready(Fiber& fiber, bool in_time);

  static thread_local Carrier* here;

  const Options options_;
  int epoll_fd_ = -1;
  int wake_fd_ = -1;
  std::atomic<std::size_t> load_{0};

  mutable std::mutex mutex_;
  std::vector<Message> messages_;
  std::deque<Fiber*> rested_;  // with their stacks; the one that rested last is the last
  std::vector<Fiber*> bare_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  bool asleep_ = false;
  bool stopping_ = false;

  // The carrier's thread's.
  FiberContext* own_ = nullptr;
  Fiber* running_ = nullptr;
  Timers timers_;
  std::vector<Message> taken_;
  std::vector<Fiber*> ready_;
  std::vector<Fiber*> batch_;

  std::thread thread_;
};

thread_local Fibers::Carrier* Fibers::Carrier::here = nullptr;

Fibers::Carrier::Carrier(const Options& options) : options_(options) {
  epoll_fd_ = ::epoll_create1(EPOLL_CLOEXEC);
  wake_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  // Edge-triggered: it need not be read.
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.ptr = nullptr}};
  if (epoll_fd_ < 0 || wake_fd_ < 0 || ::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event) != 0)
    return;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    return;  // it does not work
  }
}

Fibers::Carrier::~Carrier() {
  if (works()) {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    ring();
    thread_.join();
  }
  for (const int fd : {epoll_fd_, wake_fd_}) {
    if (fd >= 0) ::close(fd);
  }
}

Fibers::Carrier* Fibers::Carrier::current() noexcept {
  return here != nullptr && here->running_ != nullptr ? here : nullptr;
}

bool Fibers::Carrier::submit(std::function<void()>&& task) {
  std::unique_lock lock(mutex_);
  Fiber* fiber = nullptr;
  if (!rested_.empty()) {
    fiber = rested_.back();
    rested_.pop_back();
  } else {
    if (bare_.empty()) {
      if (fibers_.size() >= options_.max_stacks) return false;
      fibers_.push_back(std::make_unique<Fiber>());
      bare_.push_back(fibers_.back().get());
    }
    fiber = bare_.back();
    fiber->context = FiberContext::create(options_.stack_bytes, [this, fiber] {
      while (true) {
        fiber->task();
        fiber->task = nullptr;  // what it holds goes before the fiber rests
        fiber->context->switch_to(*own_);
      }
    });
    if (fiber->context == nullptr) return false;
    bare_.pop_back();
  }
  fiber->task = std::move(task);
  load_.fetch_add(1, std::memory_order_relaxed);
  const bool asleep = post({fiber, fiber->wait});
  lock.unlock();
  if (asleep) ring();
  return true;
}

std::size_t Fibers::Carrier::stacks() const {
  const std::lock_guard lock(mutex_);
  return fibers_.size() - bare_.size();
}

// Under the mutex. True: the carrier sleeps.
bool Fibers::Carrier::post(Message message) {
  messages_.push_back(message);
  return std::exchange(asleep_, false);
}

void Fibers::Carrier::ring() const noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(wake_fd_, &one, sizeof one));
}

// ---- a fiber

// False: the deadline came first.
bool Fibers::Carrier::park(TimePoint deadline) {
  Fiber& fiber = *running_;
  if (fiber.timer.empty()) {
    fiber.place = timers_.emplace(deadline, &fiber);
  } else {
    fiber.timer.key() = deadline;
    fiber.place = timers_.insert(std::move(fiber.timer));
  }
  fiber.timed = true;
  fiber.waits = true;
  fiber.context->switch_to(*own_);
  return fiber.woken;
}

bool Fibers::Carrier::wait_for_socket(int socket, short events, TimePoint deadline) {
  epoll_event event{.events = static_cast<std::uint32_t>(events) | EPOLLONESHOT,
                    .data = {.ptr = running_}};
  if (::epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, socket, &event) != 0 &&
      ::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, socket, &event) != 0) {
    park(std::min(deadline, steady_now() + Milliseconds(1)));  // no memory for it: look again
    return steady_now() < deadline;
  }
  if (park(deadline)) return true;
  ::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, socket, nullptr);
  return false;
}

void Fibers::Carrier::sleep_until(TimePoint until, const std::stop_token& stop) {
  const Message alarm{running_, running_->wait};
  const std::stop_callback on_stop(stop, [this, alarm] { wake(alarm); });
  if (stop.stop_requested()) {
    ++running_->wait;  // an alarm that is on its way is for nobody
  } else {
    park(until);
  }
}

void Fibers::Carrier::run_all(std::span<const std::function<void()>> tasks) {
  if (tasks.empty()) return;
  Fiber* const self = running_;
  std::size_t left = tasks.size() - 1;
  bool waits_for_them = false;  // and not for something of its own task's
  std::vector<const std::function<void()>*> own = {&tasks.front()};
  for (const std::function<void()>& task : tasks.subspan(1)) {
    const bool taken = submit([this, self, &task, &left, &waits_for_them] {
      task();
      if (--left == 0 && waits_for_them) wake({self, self->wait});
    });
    if (!taken) own.push_back(&task);
  }
  for (const std::function<void()>* task : own) (*task)();
  left -= own.size() - 1;
  waits_for_them = true;
  while (left > 0) park(TimePoint::max());
}

void Fibers::Carrier::run_elsewhere(Workers& workers, const std::function<void()>& task) {
  const Message done{running_, running_->wait};
  std::exception_ptr fault;
  const bool taken = workers.submit([this, &task, &fault, done] {
    try {
      task();
    } catch (...) {
      fault = std::current_exception();
    }
    wake(done);
  });
  if (!taken) return task();
  park(TimePoint::max());
  if (fault) std::rethrow_exception(std::move(fault));
}

// Any thread.
void Fibers::Carrier::wake(Message message) {
  if (here != this) {
    // Rings under the mutex: who has taken the message may be gone a moment later, carrier and all.
    const std::lock_guard lock(mutex_);
    if (post(message)) ring();
    return;
  }
  if (message.fiber->waits && message.fiber->wait == message.wait) make_ready(*message.fiber, true);
}

// ---- the carrier

void Fibers::Carrier::run() {
  FiberContext own;
  own_ = &own;
  here = this;
  while (take_messages()) {
    run_ready();
    wait_for_events();
  }
}

bool Fibers::Carrier::take_messages() {
  {
    const std::lock_guard lock(mutex_);
    asleep_ = false;
    taken_.swap(messages_);
    if (stopping_ && taken_.empty() && load() == 0) return false;
  }
  for (const Message& message : taken_) wake(message);
  taken_.clear();
  return true;
}

void Fibers::Carrier::make_ready(Fiber& fiber, bool in_time) {
  if (std::exchange(fiber.timed, false)) fiber.timer = timers_.extract(fiber.place);
  fiber.waits = false;
  fiber.woken = in_time;
  ++fiber.wait;
  ready_.push_back(&fiber);
}

void Fibers::Carrier::run_ready() {
  batch_.swap(ready_);
  for (Fiber* fiber : batch_) {
    running_ = fiber;
    own_->switch_to(*fiber->context);
    running_ = nullptr;
    if (!fiber->waits) retire(*fiber);
  }
  batch_.clear();
}

// Its task has returned.
void Fibers::Carrier::retire(Fiber& fiber) {
  fiber.waits = true;
  fiber.rested_at = steady_now();
  load_.fetch_sub(1, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  rested_.push_back(&fiber);
}

void Fibers::Carrier::wait_for_events() {
  TimePoint until = timers_.empty() ? TimePoint::max() : timers_.begin()->first;
  {
    const std::lock_guard lock(mutex_);
    if (!rested_.empty() && steady_now() >= rested_.front()->rested_at + options_.idle) {
      rested_.front()->context = nullptr;
      bare_.push_back(rested_.front());
      rested_.pop_front();
    }
    if (!rested_.empty()) until = std::min(until, rested_.front()->rested_at + options_.idle);
    const bool over = stopping_ && load() == 0;
    asleep_ = messages_.empty() && ready_.empty() && !over;
    if (!asleep_) until = TimePoint::min();
  }
  int timeout = 0;
  if (until == TimePoint::max()) {
    timeout = -1;
  } else if (const TimePoint now = steady_now(); until > now) {
    timeout = static_cast<int>(
        std::min<std::int64_t>(std::chrono::ceil<Milliseconds>(until - now).count(), 3'600'000));
  }
  std::array<epoll_event, 128> events;
  const int n = ::epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), timeout);
  for (int i = 0; i < n; ++i) {
    void* const fiber = events[static_cast<std::size_t>(i)].data.ptr;
    if (fiber != nullptr && static_cast<Fiber*>(fiber)->waits)
      make_ready(*static_cast<Fiber*>(fiber), true);
  }
  if (timers_.empty()) return;
  const TimePoint now = steady_now();
  while (!timers_.empty() && timers_.begin()->first <= now)
    make_ready(*timers_.begin()->second, false);
}

// ---- Fibers

std::size_t Fibers::default_carriers() noexcept {
  return std::max(1U, std::thread::hardware_concurrency() / 2);
}

Fibers::Fibers(Workers& workers, Options options) : workers_(workers) {
  options.max_stacks = std::max<std::size_t>(1, options.max_stacks / options.carriers);
  for (std::size_t i = 0; i < options.carriers; ++i) {
    auto carrier = std::make_unique<Carrier>(options);
    if (carrier->works()) carriers_.push_back(std::move(carrier));
  }
}

Fibers::~Fibers() = default;

bool Fibers::submit(std::function<void()> task) {
  const auto least = std::ranges::min_element(carriers_, {}, &Carrier::load);
  return least != carriers_.end() && (*least)->submit(std::move(task));
}

void Fibers::run_all(std::span<const std::function<void()>> tasks) {
  Carrier* const carrier = Carrier::current();
  return carrier != nullptr ? carrier->run_all(tasks) : workers_.run_all(tasks);
}

void Fibers::run_blocking(const std::function<void()>& task) {
  Carrier* const carrier = Carrier::current();
  return carrier != nullptr ? carrier->run_elsewhere(workers_, task) : task();
}

std::size_t Fibers::count() const noexcept {
  std::size_t all = 0;
  for (const auto& carrier : carriers_) all += carrier->load();
  return all;
}

std::size_t Fibers::stacks() const {
  std::size_t all = 0;
  for (const auto& carrier : carriers_) all += carrier->stacks();
  return all;
}

bool FiberWaiter::wait(int socket, short events, TimePoint deadline) {
  Fibers::Carrier* const carrier = Fibers::Carrier::current();
  if (carrier == nullptr) return PollWaiter().wait(socket, events, deadline);
  return carrier->wait_for_socket(socket, events, deadline);
}

bool FiberClock::sleep_until(TimePoint until, std::stop_token stop) {
  Fibers::Carrier* const carrier = Fibers::Carrier::current();
  if (carrier == nullptr) return system_.sleep_until(until, std::move(stop));
  carrier->sleep_until(until, stop);
  return !stop.stop_requested();
}

}  // namespace falproxy::app
