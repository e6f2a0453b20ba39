#include <doctest/doctest.h>

#include <mutex>
#include <new>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "rings.hpp"

using namespace falproxy;
using namespace falproxy::testing;

TEST_CASE("a request waits until a lease is given back") {
  VirtualClock clock;
  KeyRing ring = make_ring({{"a"}}, {.max_jobs_per_account = 1});
  std::optional<Result<KeyLease>> held = ring.acquire(clock.now());
  clock.at(clock.now() + 3s, [&] { held.reset(); });
  const Result<KeyLease> lease = ring.acquire_or_wait(clock, clock.now() + 1h, {});
  CHECK(name_of(lease) == "a");
  CHECK(clock.now() == VirtualClock::epoch() + 3s);
  CHECK(ring.waiting() == 0);
}

TEST_CASE("a request waits until another account is back, if that is sooner") {
  VirtualClock clock;
  KeyRing ring = make_ring({{"a"}, {"b"}}, {.max_jobs_per_account = 1});
  const Result<KeyLease> held = ring.acquire(clock.now());
  use(ring, KeyOutcome::rate_limited, clock.now(), 5s);
  CHECK(name_of(ring.acquire_or_wait(clock, clock.now() + 1h, {})) == "b");
  CHECK(clock.now() == VirtualClock::epoch() + 5s);
}

TEST_CASE("waiting ends when no account can come free any more") {
  VirtualClock clock;
  KeyRing ring = make_ring({{"a"}}, {.max_jobs_per_account = 1});
  Result<KeyLease> held = ring.acquire(clock.now());
  clock.at(clock.now() + 3s, [&] { held->report(KeyOutcome::refused, clock.now()); });
  check_denied(ring.acquire_or_wait(clock, clock.now() + 1h, {}), ErrorKind::keys_out, 5min);
  CHECK(clock.now() == VirtualClock::epoch() + 3s);
}

TEST_CASE("waiting ends at the deadline and on a stop") {
  VirtualClock clock;
  KeyRing ring = make_ring({{"a"}}, {.max_jobs_per_account = 1});
  const Result<KeyLease> held = ring.acquire(clock.now());
  check_denied(ring.acquire_or_wait(clock, clock.now() + 7s, {}), ErrorKind::timed_out);
  CHECK(clock.now() == VirtualClock::epoch() + 7s);

  std::stop_source source;
  clock.at(clock.now() + 2s, [&] { source.request_stop(); });
  check_denied(ring.acquire_or_wait(clock, clock.now() + 1h, source.get_token()),
               ErrorKind::cancelled);
  CHECK(clock.now() == VirtualClock::epoch() + 9s);
  check_denied(ring.acquire_or_wait(clock, clock.now() + 1h, source.get_token()),
               ErrorKind::cancelled);
  CHECK(ring.waiting() == 0);
}

TEST_CASE("nobody waits where there is a key, or where waiting is of no use") {
  VirtualClock clock;
  KeyRing ring = make_ring({{"a"}}, {.max_jobs_per_account = 1});
  CHECK(ring.acquire_or_wait(clock, clock.now(), {}));
  use(ring, KeyOutcome::rate_limited, clock.now(), 5s);
  check_denied(ring.acquire_or_wait(clock, clock.now() + 1h, {}), ErrorKind::keys_resting, 5s);
  CHECK(clock.now() == VirtualClock::epoch());
}

TEST_CASE("who waits longest is served first, and nobody overtakes") {
  StandingClock clock;
  KeyRing ring = make_ring({{"a"}}, {.max_jobs_per_account = 1});
  std::optional<Result<KeyLease>> held = ring.acquire(start);
  std::mutex mutex;
  std::vector<int> served;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      const Result<KeyLease> lease = ring.acquire_or_wait(clock, TimePoint::max(), {});
      CHECK(lease);
      check_denied(ring.acquire(start), ErrorKind::overloaded);
      const std::lock_guard lock(mutex);
      served.push_back(i);
    });
    wait_until_waiting(ring, static_cast<std::size_t>(i) + 1);
  }
  held.reset();
  threads.clear();
  CHECK(served == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7});
}

