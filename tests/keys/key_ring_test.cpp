#include "falproxy/key_ring.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "rings.hpp"

using namespace falproxy;
using namespace falproxy::testing;

TEST_CASE("accounts without leases take turns") {
  KeyRing ring = make_ring({{"a"}, {"b"}, {"c"}});
  std::string order;
  for (int i = 0; i < 7; ++i) order += name_of(ring.acquire(start));
  CHECK(order == "abcabca");
}

TEST_CASE("the account with the fewest leases is next, whoever's turn it is") {
  KeyRing ring = make_ring({{"a"}, {"b"}, {"c"}});
  std::vector<Result<KeyLease>> held;
  for (int i = 0; i < 6; ++i) held.push_back(ring.acquire(start));
  REQUIRE(name_of(held[4]) == "b");
  held.erase(held.begin() + 4);
  CHECK(name_of(ring.acquire(start)) == "b");
  CHECK(name_of(ring.acquire(start)) == "b");
}

TEST_CASE("a lease gives itself back once, also after it was moved") {
  KeyRing ring = make_ring({{"a"}});
  const auto leases = [&] { return ring.status(start).at(0).leases; };
  {
    Result<KeyLease> first = ring.acquire(start);
    REQUIRE(first);
    KeyLease moved = std::move(*first);
    CHECK(leases() == 1);
    Result<KeyLease> second = ring.acquire(start);
    REQUIRE(second);
    CHECK(leases() == 2);
    moved = std::move(*second);
    CHECK(leases() == 1);
    CHECK(moved.key().reveal() == "a");
  }
  CHECK(leases() == 0);
}

TEST_CASE("a lease outlives its ring") {
  std::optional<KeyLease> lease;
  {
    KeyRing ring = make_ring({{"a"}});
    lease = *ring.acquire(start);
  }
  CHECK(lease->key().reveal() == "a");
  lease->report(KeyOutcome::accepted, start);
}

TEST_CASE("a rate limited key rests and the next one is handed out") {
  KeyRing ring = make_ring({{"a"}, {"b"}});
  CHECK(use(ring, KeyOutcome::rate_limited, start, 3s) == "a");
  for (int i = 0; i < 3; ++i) CHECK(use(ring, KeyOutcome::accepted, start) == "b");
  CHECK(use(ring, KeyOutcome::accepted, start + 3s - 1ms) == "b");
  CHECK(use(ring, KeyOutcome::accepted, start + 3s) == "a");
}

TEST_CASE("where all keys rest, the error says when the first is back") {
  KeyRing ring = make_ring({{"a"}, {"b"}});
  use(ring, KeyOutcome::rate_limited, start, 3s);
  use(ring, KeyOutcome::rate_limited, start, 2s);
  check_denied(ring.acquire(start), ErrorKind::keys_resting, 2s);
  check_denied(ring.acquire(start + 1500us), ErrorKind::keys_resting, 1999ms);
  CHECK(name_of(ring.acquire(start + 2s)) == "b");
}

TEST_CASE(
    "without Retry-After a key rests for a second, doubling to a minute, until it is accepted "
    "again") {
  KeyRing ring = make_ring({{"a"}});
  TimePoint now = start;
  for (const auto rest : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s, 60s}) {
    use(ring, KeyOutcome::rate_limited, now);
    check_denied(ring.acquire(now), ErrorKind::keys_resting, rest);
    now += rest;
  }
  use(ring, KeyOutcome::accepted, now);
  use(ring, KeyOutcome::rate_limited, now);
  check_denied(ring.acquire(now), ErrorKind::keys_resting, 1s);
}

TEST_CASE("rests are spread by the random numbers given, and never longer than a minute") {
  struct Case {
    double random;
    Milliseconds first;
    Milliseconds longest;
  };
  for (const Case& c : {Case{0.0, 750ms, 48s}, Case{0.5, 1s, 60s}, Case{0.999, 1249ms, 60s}}) {
    CAPTURE(c.random);
    KeyRing ring(accounts_of({{"a"}}), {}, [&] { return c.random; });
    use(ring, KeyOutcome::rate_limited, start);
    check_denied(ring.acquire(start), ErrorKind::keys_resting, c.first);
    TimePoint now = start;
    for (int i = 0; i < 6; ++i) use(ring, KeyOutcome::rate_limited, now += 1min);
    check_denied(ring.acquire(now), ErrorKind::keys_resting, c.longest);
  }
}

