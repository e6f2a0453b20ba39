// What a process notes on its own machine, beside what all share.
#include "shared_state.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "app/folder.hpp"
#include "falproxy/budgets.hpp"
#include "falproxy/redis_store.hpp"
#include "falproxy/sqlite_store.hpp"
#include "falproxy/system_clock.hpp"
#include "support/redis_server.hpp"
#include "support/spending_laws.hpp"
#include "support/store_laws.hpp"

namespace falproxy {
namespace {

using tests::RedisServer;

// The state of one process, over the disk of its machine.
struct Machine {
  Machine(const RedisServer& server, const std::filesystem::path& folder, unsigned number) {
    auto opened = SqliteStore::open({.folder = folder});
    REQUIRE(opened.has_value());
    SpendingStore* const texts = opened->get();
    state = std::make_unique<app::SharedState>(
        app::SharedState::Parts{.local = *std::move(opened), .local_texts = texts, .now = [] {
                                  return std::chrono::steady_clock::now();
                                }});
    auto redis = RedisStore::open(
        {.address = {.hosts = {{"127.0.0.1", server.port()}}, .bound = Milliseconds(5'000)},
         .self = tests::run_id(number),
         .on_return = [this] { state->hand_over(); }});
    state->share(std::move(redis).value());
  }

  std::unique_ptr<app::SharedState> state;
};

template <class Test>
bool sooner_or_later(Test&& test) {
  for (int tries = 0; tries < 3'000; ++tries) {
    if (test()) return true;
    std::this_thread::sleep_for(Milliseconds(10));
  }
  return false;
}

RunRecord ended(unsigned number) {
  RunRecord record = tests::run(number);
  record.key_hash = tests::digest_of(number);
  record.state = record.jobs.front().state = RunState::completed;
  record.jobs.front().request_id = "764cabcf";
  record.expires = record.created + std::chrono::hours(24 * 365 * 100);
  return record;
}

bool is_found(StateStore& store, unsigned number) {
  const auto found = tests::find(store, RunQuery::of_key("alice", tests::digest_of(number)));
  return found && found->size() == 1 && found->front() == ended(number);
}

}  // namespace

TEST_CASE("what a server had alone is there for all, once it shares a Redis that has nothing") {
  if (!RedisServer::is_there()) return;
  RedisServer server;
  const testing::Folder folder, other;
  const Day today = day_of(SystemClock().wall_now());
  {
    const auto alone = SqliteStore::open({.folder = folder.path()});
    REQUIRE(alone.has_value());
    tests::put(**alone, "keys", "a digest");
    tests::charge(**alone, {{"ann", today, Usd{2}}, {"ann", today - 1, Usd{3}}, {"ann", 9, Usd{5}}},
                  Durability::durable);
    REQUIRE(tests::balances(**alone, today).front().total == Usd{10});
  }
  for (int start = 0; start < 3; ++start) {
    CAPTURE(start);
    const Machine one(server, folder.path(), 1), two(server, other.path(), 2);
    CHECK(tests::text(*one.state, "keys") == "a digest");
    CHECK(tests::text(*two.state, "keys") == "a digest");
    CHECK(sooner_or_later([&] { return one.state->kept_here() == 0; }));
    const std::vector<Balance> balances = tests::balances(*two.state, today);
    REQUIRE(balances.size() == 1);
    CHECK(balances.front().day == Usd{2});
    CHECK(balances.front().total == Usd{10});
  }
  // A Redis that has lost its data gets it again; what was emptied stays so.
  server.stop();
  server.start();
  const Machine one(server, folder.path(), 1), two(server, other.path(), 2);
  CHECK(tests::text(*two.state, "keys") == "a digest");
  tests::put(*one.state, "keys", "");
  CHECK(tests::text(*two.state, "keys").empty());
  CHECK(tests::text(*one.state, "keys").empty());
}

TEST_CASE("what was done while Redis was away is handed over by a later process") {
  if (!RedisServer::is_there()) return;
  RedisServer server;
  const testing::Folder folder, other;
  constexpr unsigned runs = 450;  // of more than two pages
  server.stop();
  {
    const Machine one(server, folder.path(), 1);
    for (unsigned number = 1; number <= runs; ++number)
      REQUIRE(tests::write(*one.state, ended(number), Durability::lazy).has_value());
    tests::charge(*one.state, {{"ann", 20'000, Usd{7}}}, Durability::lazy);
    tests::add(*one.state, {.day = 20'000, .key = "ann", .requests = 1});
    CHECK(is_found(*one.state, 1));
    CHECK(tests::numbers(tests::find(*one.state, RunQuery::of_open(5))) == "");
  }
  server.start();
  const Machine two(server, other.path(), 2);
  CHECK_FALSE(is_found(*two.state, 1));
  {
    const Machine one(server, folder.path(), 3);
    CHECK(sooner_or_later([&] { return one.state->kept_here() == 0; }));
    for (const unsigned number : {1U, 200U, runs}) CHECK(is_found(*two.state, number));
    CHECK(tests::balances(*two.state, 20'000).front().total == Usd{7});
    CHECK(tests::sum(*two.state, {.first = 20'000, .last = 20'000}).front().requests == 1);
  }
  // Nothing is left of it.
  server.stop();
  server.start();
  const Machine one(server, folder.path(), 4);
  CHECK(one.state->kept_here() == 0);
  CHECK_FALSE(is_found(*one.state, 1));
}

TEST_CASE("what may be asked for again is found while Redis is away, also by the next process") {
  if (!RedisServer::is_there()) return;
  RedisServer server;
  const testing::Folder folder;
  RunRecord run = ended(1);
  run.promised = true;
  run.is_untold = true;
  run.state = run.jobs.front().state = RunState::accepted;
  const auto is_there = [&](StateStore& store) {
    const auto found = tests::find(store, RunQuery::of_key("alice", tests::digest_of(1)));
    return found && found->size() == 1 && found->front() == run;
  };
  {
    const Machine one(server, folder.path(), 1);
    REQUIRE(tests::write(*one.state, run, Durability::durable).has_value());
    RunRecord unasked = ended(2);
    unasked.promised = false;
    REQUIRE(tests::write(*one.state, unasked, Durability::durable).has_value());
  }
  server.stop();
  {
    const Machine one(server, folder.path(), 2);
    CHECK(is_there(*one.state));
    CHECK(tests::find(*one.state, RunQuery::of_key("alice", tests::digest_of(2)))->empty());
    // Redis has it: it is not handed over, and whoever follows it there goes on.
    CHECK(one.state->kept_here() == 0);
    CHECK(tests::numbers(tests::find(*one.state, RunQuery::of_open(5))) == "");
    run.state = run.jobs.front().state = RunState::completed;
    ++run.fence;
    REQUIRE(tests::write(*one.state, run, Durability::durable).has_value());
    CHECK(one.state->kept_here() == 1);
    CHECK(is_there(*one.state));
    server.start();
    CHECK(sooner_or_later([&] { return one.state->kept_here() == 0; }));
  }
  server.stop();
  const Machine one(server, folder.path(), 3);
  CHECK(is_there(*one.state));
  CHECK_FALSE(tests::erase(*one.state, run.id).has_value());  // Redis has it still
  CHECK(sooner_or_later([&] { return !is_there(*one.state); }));
}

TEST_CASE("what another process may have settled long ago is not settled by its copy") {
  if (!RedisServer::is_there()) return;
  RedisServer server;
  const testing::Folder folder;
  const Machine one(server, folder.path(), 1);
  const WallTime now = SystemClock().wall_now();
  for (const unsigned number : {1U, 2U}) {
    RunRecord run = ended(number);
    run.changed = now - std::chrono::hours(number == 1 ? 1 : 7);
    run.jobs.front().held = Usd{10};
    REQUIRE(tests::write(*one.state, run, Durability::durable).has_value());
  }
  server.stop();
  const auto held = [&](unsigned number) {
    const auto found = tests::find(*one.state, RunQuery::of_key("alice", tests::digest_of(number)));
    REQUIRE(found.has_value());
    REQUIRE(found->size() == 1);
    return found->front().jobs.front().held;
  };
  CHECK(held(1) == Usd{10});
  CHECK(held(2) == std::nullopt);
}

TEST_CASE("of two processes that settle one job one does, also if Redis was away for the other") {
  if (!RedisServer::is_there()) return;
  RedisServer server({"--appendonly", "yes", "--appendfsync", "always"});
  const testing::Folder folder, other;
  SystemClock clock;
  const Day today = day_of(clock.wall_now());
  const Reservation held{.held = Usd{10}, .day = today};
  const auto settle = [&](SpendingStore& store) {
    Budgets budgets({.clock = clock, .store = store, .is_shared = true});
    budgets.set_rows({{.name = "ann", .budget = Budget::parse("1/day")}});
    budgets.settle({.client = "ann"}, held,
                   {.endpoint = "fal-ai/flux/dev", .units = 0.0, .fal_request_id = "764cabcf"});
  };
  const Machine one(server, folder.path(), 1), two(server, other.path(), 2);
  tests::charge(*one.state, {{"ann", today, Usd{10}}}, Durability::lazy);
  settle(*two.state);
  server.stop();
  settle(*one.state);
  CHECK(sooner_or_later([&] { return one.state->kept_here() == 1; }));
  server.start();
  CHECK(sooner_or_later([&] { return one.state->kept_here() == 0; }));
  CHECK(tests::balances(*one.state, today).front().total == Usd{});
}

TEST_CASE("a key that goes on without Redis keeps to what its process knows of") {
  if (!RedisServer::is_there()) return;
  RedisServer server;
  const testing::Folder folder;
  SystemClock clock;
  const Machine one(server, folder.path(), 1);
  Budgets budgets({.clock = clock, .store = *one.state, .is_shared = true});
  budgets.set_rows(
      {{.name = "ann", .budget = Budget::parse("0.19/day"), .allow_state_loss = true}});
  budgets.set_prices({{"fal-ai/flux/dev", {*Usd::parse("0.025"), "megapixels"}}});
  REQUIRE(budgets.load().has_value());
  server.stop();
  int reserved = 0;
  while (reserved < 20 && budgets.reserve({.client = "ann"},
                                          {{"fal-ai/flux/dev", {.images = 1, .pixels = 1 << 20}}}))
    ++reserved;
  CHECK(reserved == 7);
  CHECK(budgets.remaining("ann") == Usd::parse("0.015"));
}

}  // namespace falproxy
