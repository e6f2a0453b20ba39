#include "serving/reactor.hpp"

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
#include "flag.hpp"
#include "serving/offload.hpp"

namespace falproxy::serving {
namespace {

struct Scheduler {
  explicit Scheduler(Reactor::Options options = {}, std::size_t count = 1)
      : reactors(make_reactors(options, count)) {}
  // On the first reactor.
  void submit(std::function<void()> task) {
    Reactor& first = *reactors.front();
    first.post([&first, task = std::move(task)] { static_cast<void>(first.spawn(task)); });
  }
  FiberClock clock;
  FiberWaiter waiter;
  Offload offload{2};
  Reactors reactors;
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
      s.submit([&] {
        ++begun;
        gate.pass(s.clock);
        const std::lock_guard lock(mutex);
        threads.insert(std::this_thread::get_id());
      });
    }
    CHECK(test::eventually([&] { return begun == 2000; }));
    CHECK(s.reactors.front()->fibers() == 2000);
    CHECK(s.reactors.front()->stacks() == 2000);
    gate.open();
  }
  CHECK(threads.size() == 1);
}

TEST_CASE("the next task takes the stack of the one before, and a stack without use goes") {
  Scheduler s({.idle = Milliseconds(1)});
  for (int i = 0; i < 3; ++i) {
    std::latch ran(1);
    s.submit([&] { ran.count_down(); });
    ran.wait();
    CHECK(test::eventually([&] { return s.reactors.front()->fibers() == 0; }));
    CHECK(s.reactors.front()->stacks() <= 1);
  }
  CHECK(test::eventually([&] { return s.reactors.front()->stacks() == 0; }));
  std::latch ran(1);
  s.submit([&] { ran.count_down(); });
  ran.wait();
}

TEST_CASE("a task that waits for a socket lets the others run, and hears of its own only") {
  SocketPair pair;
  std::atomic<bool> got{false}, late{true};
  {
    Scheduler s;
    s.submit([&] {
      CHECK(s.waiter.wait(pair.ends[0], POLLIN, TimePoint::max()));
      got = take_byte(pair.ends[0]);
      // Nothing more comes.
      late = s.waiter.wait(pair.ends[0], POLLIN, s.clock.now() + Milliseconds(2));
      CHECK(::write(pair.ends[0], "x", 1) == 1);
    });
    s.submit([&] {
      CHECK(::write(pair.ends[1], "x", 1) == 1);
      CHECK(s.waiter.wait(pair.ends[1], POLLIN, TimePoint::max()));
      CHECK(take_byte(pair.ends[1]));
    });
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
    s.submit([&] {
      begun.count_down();
      woken = s.waiter.wait(pair.ends[0], POLLIN, TimePoint::max());
    });
    begun.wait();
    ::shutdown(pair.ends[0], SHUT_RDWR);
  }
  CHECK(woken);
}

TEST_CASE("a sleep ends at its time, or by its stop") {
  std::stop_source stop;
  bool slept = false, stopped = true, already = true;
  std::latch slept_once(1);
  {
    Scheduler s;
    s.submit([&] {
      const TimePoint until = s.clock.now() + Milliseconds(3);
      slept = s.clock.sleep_until(until, stop.get_token()) && s.clock.now() >= until;
      slept_once.count_down();
      stopped = s.clock.sleep_until(TimePoint::max(), stop.get_token());
      already = s.clock.sleep_until(TimePoint::max(), stop.get_token());
    });
    SUBCASE("from its own thread") {
      s.submit([&] {
        while (!slept_once.try_wait()) s.clock.sleep_until(s.clock.now() + Milliseconds(1), {});
        stop.request_stop();
      });
    }
    SUBCASE("from another") {
      slept_once.wait();
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
      s.submit([&, stop] {
        s.clock.sleep_until(s.clock.now() + Milliseconds(1), stop->get_token());
        const TimePoint until = s.clock.now() + Milliseconds(2);
        s.clock.sleep_until(until, {});
        if (s.clock.now() < until) ++too_early;
      });
      if (i % 4 == 0) std::this_thread::yield();
      stop->request_stop();
    }
  }
  CHECK(too_early == 0);
}

TEST_CASE("what blocks its thread runs on a thread of the pool, and the fibers go on meanwhile") {
  std::latch begun(1), other_ran(1);
  std::thread::id fiber, blocked;
  bool went_on = false;
  {
    Scheduler s;
    s.submit([&] {
      fiber = std::this_thread::get_id();
      s.offload.run_blocking([&] {
        blocked = std::this_thread::get_id();
        begun.count_down();
        other_ran.wait();
      });
      went_on = std::this_thread::get_id() == fiber;
    });
    begun.wait();
    s.submit([&] { other_ran.count_down(); });
  }
  CHECK(went_on);
  CHECK(blocked != fiber);
  Scheduler s;
  bool threw = false;
  std::latch caught(1);
  s.submit([&] {
    try {
      s.offload.run_blocking([] { throw std::runtime_error("no such file"); });
    } catch (const std::runtime_error&) {
      threw = true;
    }
    caught.count_down();
  });
  caught.wait();
  CHECK(threw);
  s.offload.run_blocking([&] { blocked = std::this_thread::get_id(); });
  CHECK(blocked == std::this_thread::get_id());
}

