#include "serving/reactor.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <stop_token>
#include <system_error>
#include <utility>

#include "serving/fiber.hpp"

namespace falproxy::serving {
namespace {

thread_local Reactor* here = nullptr;

}  // namespace

// Never freed before the reactor: somebody may still mean to wake it.
struct Reactor::Fiber final : Alarm, Watcher {
  explicit Fiber(Reactor& of) noexcept : reactor(of) {}
  void ring() override { reactor.make_ready(*this, false); }
  void ready(std::uint32_t) override {
    if (waits) reactor.make_ready(*this, true);
  }

  Reactor& reactor;
  std::unique_ptr<FiberContext> context;
  std::function<void()> task;
  void* local = nullptr;
  std::shared_ptr<const void> carried;
  bool waits = false;
  bool in_time = false;
  std::uint64_t wait = 0;
  TimePoint rested_at;
  Fiber* next = nullptr;  // of those that are ready
};

std::unique_ptr<Reactor> Reactor::create(const Options& options) {
  std::unique_ptr<Reactor> reactor(new Reactor(options));
  return reactor->thread_.joinable() ? std::move(reactor) : nullptr;
}

Reactor::Reactor(const Options& options) : options_(options) {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  bell_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  // Edge-triggered: it need not be read.
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.ptr = nullptr}};
  if (epoll_ < 0 || bell_ < 0 || ::epoll_ctl(epoll_, EPOLL_CTL_ADD, bell_, &event) != 0) return;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    return;  // create() sees that there is no thread
  }
}

Reactor::~Reactor() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      ring_bell();
    }
    thread_.join();
  }
  for (const int descriptor : {epoll_, bell_}) {
    if (descriptor >= 0) ::close(descriptor);
  }
}

// ---- any thread

Reactor* Reactor::current() noexcept { return here; }
bool Reactor::on_fiber() noexcept { return here != nullptr && here->running_ != nullptr; }

void Reactor::ring_bell() const noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(bell_, &one, sizeof one));
}

// It rings under the mutex: who has taken the message may be gone a moment later, reactor and all.
void Reactor::post(std::function<void()> call) {
  const std::lock_guard lock(mutex_);
  calls_.push_back(std::move(call));
  if (std::exchange(asleep_, false)) ring_bell();
}

void Reactor::wake(Pass pass) {
  if (here != this) return post([this, pass] { wake(pass); });
  if (pass.fiber->waits && pass.fiber->wait == pass.wait) make_ready(*pass.fiber, true);
}

// ---- the reactor's thread

bool Reactor::watch(int descriptor, std::uint32_t epoll_events, Watcher& watcher) noexcept {
  epoll_event event{.events = epoll_events, .data = {.ptr = &watcher}};
  return ::epoll_ctl(epoll_, EPOLL_CTL_MOD, descriptor, &event) == 0 ||
         ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

void Reactor::unwatch(int descriptor) noexcept {
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr);
}

void Reactor::set(Alarm& alarm, TimePoint when) {
  cancel(alarm);
  if (alarm.node_.empty()) {
    alarm.place_ = timers_.emplace(when, &alarm);
  } else {
    alarm.node_.key() = when;
    alarm.place_ = timers_.insert(std::move(alarm.node_));
  }
  alarm.set_ = true;
}

void Reactor::cancel(Alarm& alarm) {
  if (std::exchange(alarm.set_, false)) alarm.node_ = timers_.extract(alarm.place_);
}

void Reactor::call_again(Watcher& watcher) {
  if (!watcher.called_again_) again_.push_back(&watcher);
  watcher.called_again_ = true;
}

void Reactor::bury(std::unique_ptr<Watcher> watcher) {
  if (watcher->called_again_) std::erase(again_, watcher.get());
  try {
    buried_.emplace_back();
  } catch (...) {
    static_cast<void>(watcher.release());  // it may be the one that runs: rather lost than gone
    return;
  }
  buried_.back() = std::move(watcher);
}

