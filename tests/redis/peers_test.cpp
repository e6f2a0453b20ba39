// What several processes tell each other with their heartbeats, and the limits of their clients.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "shared.hpp"

using namespace falproxy;
using tests::Answer;
using tests::RedisServer;

namespace {

template <class Test>
bool in_time(Test&& test) {
  for (int tries = 0; tries < 2'000; ++tries) {
    if (test()) return true;
    std::this_thread::sleep_for(Milliseconds(10));
  }
  return false;
}

// Two processes; `beat`: of each.
struct Two {
  explicit Two(Milliseconds beat = Milliseconds(20)) {
    for (unsigned i = 1; i <= 2; ++i) {
      RedisStore::Options options = tests::options_for(server, i);
      options.beat = beat;
      stores.push_back(tests::opened(std::move(options)));
    }
  }
  RedisServer server;
  std::vector<std::unique_ptr<RedisStore>> stores;
};

TimePoint in(Milliseconds time) { return std::chrono::steady_clock::now() + time; }

bool knows(const Peers& peers, KeyBan::Kind kind, const std::string& name) {
  for (const KeyBan& ban : peers.bans()) {
    if (ban.kind == kind && ban.name == name) return true;
  }
  return false;
}

Milliseconds probe(Peers& peers, KeyBan::Kind kind, const std::string& name) {
  const Answer<Milliseconds> answer;
  peers.take_probe(kind, name, no_deadline, answer.callback());
  const auto left = answer.wait();
  REQUIRE(left.has_value());
  return *left;
}

TurnAnswer turn(Peers& peers, const Turn& wanted) {
  const Answer<TurnAnswer> answer;
  peers.take_turn(wanted, no_deadline, answer.callback());
  const auto told = answer.wait();
  REQUIRE(told.has_value());
  return *told;
}

using Answers = TurnAnswer::Kind;
using Kind = KeyBan::Kind;

}  // namespace

TEST_CASE("what fal has said of a key is known to all, until it is over") {
  if (!RedisServer::is_there()) return;
  const Two world;
  Peers &one = *world.stores[0], &two = *world.stores[1];
  REQUIRE(in_time([&] { return one.news() > 0 && two.news() > 0; }));  // also of nothing
  const std::uint64_t before = two.news();
  const TimePoint until = in(Seconds(300));
  const std::string stamp = one.tell({.kind = Kind::blocked, .name = "acc", .until = until});
  CHECK(knows(one, Kind::blocked, "acc"));  // at once
  REQUIRE(in_time([&] { return knows(two, Kind::blocked, "acc"); }));
  CHECK(two.news() > before);
  REQUIRE(two.bans().size() == 1);
  CHECK(two.bans().front().stamp == stamp);
  CHECK(std::chrono::abs(two.bans().front().until - until) < Seconds(5));
  one.tell({.kind = Kind::refused, .name = "key", .until = until});
  CHECK(in_time([&] { return knows(two, Kind::refused, "key"); }));
  two.lift(Kind::blocked, "acc");
  CHECK_FALSE(knows(two, Kind::blocked, "acc"));
  CHECK(in_time([&] { return !knows(one, Kind::blocked, "acc"); }));
  CHECK(knows(one, Kind::refused, "key"));
}

TEST_CASE("one of two that may send a probe is given it") {
  if (!RedisServer::is_there()) return;
  const Two world;
  Peers &one = *world.stores[0], &two = *world.stores[1];
  CHECK(probe(one, Kind::blocked, "acc") == Milliseconds(0));  // nobody has said anything of it
  one.tell({.kind = Kind::blocked, .name = "acc", .until = in(Seconds(300))});
  REQUIRE(in_time([&] { return knows(two, Kind::blocked, "acc"); }));
  CHECK(probe(two, Kind::blocked, "acc") > Seconds(200));
  one.tell({.kind = Kind::blocked, .name = "acc", .until = in(Milliseconds(0))});
  REQUIRE(in_time([&] { return probe(two, Kind::blocked, "acc") == Milliseconds(0); }));
  const Milliseconds left = probe(one, Kind::blocked, "acc");
  CHECK(left > Milliseconds(0));
  CHECK(left <= Seconds(30));
}

TEST_CASE(
    "who has more to say of a key is asked for a probe by that, not by what was said before") {
  if (!RedisServer::is_there()) return;
  const Two world;
  Peers &one = *world.stores[0], &two = *world.stores[1];
  one.tell({.kind = Kind::blocked, .name = "acc", .until = in(Seconds(300))});
  REQUIRE(in_time([&] { return knows(two, Kind::blocked, "acc"); }));
  two.tell({.kind = Kind::blocked, .name = "acc", .until = in(Milliseconds(0))});
  CHECK(probe(two, Kind::blocked, "acc") == Milliseconds(0));
  CHECK(probe(one, Kind::blocked, "acc") > Milliseconds(0));
}