TEST_CASE("jobs of one key that are pushed back together are one strike") {
  KeyRing ring = make_ring({{"a"}});
  std::vector<Result<KeyLease>> held;
  for (int i = 0; i < 5; ++i) held.push_back(ring.acquire(start));
  for (Result<KeyLease>& lease : held) lease->report(KeyOutcome::rate_limited, start);
  check_denied(ring.acquire(start), ErrorKind::keys_resting, 1s);
}

TEST_CASE("what fal asks for is kept, within an hour") {
  KeyRing ring = make_ring({{"a"}});
  use(ring, KeyOutcome::rate_limited, start, 24h);
  check_denied(ring.acquire(start), ErrorKind::keys_resting, 1h);
}

TEST_CASE("a Retry-After of nothing is no invitation to come back at once") {
  for (const Milliseconds nothing : {0s, -5s}) {
    KeyRing ring = make_ring({{"a"}});
    use(ring, KeyOutcome::rate_limited, start, nothing);
    check_denied(ring.acquire(start), ErrorKind::keys_resting, 1s);
  }
}

TEST_CASE("a request is not given the keys that it names") {
  KeyRing ring = make_ring({{"a", "b"}, {"c"}});
  StandingClock clock;
  const auto acquire = [&](std::vector<std::size_t> except) {
    return ring.acquire_or_wait(clock, start + 1s, {}, {.except = except});
  };
  const Result<KeyLease> busy = acquire({0, 2});
  REQUIRE(busy);
  CHECK(busy->slot() == 1);
  SUBCASE("though their account has fewer leases") { CHECK(acquire({2})->slot() == 0); }
  SUBCASE("and where there is no other, none is usable") {
    check_denied(acquire({0, 1, 2}), ErrorKind::keys_out);
  }
  SUBCASE("but when one of them is back from its rest is told") {
    acquire({0, 1})->report(KeyOutcome::rate_limited, start, 7s);
    check_denied(acquire({0, 1, 2}), ErrorKind::keys_resting, 7s);
  }
}

TEST_CASE("a refused key is left out for five minutes, the account's other key is not") {
  KeyRing ring = make_ring({{"a", "b"}, {"c"}});
  CHECK(use(ring, KeyOutcome::refused, start) == "a");
  std::string order;
  for (int i = 0; i < 4; ++i) order += use(ring, KeyOutcome::accepted, start + 5min - 1ms);
  CHECK(order == "cbcb");
  CHECK(use(ring, KeyOutcome::refused, start + 1min) == "c");
  CHECK(use(ring, KeyOutcome::refused, start + 2min) == "b");
  check_denied(ring.acquire(start + 3min), ErrorKind::keys_out, 2min);
  CHECK(name_of(ring.acquire(start + 5min)) == "a");

  ring.reload(accounts_of({{"a", "b"}, {"c"}}), {});
  CHECK(ring.acquire(start + 3min));
}

TEST_CASE("after five minutes one request probes a refused key") {
  KeyRing ring = make_ring({{"a"}});
  use(ring, KeyOutcome::refused, start);
  const TimePoint later = start + 5min;
  Result<KeyLease> probe = ring.acquire(later);
  REQUIRE(name_of(probe) == "a");
  // As long as the probe is under way, nobody else uses the key.
  check_denied(ring.acquire(later + 1h), ErrorKind::keys_out);

  SUBCASE("the key is usable again when it is accepted") {
    CHECK(probe->report(KeyOutcome::accepted, later));
    CHECK(name_of(ring.acquire(later)) == "a");
    CHECK(ring.status(later).at(0).state == AccountStatus::State::ready);
  }
  SUBCASE("it is left out for another five minutes when it is refused, which is told again") {
    CHECK(probe->report(KeyOutcome::refused, later));
    check_denied(ring.acquire(later), ErrorKind::keys_out, 5min);
    CHECK(name_of(ring.acquire(later + 5min)) == "a");
  }
  SUBCASE("the next request probes when it ends without a word") {
    probe = Error{};
    CHECK(name_of(ring.acquire(later)) == "a");
  }
  SUBCASE("a rest that the probe is told of is kept, and the key stays refused") {
    probe->report(KeyOutcome::rate_limited, later, 9s);
    check_denied(ring.acquire(later), ErrorKind::keys_out, 9s);
    CHECK(ring.status(later).at(0).state == AccountStatus::State::out);
  }
}