bool Reactor::spawn(std::function<void()> task) {
  Fiber* const fiber = take_fiber();
  if (fiber == nullptr) return false;
  fiber->task = std::move(task);
  fiber->local = running_ == nullptr ? nullptr : running_->local;
  fiber->carried = running_ == nullptr ? nullptr : running_->carried;
  busy_.fetch_add(1, std::memory_order_relaxed);
  if (running_ != nullptr) {
    append_ready(*fiber);
  } else {
    resume(*fiber);
  }
  return true;
}

Reactor::Fiber* Reactor::take_fiber() {
  if (!rested_.empty()) {
    Fiber* const fiber = rested_.back();
    rested_.pop_back();
    return fiber;
  }
  if (bare_.empty()) {
    if (fibers_.size() >= options_.max_fibers) return nullptr;
    fibers_.push_back(std::make_unique<Fiber>(*this));
    bare_.push_back(fibers_.back().get());
  }
  Fiber* const fiber = bare_.back();
  fiber->context = FiberContext::create(options_.stack_bytes, [this, fiber] {
    while (true) {
      safely(fiber->task);
      fiber->task = nullptr;  // what it holds goes before the fiber rests
      fiber->carried = nullptr;
      fiber->context->switch_to(*own_);
    }
  });
  if (fiber->context == nullptr) return nullptr;
  bare_.pop_back();
  stacks_.fetch_add(1, std::memory_order_relaxed);
  return fiber;
}

void Reactor::resume(Fiber& fiber) {
  running_ = &fiber;
  own_->switch_to(*fiber.context);
  running_ = nullptr;
  if (fiber.task == nullptr) retire(fiber);
}

void Reactor::retire(Fiber& fiber) {
  fiber.rested_at = steady_now();
  busy_.fetch_sub(1, std::memory_order_relaxed);
  rested_.push_back(&fiber);
}

void Reactor::make_ready(Fiber& fiber, bool in_time) {
  cancel(fiber);
  fiber.waits = false;
  fiber.in_time = in_time;
  ++fiber.wait;
  append_ready(fiber);
}

// Takes no memory, of which there may be none: a fiber must not be lost.
void Reactor::append_ready(Fiber& fiber) noexcept {
  (last_ready_ == nullptr ? first_ready_ : last_ready_->next) = &fiber;
  last_ready_ = &fiber;
}

void Reactor::run() {
  FiberContext own;
  own_ = &own;
  here = this;
  while (take_messages()) {
    run_ready();
    run_again();
    free_one_stack();
    buried_.clear();
    wait_for_events();
  }
  buried_.clear();
}

bool Reactor::take_messages() {
  std::vector<std::function<void()>> calls;
  {
    const std::lock_guard lock(mutex_);
    asleep_ = false;
    calls.swap(calls_);
    if (stopping_ && calls.empty() && fibers() == 0) return false;
  }
  for (const std::function<void()>& call : calls) safely(call);
  return true;
}

void Reactor::run_ready() {
  last_ready_ = nullptr;
  Fiber* batch = std::exchange(first_ready_, nullptr);
  while (batch != nullptr) {
    Fiber& fiber = *batch;
    batch = std::exchange(fiber.next, nullptr);
    resume(fiber);
  }
}

void Reactor::run_again() {
  for (std::size_t left = again_.size(); left > 0 && !again_.empty(); --left) {
    Watcher* const watcher = again_.front();
    again_.pop_front();
    watcher->called_again_ = false;
    safely([&] { watcher->ready(0); });
  }
}

void Reactor::free_one_stack() {
  if (rested_.empty() || steady_now() < rested_.front()->rested_at + options_.idle) return;
  rested_.front()->context = nullptr;
  bare_.push_back(rested_.front());
  rested_.pop_front();
  stacks_.fetch_sub(1, std::memory_order_relaxed);
}