TEST_CASE("a client has so many requests at once, and so many in a time, with all together") {
  if (!RedisServer::is_there()) return;
  const Two world;
  Peers &one = *world.stores[0], &two = *world.stores[1];
  const Turn both{
      .client = "ann", .ticket = "1", .places = 2, .requests = 4, .period = std::chrono::hours(1)};
  Turn next = both;
  CHECK(turn(one, both) == TurnAnswer{.remaining = 3, .until_full = std::chrono::minutes(15)});
  next.ticket = "2";
  CHECK(turn(two, next).remaining == 2);
  next.ticket = "3";
  CHECK(turn(one, next).kind == Answers::no_place);
  two.give_back(Peers::place_of("ann"), "2");
  CHECK(in_time([&] { return turn(one, next).kind == Answers::yes; }));
  // Who had no place has used up no turn; the fourth is the last.
  Turn rate_alone = both;
  rate_alone.places = 0;
  CHECK(turn(two, rate_alone).remaining == 0);
  const TurnAnswer refused = turn(one, rate_alone);
  CHECK(refused.kind == Answers::too_fast);
  CHECK(refused.until_next > std::chrono::minutes(14));
  CHECK(refused.until_next <= std::chrono::minutes(15));
  CHECK(refused.until_full > std::chrono::minutes(59));
  // Other limits, and other clients, begin anew.
  Turn other = rate_alone;
  other.requests = 5;
  CHECK(turn(one, other).remaining == 4);
  other = rate_alone;
  other.client = "bob";
  CHECK(turn(one, other).kind == Answers::yes);
}

TEST_CASE("turns come back evenly, by the clock of Redis") {
  if (!RedisServer::is_there()) return;
  const Two world;
  const Turn fast{.client = "ann", .ticket = "1", .requests = 5, .period = Milliseconds(500)};
  const auto began = std::chrono::steady_clock::now();
  int given = 0;
  while (given < 15) {
    const TurnAnswer answer = turn(*world.stores[static_cast<std::size_t>(given) % 2], fast);
    given += answer.kind == Answers::yes ? 1 : 0;
    if (answer.kind == Answers::too_fast) {
      CHECK(answer.until_next > Milliseconds(0));
      CHECK(answer.until_next <= Milliseconds(100));
      std::this_thread::sleep_for(answer.until_next);
    }
  }
  // Five at once, and one each 100 ms.
  CHECK(std::chrono::steady_clock::now() - began >= Milliseconds(995));
}

TEST_CASE("a place of a client whose process is gone is free again") {
  if (!RedisServer::is_there()) return;
  Two world;
  const Turn wanted{.client = "ann", .ticket = "1", .places = 1};
  Turn next = wanted;
  next.ticket = "2";
  CHECK(turn(*world.stores[0], wanted).kind == Answers::yes);
  CHECK(turn(*world.stores[1], next).kind == Answers::no_place);
  world.stores[0].reset();
  CHECK(in_time([&] { return turn(*world.stores[1], next).kind == Answers::yes; }));
}

TEST_CASE("a run that is to be cancelled is told to all, whoever follows it") {
  if (!RedisServer::is_there()) return;
  const Two world;
  std::atomic<int> heard = 0;
  std::atomic<bool> others = false;
  world.stores[1]->on_cancel([&](const RunId& run) {
    ++heard;
    if (run != tests::run_id(7)) others = true;
  });
  world.stores[0]->cancel(tests::run_id(7));
  CHECK(in_time([&] { return heard > 0; }));
  world.stores[1]->on_cancel({});
  CHECK_FALSE(others);
}

TEST_CASE("a process knows that it was silent for so long that others may have its runs") {
  if (!RedisServer::is_there()) return;
  RedisServer server;
  RedisStore::Options options = tests::options_for(server);
  options.address.bound = Milliseconds(100);
  options.beat = Milliseconds(50);
  options.lease = Milliseconds(3'000);
  const auto store = tests::opened(options);
  CHECK(store->absences() == 0);
  server.pause();
  CHECK(in_time([&] { return store->absences() == 1; }));
  server.go_on();
  CHECK(in_time([&] { return store->status().degraded.empty(); }));
  CHECK(store->absences() == 1);
}