TEST_CASE("jobs that are refused together with one key are told once, and do not prolong it") {
  KeyRing ring = make_ring({{"a"}});
  Result<KeyLease> first = ring.acquire(start), second = ring.acquire(start);
  CHECK(first->report(KeyOutcome::refused, start));
  CHECK_FALSE(second->report(KeyOutcome::refused, start + 4min));
  CHECK(ring.acquire(start + 5min));
}

TEST_CASE("a submit that was sent before a key was refused does not bring it back") {
  KeyRing ring = make_ring({{"a"}});
  Result<KeyLease> first = ring.acquire(start), second = ring.acquire(start);
  first->report(KeyOutcome::refused, start);
  CHECK_FALSE(second->report(KeyOutcome::accepted, start));
  check_denied(ring.acquire(start), ErrorKind::keys_out, 5min);
}

TEST_CASE("a submit that was sent before a key was pushed back does not end its rest") {
  KeyRing ring = make_ring({{"a"}});
  Result<KeyLease> early = ring.acquire(start);
  Result<KeyLease> pushed_back = ring.acquire(start);
  pushed_back->report(KeyOutcome::rate_limited, start, 30s);
  early->report(KeyOutcome::accepted, start);
  check_denied(ring.acquire(start), ErrorKind::keys_resting, 30s);
  // Its strikes stand, too: without Retry-After the next rest is the second one.
  use(ring, KeyOutcome::rate_limited, start + 30s);
  check_denied(ring.acquire(start + 30s), ErrorKind::keys_resting, 2s);
}

TEST_CASE("an account that comes back from a block is given jobs step by step") {
  KeyRing ring = make_ring({{"a"}});
  Result<KeyLease> old = ring.acquire(start);  // runs on while its account is blocked
  use(ring, KeyOutcome::account_blocked, start);
  const TimePoint later = start + 5min;
  std::vector<Result<KeyLease>> held;
  REQUIRE(held.emplace_back(ring.acquire(later)));
  check_denied(ring.acquire(later), ErrorKind::keys_out);
  for (int accepted = 1; accepted <= 30; ++accepted) {
    held.back()->report(KeyOutcome::accepted, later);
    old->report(KeyOutcome::accepted, later);  // says nothing: it was sent before
    REQUIRE(held.emplace_back(ring.acquire(later)));
    check_denied(ring.acquire(later), ErrorKind::overloaded);
  }
  held.back()->report(KeyOutcome::accepted, later);
  for (int i = 0; i < 100; ++i) REQUIRE(held.emplace_back(ring.acquire(later)));
}

TEST_CASE("an account that is blocked again after one job is not rushed") {
  KeyRing ring = make_ring({{"a"}});
  use(ring, KeyOutcome::account_blocked, start);
  Result<KeyLease> probe = ring.acquire(start + 5min);
  CHECK(probe->report(KeyOutcome::accepted, start + 5min));
  Result<KeyLease> next = ring.acquire(start + 5min);
  check_denied(ring.acquire(start + 5min), ErrorKind::overloaded);
  CHECK(next->report(KeyOutcome::account_blocked, start + 5min));
  check_denied(ring.acquire(start + 5min), ErrorKind::keys_out, 5min);
}

TEST_CASE("the keys of an account take turns, and share its leases") {
  KeyRing ring = make_ring({{"a", "b"}, {"c"}});
  std::string order;
  std::vector<Result<KeyLease>> held;
  for (int i = 0; i < 6; ++i) order += name_of(held.emplace_back(ring.acquire(start)));
  CHECK(order == "acbcac");
  CHECK(ring.status(start).at(0).leases == 3);
  CHECK(ring.status(start).at(1).leases == 3);
}