TEST_CASE("a key goes to the first who can use it, not to the first who waits") {
  StandingClock clock;
  KeyRing ring = make_ring({{"a"}, {"b"}}, {.max_jobs_per_account = 1});
  std::optional<Result<KeyLease>> of_a = ring.acquire(start), of_b = ring.acquire(start);
  REQUIRE(name_of(*of_a) == "a");
  std::string first_got, second_got;
  const std::vector<std::size_t> not_b = {1};
  std::jthread first([&] {
    first_got = name_of(ring.acquire_or_wait(clock, TimePoint::max(), {}, {.except = not_b}));
  });
  wait_until_waiting(ring, 1);
  std::jthread second(
      [&] { second_got = name_of(ring.acquire_or_wait(clock, TimePoint::max(), {})); });
  wait_until_waiting(ring, 2);
  of_b.reset();
  second.join();
  CHECK(second_got == "b");
  CHECK(ring.waiting() == 1);

  // Nor does one who comes now wait behind somebody who could not use the key.
  const Result<KeyLease> third = ring.acquire_or_wait(clock, TimePoint::max(), {});
  CHECK(name_of(third) == "b");
  of_a.reset();
  first.join();
  CHECK(first_got == "a");
}

TEST_CASE("of two who could use the key, the earlier one is given it") {
  StandingClock clock;
  KeyRing ring = make_ring({{"a"}, {"b"}}, {.max_jobs_per_account = 1});
  std::optional<Result<KeyLease>> of_a = ring.acquire(start), of_b = ring.acquire(start);
  const std::vector<std::size_t> not_a = {0}, not_b = {1};
  std::mutex mutex;
  std::string order;
  const auto wait_for = [&](char name, std::vector<std::size_t> except) {
    return std::jthread([&, name, except = std::move(except)] {
      const Result<KeyLease> lease =
          ring.acquire_or_wait(clock, TimePoint::max(), {}, {.except = except});
      CHECK(lease);
      const std::lock_guard lock(mutex);
      order += name;
    });
  };
  std::jthread one = wait_for('1', not_b);
  wait_until_waiting(ring, 1);
  std::jthread two = wait_for('2', {});
  wait_until_waiting(ring, 2);
  std::jthread three = wait_for('3', not_a);
  wait_until_waiting(ring, 3);
  of_b.reset();
  two.join();
  three.join();
  CHECK(order == "23");
  of_a.reset();
  one.join();
}

TEST_CASE("what a foreign clock throws leaves nobody in the queue") {
  struct ThrowingClock final : Clock {
    [[nodiscard]] TimePoint now() const override { return start; }
    [[nodiscard]] WallTime wall_now() const override { return {}; }
    bool sleep_until(TimePoint, std::stop_token) override { throw std::bad_alloc(); }
  } clock;
  KeyRing ring = make_ring({{"a"}}, {.max_jobs_per_account = 1});
  std::optional<Result<KeyLease>> held = ring.acquire(start);
  CHECK_THROWS_AS((void)ring.acquire_or_wait(clock, TimePoint::max(), {}), std::bad_alloc);
  CHECK(ring.waiting() == 0);
  held.reset();
  CHECK(ring.acquire(start));
}

TEST_CASE("when the first in the queue gives up, the next one is served") {
  StandingClock clock;
  KeyRing ring = make_ring({{"a"}}, {.max_jobs_per_account = 1});
  std::optional<Result<KeyLease>> held = ring.acquire(start);
  std::stop_source first_gives_up;
  std::jthread first([&] {
    check_denied(ring.acquire_or_wait(clock, TimePoint::max(), first_gives_up.get_token()),
                 ErrorKind::cancelled);
  });
  wait_until_waiting(ring, 1);
  std::jthread second([&] { CHECK(ring.acquire_or_wait(clock, TimePoint::max(), {})); });
  wait_until_waiting(ring, 2);
  first_gives_up.request_stop();
  first.join();
  CHECK(ring.waiting() == 1);
  held.reset();
  second.join();
}

TEST_CASE("the queue is bounded") {
  StandingClock clock;
  KeyRing ring = make_ring({{"a"}}, {.max_jobs_per_account = 1, .max_waiting = 1});
  std::optional<Result<KeyLease>> held = ring.acquire(start);
  std::jthread waiter([&] { CHECK(ring.acquire_or_wait(clock, TimePoint::max(), {})); });
  wait_until_waiting(ring, 1);
  check_denied(ring.acquire_or_wait(clock, TimePoint::max(), {}), ErrorKind::queue_full, 1s);
  held.reset();
}

TEST_CASE("a reload makes room for those who wait") {
  StandingClock clock;
  KeyRing ring = make_ring({{"a"}}, {.max_jobs_per_account = 1});
  const Result<KeyLease> held = ring.acquire(start);
  std::jthread waiter(
      [&] { CHECK(name_of(ring.acquire_or_wait(clock, TimePoint::max(), {})) == "b"); });
  wait_until_waiting(ring, 1);
  ring.reload(accounts_of({{"a"}, {"b"}}), {.max_jobs_per_account = 1});
}
