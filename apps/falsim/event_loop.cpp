#include "event_loop.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace falsim {

falproxy::Result<std::unique_ptr<EventLoop>> EventLoop::create() {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  const int wakeup = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;
  if (epoll < 0 || wakeup < 0 || ::epoll_ctl(epoll, EPOLL_CTL_ADD, wakeup, &event) != 0) {
    if (epoll >= 0) ::close(epoll);
    if (wakeup >= 0) ::close(wakeup);
    return falproxy::Error{falproxy::ErrorKind::internal,
                           "falsim has no descriptor left for its event loop"};
  }
  return std::unique_ptr<EventLoop>(new EventLoop(epoll, wakeup));
}

EventLoop::~EventLoop() {
  ::close(epoll_);
  ::close(wakeup_);
}

bool EventLoop::add(int descriptor, std::uint32_t epoll_events, Watcher& watcher) {
  epoll_event event{};
  event.events = epoll_events;
  event.data.ptr = &watcher;
  return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

void EventLoop::change(int descriptor, std::uint32_t epoll_events, Watcher& watcher) {
  epoll_event event{};
  event.events = epoll_events;
  event.data.ptr = &watcher;
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, descriptor, &event);
}

void EventLoop::remove(int descriptor) { ::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr); }

void EventLoop::at(TimePoint when, Task task) {
  timers_.push(Timer{when, order_++, std::move(task)});
}

int EventLoop::milliseconds_to_next_timer() const {
  if (timers_.empty()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(timers_.top().when -
                                                                 std::chrono::steady_clock::now());
  if (left.count() <= 0) return 0;
  return left.count() > 60'000 ? 60'000 : static_cast<int>(left.count());
}

void EventLoop::run_timers() {
  while (!timers_.empty() && timers_.top().when <= now_) {
    // top() is const, but the element is removed at once: moving the task out of it changes no
    // order.
    Task task = std::move(const_cast<Timer&>(timers_.top()).task);
    timers_.pop();
    task();
  }
}

void EventLoop::run_posted() {
  std::uint64_t count = 0;
  (void)!::read(wakeup_, &count, sizeof count);
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(posted_);
  }
  for (Task& task : tasks) task();
}

void EventLoop::run_later() {
  while (!later_.empty()) {
    std::vector<Task> tasks;
    tasks.swap(later_);
    for (Task& task : tasks) task();
  }
}

void EventLoop::run() {
  std::array<epoll_event, 512> events{};
  while (!stopping_) {
    const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()),
                                   milliseconds_to_next_timer());
    now_ = std::chrono::steady_clock::now();
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.ptr == nullptr) {
        run_posted();
      } else {
        static_cast<Watcher*>(event.data.ptr)->on_ready(event.events);
      }
    }
    run_timers();
    run_later();
  }
}

void EventLoop::post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
  }
  const std::uint64_t one = 1;
  (void)!::write(wakeup_, &one, sizeof one);
}

void EventLoop::stop() {
  post([this] { stopping_ = true; });
}

}  // namespace falsim