TEST_CASE(
    "a document that is deeper than it may be fits the stack of a fiber, and of a thread of the "
    "pool") {
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
    s.submit((task));
    s.submit([&] { s.offload.run_blocking(task); });
  }
  CHECK(refused == 2);
}

TEST_CASE("what runs side by side on a fiber may wait for each other") {
  std::vector<int> order;
  std::set<std::thread::id> threads;
  {
    Scheduler s;
    s.submit([&] {
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
      s.offload.run_all(tasks);
      s.offload.run_all({});
      order.push_back(5);
    });
  }
  CHECK(order == std::vector{1, 2, 3, 4, 5});
  CHECK(threads.size() == 1);
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
      s.submit([&, i] {
        try {
          s.clock.sleep_until(s.clock.now() + Milliseconds(1), {});
          throw std::runtime_error(std::to_string(i));
        } catch (const std::runtime_error& error) {
          if (error.what() == std::to_string(i)) ++caught;
        }
      });
    }
  }
  CHECK(caught == 10);
}

// The C++ runtime keeps what is being caught for each thread, and a fiber is less than that.
TEST_CASE("a fiber that waits while it catches finds its own exception again") {
  std::atomic<int> right{0};
  {
    Scheduler s;
    for (int i = 0; i < 1000; ++i) {
      s.submit([&, i] {
        try {
          try {
            throw std::runtime_error(std::to_string(i));
          } catch (const std::runtime_error&) {
            s.clock.sleep_until(s.clock.now() + Milliseconds(1 + i % 3), {});
            throw;
          }
        } catch (const std::runtime_error& error) {
          if (error.what() == std::to_string(i)) ++right;
        }
      });
    }
  }
  CHECK(right == 1000);
}

TEST_CASE("who has many tasks for the pool holds up the others by one at most") {
  std::latch asked(1);
  std::vector<int> order;
  int greedy = 1, modest = 2;
  Offload pool(1);
  {
    Scheduler s;
    const auto run = [&](int& whose, std::size_t count) {
      s.submit([&, count] {
        Reactor::current()->local() = &whose;
        const std::vector<std::function<void()>> tasks(
            count, [&] { pool.run_blocking([&] { order.push_back(whose); }); });
        pool.run_all(tasks);
      });
    };
    s.submit([&] { pool.run_blocking([&] { asked.wait(); }); });
    run(greedy, 20);
    CHECK(test::eventually([&] { return pool.waiting() == 20; }));
    run(modest, 2);
    CHECK(test::eventually([&] { return pool.waiting() == 22; }));
    asked.count_down();
  }
  REQUIRE(order.size() == 22);
  order.resize(5);
  CHECK(order == std::vector{greedy, modest, greedy, modest, greedy});
}

TEST_CASE("a fiber that computes lets the others have their turn") {
  std::vector<int> order;
  {
    Scheduler s;
    s.submit([&] {
      Reactor& reactor = *Reactor::current();
      CHECK(reactor.spawn([&] { order.push_back(2); }));
      order.push_back(1);
      reactor.yield();
      order.push_back(3);
    });
  }
  CHECK(order == std::vector{1, 2, 3});
}

TEST_CASE("there are no more fibers than there may be") {
  Gate gate;
  Scheduler s({.max_fibers = 2});
  std::latch asked(1);
  s.submit([&] {
    Reactor& reactor = *Reactor::current();
    CHECK(reactor.spawn([&] { gate.pass(s.clock); }));
    CHECK_FALSE(reactor.spawn([] {}));
    asked.count_down();
  });
  asked.wait();
  gate.open();
}

TEST_CASE(
    "what is posted runs on the reactor's thread, and what runs elsewhere one after the other") {
  std::vector<int> order;
  bool on_fiber = true;
  {
    Scheduler s;
    const std::vector<std::function<void()>> tasks = {[&] { order.push_back(1); },
                                                      [&] { order.push_back(2); }};
    s.offload.run_all(tasks);
    s.reactors[0]->post([&] {
      on_fiber = Reactor::on_fiber();
      order.push_back(Reactor::current() == s.reactors[0].get() ? 3 : 0);
    });
  }
  CHECK(order == std::vector{1, 2, 3});
  CHECK_FALSE(on_fiber);
}

}  // namespace
}  // namespace falproxy::serving
