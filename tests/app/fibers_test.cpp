#include "fibers.hpp"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <latch>
#include <mutex>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <vector>

#include "base/bell.hpp"
#include "falproxy/schema.hpp"

namespace falproxy::app {
namespace {

struct Scheduler {
  explicit Scheduler(Fibers::Options options = {.carriers = 1}) : fibers(workers, options) {}
  Workers workers{{.max_threads = 8}};
  FiberClock clock;
  FiberWaiter waiter;
  Fibers fibers;
};

// Opens once, for all who wait at it.
class Gate {
 public:
  void pass(Clock& clock) {
    std::unique_lock lock(mutex_);
    while (!open_) opened_.wait(lock, clock, TimePoint::max(), {});
  }
  void open() {
    std::unique_lock lock(mutex_);
    open_ = true;
    Bell::Ring ring = opened_.take();
    lock.unlock();
    ring();
  }

 private:
  std::mutex mutex_;
  Bell opened_;
  bool open_ = false;
};

struct SocketPair {
  SocketPair() { REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()) == 0); }
  ~SocketPair() {
    for (const int end : ends) ::close(end);
  }
  SocketPair(const SocketPair&) = delete;
  SocketPair& operator=(const SocketPair&) = delete;
  std::array<int, 2> ends{};
};

bool take_byte(int socket) {
  char byte = 0;
  return ::read(socket, &byte, 1) == 1;
}

TEST_CASE("two thousand tasks wait at once on one thread") {
  Gate gate;
  std::atomic<int> begun{0};
  std::mutex mutex;
  std::set<std::thread::id> threads;
  {
    Scheduler s;
    for (int i = 0; i < 2000; ++i) {
      REQUIRE(s.fibers.submit([&] {
        ++begun;
        gate.pass(s.clock);
        const std::lock_guard lock(mutex);
        threads.insert(std::this_thread::get_id());
      }));
    }
    while (begun < 2000) std::this_thread::yield();
    CHECK(s.fibers.count() == 2000);
    CHECK(s.fibers.stacks() == 2000);
    gate.open();
  }
  CHECK(threads.size() == 1);
}

TEST_CASE("the next task takes the stack of the one before, and a stack without use goes") {
  Scheduler s({.carriers = 1, .idle = Milliseconds(1)});
  for (int i = 0; i < 3; ++i) {
    std::latch ran(1);
    REQUIRE(s.fibers.submit([&] { ran.count_down(); }));
    ran.wait();
    while (s.fibers.count() > 0) std::this_thread::yield();
    CHECK(s.fibers.stacks() <= 1);
  }
  while (s.fibers.stacks() > 0) std::this_thread::yield();
  std::latch ran(1);
  CHECK(s.fibers.submit([&] { ran.count_down(); }));
  ran.wait();
}

TEST_CASE("tasks are spread over the carriers") {
  Gate gate;
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::latch begun(6);
  Scheduler s({.carriers = 3});
  for (int i = 0; i < 6; ++i) {
    REQUIRE(s.fibers.submit([&] {
      {
        const std::lock_guard lock(mutex);
        threads.insert(std::this_thread::get_id());
      }
      begun.count_down();
      gate.pass(s.clock);
    }));
  }
  begun.wait();
  CHECK(threads.size() == 3);
  gate.open();
}

TEST_CASE("a task that waits for a socket lets the others run, and hears of its own only") {
  SocketPair pair;
  std::atomic<bool> got{false}, late{true};
  {
    Scheduler s;
    REQUIRE(s.fibers.submit([&] {
      CHECK(s.waiter.wait(pair.ends[0], POLLIN, TimePoint::max()));
      got = take_byte(pair.ends[0]);
      // Nothing more comes.
      late = s.waiter.wait(pair.ends[0], POLLIN, s.clock.now() + Milliseconds(2));
      CHECK(::write(pair.ends[0], "x", 1) == 1);
    }));
    REQUIRE(s.fibers.submit([&] {
      CHECK(::write(pair.ends[1], "x", 1) == 1);
      CHECK(s.waiter.wait(pair.ends[1], POLLIN, TimePoint::max()));
      CHECK(take_byte(pair.ends[1]));
    }));
  }
  CHECK(got);
  CHECK_FALSE(late);
}