TEST_CASE("a blocked account rests five minutes, then one request probes it") {
  KeyRing ring = make_ring({{"a", "b"}, {"c"}});
  CHECK(use(ring, KeyOutcome::account_blocked, start) == "a");
  for (int i = 0; i < 4; ++i) CHECK(use(ring, KeyOutcome::accepted, start + 5min - 1ms) == "c");

  const TimePoint later = start + 5min;
  Result<KeyLease> other = ring.acquire(later);
  Result<KeyLease> probe = ring.acquire(later);
  if (name_of(probe) == "c") std::swap(probe, other);
  CHECK(name_of(probe) == "b");
  CHECK(name_of(other) == "c");
  // As long as the probe is under way, nobody else uses the account.
  CHECK(name_of(ring.acquire(later + 1h)) == "c");

  SUBCASE("the account is usable again when it is accepted") {
    probe->report(KeyOutcome::accepted, later);
    CHECK(name_of(ring.acquire(later)) == "a");
    CHECK(ring.status(later).at(0).state == AccountStatus::State::ready);
  }
  SUBCASE("the account rests for another five minutes when it is refused") {
    probe->report(KeyOutcome::account_blocked, later);
    probe = ring.acquire(later + 5min - 1ms);
    CHECK(name_of(probe) == "c");
    probe = ring.acquire(later + 5min);
    CHECK(name_of(probe) == "a");
  }
  SUBCASE("the next request probes when it ends without a word") {
    probe = Error{};
    CHECK(name_of(ring.acquire(later)) == "a");
  }
  SUBCASE("the account's other key probes when this one is refused") {
    probe->report(KeyOutcome::refused, later);
    CHECK(name_of(ring.acquire(later)) == "a");
  }
}

TEST_CASE("accounts without balance are the operator's affair: the keys are out, not resting") {
  KeyRing ring = make_ring({{"a"}, {"b"}});
  use(ring, KeyOutcome::account_blocked, start);
  use(ring, KeyOutcome::refused, start);
  check_denied(ring.acquire(start + 1min), ErrorKind::keys_out, 4min);
  Result<KeyLease> probe = ring.acquire(start + 5min - 1ms);
  check_denied(probe, ErrorKind::keys_out, 1ms);
  probe = ring.acquire(start + 5min);
  CHECK(name_of(probe) == "a");
  Result<KeyLease> other_probe = ring.acquire(start + 5min);
  CHECK(name_of(other_probe) == "b");
  check_denied(ring.acquire(start + 5min), ErrorKind::keys_out);
}

TEST_CASE("no keys at all are keys that are out") {
  KeyRing ring = make_ring({});
  check_denied(ring.acquire(start), ErrorKind::keys_out);
  CHECK(ring.status(start).empty());
}

TEST_CASE("an account never holds more jobs than it may") {
  KeyRing ring = make_ring({{"a", "b"}, {"c"}}, {.max_jobs_per_account = 2});
  std::vector<Result<KeyLease>> held;
  for (int i = 0; i < 4; ++i) REQUIRE(held.emplace_back(ring.acquire(start)));
  check_denied(ring.acquire(start), ErrorKind::overloaded);
  SUBCASE("a lease that is given back makes room") {
    held.pop_back();
    CHECK(ring.acquire(start));
  }
  SUBCASE("resting accounts count as full where another only lacks room") {
    held[0]->report(KeyOutcome::rate_limited, start, 9s);
    held[2]->report(KeyOutcome::rate_limited, start, 9s);
    check_denied(ring.acquire(start), ErrorKind::overloaded);
  }
}

TEST_CASE("a job that fal has counts as one of its account's, also if there is no room for it") {
  KeyRing ring = make_ring({{"a"}}, {.max_jobs_per_account = 1});
  std::optional<Result<KeyLease>> held = ring.acquire(start);
  REQUIRE(*held);
  const std::string fingerprint = (*held)->fingerprint();
  Result<KeyLease> looked_at = ring.acquire_again(fingerprint, false);
  std::optional<Result<KeyLease>> followed = ring.acquire_again(fingerprint, true);
  REQUIRE(*followed);
  held.reset();
  check_denied(ring.acquire(start), ErrorKind::overloaded);
  followed.reset();
  CHECK(ring.acquire(start));
}

