#include "workers.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <latch>
#include <thread>
#include <vector>

namespace falproxy::app {
namespace {

TEST_CASE("threads grow with need, up to the limit, and rest afterwards") {
  Workers workers({.max_threads = 3});
  std::latch all(4);
  for (int i = 0; i < 3; ++i) CHECK(workers.submit([&] { all.arrive_and_wait(); }));
  CHECK_FALSE(workers.submit([] {}));
  CHECK(workers.threads() == 3);
  all.arrive_and_wait();
  while (workers.idle_threads() < 3) std::this_thread::yield();
  std::atomic<bool> ran{false};
  CHECK(workers.submit([&] { ran = true; }));
  while (!ran) std::this_thread::yield();
  CHECK(workers.threads() == 3);
}

TEST_CASE("idle threads go") {
  Workers workers({.max_threads = 8, .idle = Milliseconds(1)});
  CHECK(workers.submit([] {}));
  while (workers.threads() > 0) std::this_thread::yield();
  CHECK(workers.submit([] {}));
}

TEST_CASE("the destructor waits for every task") {
  std::atomic<int> done{0};
  {
    Workers workers({.max_threads = 8});
    for (int i = 0; i < 8; ++i) {
      CHECK(workers.submit([&] {
        std::this_thread::sleep_for(Milliseconds(20));
        ++done;
      }));
    }
  }
  CHECK(done == 8);
}

TEST_CASE(
    "the tasks of one call run side by side, and all of them even where there are no threads "
    "left") {
  SUBCASE("side by side") {
    Workers workers({.max_threads = 8});
    std::latch all(3);
    const std::function<void()> task = [&] { all.arrive_and_wait(); };
    const std::vector<std::function<void()>> tasks = {task, task, task};
    workers.run_all(tasks);
    CHECK(all.try_wait());
  }
  SUBCASE("one after the other") {
    Workers workers({.max_threads = 0});
    int done = 0;
    const std::function<void()> task = [&] { ++done; };
    const std::vector<std::function<void()>> tasks = {task, task, task};
    workers.run_all(tasks);
    CHECK(done == 3);
    workers.run_all({});
  }
}

}  // namespace
}  // namespace falproxy::app
