#include <doctest/doctest.h>
#include <pthread.h>
#include <sys/resource.h>

#include <atomic>
#include <functional>
#include <set>
#include <thread>
#include <vector>

#include "falproxy/system_clock.hpp"
#include "falproxy/thread_executor.hpp"

using namespace falproxy;
using namespace std::chrono_literals;

TEST_CASE("the clock sleeps until the time, not before, and not at all where it has passed") {
  SystemClock clock;
  const TimePoint then = clock.now() + 20ms;
  CHECK(clock.sleep_until(then, {}));
  CHECK(clock.now() >= then);
  CHECK(clock.sleep_until(then, {}));
  CHECK(clock.sleep_until(TimePoint::min(), {}));
}

TEST_CASE("a stop ends a sleep, before it and during it") {
  SystemClock clock;
  std::stop_source source;
  std::jthread stopper([&] { source.request_stop(); });
  CHECK_FALSE(clock.sleep_until(TimePoint::max(), source.get_token()));
  CHECK_FALSE(clock.sleep_until(TimePoint::max(), source.get_token()));
}

TEST_CASE("a sleep costs no time of a processor") {
  SystemClock clock;
  const auto used = [] {
    rusage usage{};
    ::getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw + usage.ru_nivcsw;
  };
  const long before = used();
  std::stop_source source;
  CHECK(clock.sleep_until(clock.now() + 100ms, source.get_token()));
  CHECK(used() - before <
        20);  // a loop that looks again and again would be switched out far more often
}

TEST_CASE("the calendar is this century's") {
  const SystemClock clock;
  CHECK(clock.wall_now() > WallTime(std::chrono::sys_days(std::chrono::year(2024) / 1 / 1)));
}

TEST_CASE("all tasks run side by side, the first on the calling thread") {
  ThreadExecutor executor(64u << 10);
  constexpr int count = 8;
  std::atomic<int> running{0};
  std::vector<std::thread::id> ids(count);
  std::vector<std::function<void()>> tasks;
  for (std::size_t i = 0; i < count; ++i) {
    tasks.emplace_back([&, i] {
      ids[i] = std::this_thread::get_id();
      for (++running; running < count;) std::this_thread::yield();  // ends only if all run at once
    });
  }
  executor.run_all(tasks);
  CHECK(ids[0] == std::this_thread::get_id());
  CHECK(std::set<std::thread::id>(ids.begin(), ids.end()).size() == count);
}

TEST_CASE("stacks have the size that was asked for") {
  const auto stack_of_second_task = [](std::size_t bytes) {
    std::size_t size = 0;
    const std::vector<std::function<void()>> tasks{
        [] {},
        [&] {
          pthread_attr_t attributes;
          ::pthread_getattr_np(::pthread_self(), &attributes);
          ::pthread_attr_getstacksize(&attributes, &size);
          ::pthread_attr_destroy(&attributes);
        }};
    ThreadExecutor(bytes).run_all(tasks);
    return size;
  };
#ifndef __SANITIZE_THREAD__  // it adds what it needs itself
  CHECK(stack_of_second_task(128u << 10) == 128u << 10);
#endif
  CHECK(stack_of_second_task(1) >= static_cast<std::size_t>(PTHREAD_STACK_MIN));
  CHECK(stack_of_second_task(0) > 128u << 10);
}

TEST_CASE("no task and one task need no thread") {
  ThreadExecutor executor;
  executor.run_all({});
  std::thread::id id;
  const std::vector<std::function<void()>> one{[&] { id = std::this_thread::get_id(); }};
  executor.run_all(one);
  CHECK(id == std::this_thread::get_id());
}