TEST_CASE("a socket that is shut down elsewhere ends the wait for it") {
  SocketPair pair;
  std::latch begun(1);
  bool woken = false;
  {
    Scheduler s;
    REQUIRE(s.fibers.submit([&] {
      begun.count_down();
      woken = s.waiter.wait(pair.ends[0], POLLIN, TimePoint::max());
    }));
    begun.wait();
    ::shutdown(pair.ends[0], SHUT_RDWR);
  }
  CHECK(woken);
}

TEST_CASE("a sleep ends at its time, or by its stop") {
  std::stop_source stop;
  bool slept = false, stopped = true, already = true;
  {
    Scheduler s;
    REQUIRE(s.fibers.submit([&] {
      const TimePoint until = s.clock.now() + Milliseconds(3);
      slept = s.clock.sleep_until(until, stop.get_token()) && s.clock.now() >= until;
      stopped = s.clock.sleep_until(TimePoint::max(), stop.get_token());
      already = s.clock.sleep_until(TimePoint::max(), stop.get_token());
    }));
    SUBCASE("from its own thread") {
      REQUIRE(s.fibers.submit([&] {
        s.clock.sleep_until(s.clock.now() + Milliseconds(6), {});
        stop.request_stop();
      }));
    }
    SUBCASE("from another") {
      std::this_thread::sleep_for(Milliseconds(6));
      stop.request_stop();
    }
  }
  CHECK(slept);
  CHECK_FALSE(stopped);
  CHECK_FALSE(already);
}

// A stop that comes when the sleep is over must not end the next one.
TEST_CASE("a stop wakes only the sleep that it was for") {
  std::atomic<int> too_early{0};
  {
    Scheduler s;
    for (int i = 0; i < 200; ++i) {
      auto stop = std::make_shared<std::stop_source>();
      REQUIRE(s.fibers.submit([&, stop] {
        s.clock.sleep_until(s.clock.now() + Milliseconds(1), stop->get_token());
        const TimePoint until = s.clock.now() + Milliseconds(2);
        s.clock.sleep_until(until, {});
        if (s.clock.now() < until) ++too_early;
      }));
      if (i % 4 == 0) std::this_thread::yield();
      stop->request_stop();
    }
  }
  CHECK(too_early == 0);
}

TEST_CASE("what blocks its thread runs on a worker, and the fibers go on meanwhile") {
  std::latch begun(1), other_ran(1);
  std::thread::id fiber, blocked;
  bool went_on = false;
  {
    Scheduler s;
    REQUIRE(s.fibers.submit([&] {
      fiber = std::this_thread::get_id();
      s.fibers.run_blocking([&] {
        blocked = std::this_thread::get_id();
        begun.count_down();
        other_ran.wait();
      });
      went_on = std::this_thread::get_id() == fiber;
    }));
    begun.wait();
    REQUIRE(s.fibers.submit([&] { other_ran.count_down(); }));
  }
  CHECK(went_on);
  CHECK(blocked != fiber);
  Scheduler s;
  bool threw = false;
  std::latch caught(1);
  REQUIRE(s.fibers.submit([&] {
    try {
      s.fibers.run_blocking([] { throw std::runtime_error("no such file"); });
    } catch (const std::runtime_error&) {
      threw = true;
    }
    caught.count_down();
  }));
  caught.wait();
  CHECK(threw);
  s.fibers.run_blocking([&] { blocked = std::this_thread::get_id(); });
  CHECK(blocked == std::this_thread::get_id());
}