TEST_CASE("a job that fal does not count takes nobody's room, and needs none") {
  StandingClock clock;
  KeyRing ring = make_ring({{"a"}}, {.max_jobs_per_account = 1});
  std::vector<Result<KeyLease>> held;
  const auto take_uncounted = [&] {
    REQUIRE(held.emplace_back(ring.acquire_or_wait(clock, start + 1h, {}, {.counted = false})));
  };
  take_uncounted();
  REQUIRE(held.emplace_back(ring.acquire(start)));
  check_denied(ring.acquire(start), ErrorKind::overloaded);
  take_uncounted();
  held.erase(held.begin() + 1);
  CHECK(ring.acquire(start));
  CHECK(ring.status(start).at(0).leases == 2);
  held.clear();
  CHECK(ring.status(start).at(0).leases == 0);
}

TEST_CASE("a reload keeps how the keys that stay are doing") {
  KeyRing ring = make_ring({{"a"}, {"b"}, {"c"}});
  use(ring, KeyOutcome::rate_limited, start, 30s);
  Result<KeyLease> of_b = ring.acquire(start);
  Result<KeyLease> of_c = ring.acquire(start);
  REQUIRE(name_of(of_c) == "c");

  ring.reload(accounts_of({{"d"}, {"b"}, {"a"}}), {});
  const std::vector<AccountStatus> status = ring.status(start);
  using State = AccountStatus::State;
  CHECK(status == std::vector<AccountStatus>{
                      {State::ready, 0, 1}, {State::ready, 1, 1}, {State::resting, 0, 1, 30s}});

  // The lease of the key that went runs on, keeps its place in the old list, and hurts nobody.
  CHECK(of_c->key().reveal() == "c");
  CHECK(of_c->slot() == 2);
  of_c->report(KeyOutcome::account_blocked, start);
  of_c->report(KeyOutcome::refused, start);
  of_c = Error{};
  CHECK(ring.status(start) == status);
  of_b = Error{};
  CHECK(ring.status(start).at(1).leases == 0);
  const Result<KeyLease> next = ring.acquire(start);
  CHECK(next->slot() == 0);
}

TEST_CASE("what was sent before an account was blocked does not say that it can be used") {
  KeyRing ring = make_ring({{"a"}});
  Result<KeyLease> first = ring.acquire(start);
  Result<KeyLease> second = ring.acquire(start);
  CHECK(first->report(KeyOutcome::account_blocked, start));
  CHECK_FALSE(second->report(KeyOutcome::accepted, start));
  CHECK(ring.status(start).at(0).state == AccountStatus::State::blocked);
}

TEST_CASE("a change of a key or its account is reported once, and again after a reload") {
  KeyRing ring = make_ring({{"a"}, {"b"}});
  const auto report = [&](KeyOutcome outcome, TimePoint now) {
    return ring.acquire(now)->report(outcome, now);
  };
  CHECK(report(KeyOutcome::refused, start + 2min));
  CHECK(report(KeyOutcome::account_blocked, start + 1min));
  CHECK_FALSE(report(KeyOutcome::account_blocked, start + 6min));
  ring.reload(accounts_of({{"b"}}), {});
  CHECK(report(KeyOutcome::account_blocked, start + 6min));
  CHECK(report(KeyOutcome::accepted, start + 12min));
  CHECK_FALSE(report(KeyOutcome::accepted, start + 12min));
  CHECK_FALSE(report(KeyOutcome::rate_limited, start + 12min));
}

TEST_CASE("a reload lets a blocked account be probed at once") {
  KeyRing ring = make_ring({{"a"}});
  use(ring, KeyOutcome::account_blocked, start);
  ring.reload(accounts_of({{"a"}}), {});
  const Result<KeyLease> probe = ring.acquire(start);
  CHECK(name_of(probe) == "a");
  check_denied(ring.acquire(start), ErrorKind::keys_out);
}