int Reactor::milliseconds_to_wait() {
  TimePoint until = timers_.empty() ? TimePoint::max() : timers_.begin()->first;
  if (!rested_.empty()) until = std::min(until, rested_.front()->rested_at + options_.idle);
  {
    const std::lock_guard lock(mutex_);
    const bool over = stopping_ && fibers() == 0;
    asleep_ = calls_.empty() && first_ready_ == nullptr && again_.empty() && !over;
    if (!asleep_) return 0;
  }
  if (until == TimePoint::max()) return -1;
  const auto left = std::chrono::ceil<Milliseconds>(until - steady_now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
}

void Reactor::wait_for_events() {
  std::array<epoll_event, 128> events;
  const int n =
      ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), milliseconds_to_wait());
  for (int i = 0; i < n; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    Watcher* const watcher = static_cast<Watcher*>(event.data.ptr);
    if (watcher != nullptr) safely([&] { watcher->ready(event.events); });
  }
  if (timers_.empty()) return;
  const TimePoint now = steady_now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    Alarm& alarm = *timers_.begin()->second;
    cancel(alarm);
    safely([&] { alarm.ring(); });
  }
}

// ---- a fiber

Reactor::Pass Reactor::pass() const noexcept { return {running_, running_->wait}; }
void*& Reactor::local() noexcept { return running_->local; }
std::shared_ptr<const void>& Reactor::carried() noexcept { return running_->carried; }

bool Reactor::park(TimePoint deadline) {
  Fiber& fiber = *running_;
  if (deadline != TimePoint::max()) set(fiber, deadline);
  fiber.waits = true;
  fiber.context->switch_to(*own_);
  return fiber.in_time;
}

void Reactor::yield() {
  append_ready(*running_);
  running_->context->switch_to(*own_);
}

bool Reactor::wait_for_socket(int socket, short events, TimePoint deadline) {
  if (!watch(socket, static_cast<std::uint32_t>(events) | EPOLLONESHOT, *running_)) {
    park(std::min(deadline, steady_now() + Milliseconds(1)));  // no memory for it: look again
    return steady_now() < deadline;
  }
  if (park(deadline)) return true;
  unwatch(socket);
  return false;
}

bool FiberGroup::spawn(std::function<void()> task) {
  Reactor& reactor = *here;
  const bool runs = reactor.spawn([this, &reactor, task = std::move(task)]() mutable {
    safely(task);
    task = nullptr;  // what it holds goes first
    if (--running_ == 0 && waiter_) reactor.wake(*waiter_);
  });
  if (runs) ++running_;
  return runs;
}

void FiberGroup::wait() {
  while (running_ > 0) {
    waiter_ = here->pass();
    here->park(TimePoint::max());
  }
}

// ---- all of them

std::size_t Reactor::default_count() noexcept {
  return std::max(1U, std::thread::hardware_concurrency() / 2);
}

Reactors make_reactors(Reactor::Options options, std::size_t count) {
  options.max_fibers = std::max<std::size_t>(1, options.max_fibers / count);
  Reactors reactors;
  for (std::size_t i = 0; i < count; ++i) {
    if (auto reactor = Reactor::create(options)) reactors.push_back(std::move(reactor));
  }
  return reactors;
}

bool FiberWaiter::wait(int socket, short events, TimePoint deadline) {
  if (!Reactor::on_fiber()) return PollWaiter().wait(socket, events, deadline);
  return here->wait_for_socket(socket, events, deadline);
}

bool FiberClock::sleep_until(TimePoint until, std::stop_token stop) {
  if (!Reactor::on_fiber()) return system_.sleep_until(until, std::move(stop));
  Reactor& reactor = *here;
  const Reactor::Pass alarm = reactor.pass();
  const std::stop_callback on_stop(stop, [&reactor, alarm] { reactor.wake(alarm); });
  reactor.park(stop.stop_requested() ? TimePoint() : until);
  return !stop.stop_requested();
}

}  // namespace falproxy::serving