TEST_CASE("a document that is deeper than it may be fits the stack of a fiber, and of a worker") {
  // Properties within properties, with a reference where the text would be too deep.
  const auto refer = [](int i) {
    return R"({"$ref":"#/components/schemas/L)" + std::to_string(i) + R"("})";
  };
  std::string text =
      R"({"paths":{"/a/b":{"post":{"requestBody":{"content":{"application/json":{"schema":)" +
      refer(0) + R"(}}}}}},"components":{"schemas":{"end":{})";
  for (int i = 0; i < 20; ++i) {
    std::string schema = refer(i + 1);
    for (int k = 0; k < 8; ++k) schema = R"({"properties":{"a":)" + schema + "}}";
    text += R"(,"L)" + std::to_string(i) + R"(":)" + schema;
  }
  text += "}}}";
  std::atomic<int> refused{0};
  {
    Scheduler s;
    const auto task = [&] {
      const auto schema = schema::analyze(text);
      if (!schema && schema.error().message.starts_with("the schemas nest deeper")) ++refused;
    };
    REQUIRE(s.fibers.submit(task));
    REQUIRE(s.workers.submit(task));
  }
  CHECK(refused == 2);
}

TEST_CASE("there are no more stacks than there may be") {
  Gate gate;
  Scheduler s({.carriers = 1, .max_stacks = 2});
  CHECK(s.fibers.submit([&] { gate.pass(s.clock); }));
  CHECK(s.fibers.submit([&] { gate.pass(s.clock); }));
  CHECK_FALSE(s.fibers.submit([] {}));
  gate.open();
}

TEST_CASE("what runs side by side on a fiber may wait for each other") {
  std::vector<int> order;
  std::set<std::thread::id> threads;
  {
    Scheduler s;
    REQUIRE(s.fibers.submit([&] {
      Gate first, second;
      const std::vector<std::function<void()>> tasks = {
          [&] {
            second.pass(s.clock);
            order.push_back(3);
          },
          [&] {
            order.push_back(1);
            threads.insert(std::this_thread::get_id());
            first.open();
          },
          [&] {
            first.pass(s.clock);
            order.push_back(2);
            threads.insert(std::this_thread::get_id());
            second.open();
            s.clock.sleep_until(s.clock.now() + Milliseconds(2), {});
            order.push_back(4);
          }};
      s.fibers.run_all(tasks);
      s.fibers.run_all({});
      order.push_back(5);
    }));
  }
  CHECK(order == std::vector{1, 2, 3, 4, 5});
  CHECK(threads.size() == 1);
}

TEST_CASE("what runs side by side elsewhere has threads") {
  Scheduler s;
  std::latch all(3);
  const std::vector<std::function<void()>> tasks(3, [&] { all.arrive_and_wait(); });
  s.fibers.run_all(tasks);
  CHECK(s.workers.threads() == 2);
}

TEST_CASE("elsewhere waits and sleeps are the thread's own") {
  SocketPair pair;
  FiberWaiter waiter;
  FiberClock clock;
  CHECK_FALSE(waiter.wait(pair.ends[0], POLLIN, clock.now() + Milliseconds(1)));
  CHECK(waiter.wait(pair.ends[0], POLLOUT, TimePoint::max()));
  std::stop_source stop;
  stop.request_stop();
  CHECK_FALSE(clock.sleep_until(TimePoint::max(), stop.get_token()));
  CHECK(clock.sleep_until(clock.now(), {}));
}

TEST_CASE("what a task throws it catches") {
  std::atomic<int> caught{0};
  {
    Scheduler s;
    for (int i = 0; i < 10; ++i) {
      REQUIRE(s.fibers.submit([&, i] {
        try {
          s.clock.sleep_until(s.clock.now() + Milliseconds(1), {});
          throw std::runtime_error(std::to_string(i));
        } catch (const std::runtime_error& error) {
          if (error.what() == std::to_string(i)) ++caught;
        }
      }));
    }
  }
  CHECK(caught == 10);
}

}  // namespace
}  // namespace falproxy::app