TEST_CASE("a reload that drops or moves the key of a probe under way shuts no account out") {
  for (const auto& groups : std::vector<std::vector<std::vector<std::string>>>{
           {{"a"}}, {{"b"}}, {{"a"}, {"b"}}, {{"b"}, {"a"}}}) {
    for (const bool reports : {false, true}) {
      KeyRing ring = make_ring({{"a", "b"}});
      use(ring, KeyOutcome::account_blocked, start);
      const TimePoint later = start + 5min;
      Result<KeyLease> probe = ring.acquire(later);
      REQUIRE(probe);
      ring.reload(accounts_of(groups), {});
      if (reports) probe->report(KeyOutcome::accepted, later);
      probe = Error{};
      for (std::size_t i = 0; i < groups.size(); ++i) {
        CHECK(ring.acquire(later + 1h));
      }
    }
  }
}

TEST_CASE("accounts can be joined and parted by a reload") {
  KeyRing ring = make_ring({{"a"}, {"b"}});
  const Result<KeyLease> of_a = ring.acquire(start);
  const Result<KeyLease> of_b = ring.acquire(start);
  ring.reload(accounts_of({{"a", "b"}}), {});
  CHECK(ring.status(start) == std::vector<AccountStatus>{{AccountStatus::State::ready, 2, 2}});
  ring.reload(accounts_of({{"b"}, {"a"}}), {});
  CHECK(ring.status(start).at(0).leases == 1);
  CHECK(ring.status(start).at(1).leases == 1);
}

TEST_CASE("a key that is given twice is one key, and keeps the first position") {
  KeyRing ring = make_ring({{"a", "a"}, {"a"}, {"b"}});
  CHECK(ring.status(start).size() == 2);
  CHECK(ring.acquire(start)->slot() == 0);
  CHECK(ring.acquire(start)->slot() == 3);
}

TEST_CASE("the status tells how each account stands") {
  KeyRing ring = make_ring({{"a"}, {"b"}, {"c", "d"}, {"e"}});
  use(ring, KeyOutcome::rate_limited, start, 3s);
  use(ring, KeyOutcome::account_blocked, start);
  use(ring, KeyOutcome::refused, start);
  use(ring, KeyOutcome::refused, start);
  using State = AccountStatus::State;
  CHECK(ring.status(start + 1s) == std::vector<AccountStatus>{{State::resting, 0, 1, 2s},
                                                              {State::blocked, 0, 1, 299s},
                                                              {State::ready, 0, 2},
                                                              {State::out, 0, 1, 299s}});
  CHECK(ring.status(start + 5min).at(0).state == State::ready);
  CHECK(ring.status(start + 5min).at(1) == AccountStatus{State::blocked, 0, 1});
}

TEST_CASE("no error and no status shows a key") {
  KeyRing ring = make_ring({{"very-secret"}});
  use(ring, KeyOutcome::rate_limited, start, 3s);
  CHECK(ring.acquire(start).error().message.find("very-secret") == std::string::npos);
}

TEST_CASE("threads that take, report, reload and give up leave no lease behind") {
  StandingClock clock;
  const auto names = accounts_of({{"a", "b"}, {"c"}, {"d"}});
  const auto fewer = accounts_of({{"a"}, {"c", "d"}});
  const KeyRing::Options limits{.max_jobs_per_account = 2};
  KeyRing ring(names, limits, half);
  std::atomic<int> taken{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 6; ++t) {
      threads.emplace_back([&, t] {
        FixedRandom random(static_cast<std::uint64_t>(t) + 1);
        for (int i = 0; i < 300; ++i) {
          std::stop_source stop;
          if (random() < 0.1) stop.request_stop();
          Result<KeyLease> lease = ring.acquire_or_wait(clock, TimePoint::max(), stop.get_token());
          if (!lease) continue;
          ++taken;
          if (random() < 0.1) lease->report(KeyOutcome::rate_limited, start, 0ms);
          if (random() < 0.5) lease->report(KeyOutcome::accepted, start);
        }
      });
    }
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) ring.reload(i % 2 == 0 ? fewer : names, limits);
    });
  }
  CHECK(taken > 0);
  CHECK(ring.waiting() == 0);
  for (const AccountStatus& account : ring.status(start)) CHECK(account.leases == 0);
}
