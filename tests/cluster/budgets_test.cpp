// Budgets that several processes share.
#include "falproxy/budgets.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "falproxy/memory_store.hpp"
#include "falproxy/redis_store.hpp"
#include "falproxy/system_clock.hpp"
#include "shared_state.hpp"
#include "stored_keys.hpp"
#include "support/redis_server.hpp"

namespace falproxy {
namespace {

using tests::RedisServer;

// One process of several.
struct Spender {
  Spender(const RedisServer& server, std::uint8_t number, bool allow_loss,
          Milliseconds bound = Milliseconds(5'000)) {
    auto local = std::make_unique<MemoryStore>(clock);
    state = std::make_unique<app::SharedState>(
        app::SharedState::Parts{.local = std::move(local), .local_texts = &texts, .now = [] {
                                  return std::chrono::steady_clock::now();
                                }});
    RunId self;
    self.bytes[0] = number;
    auto redis =
        RedisStore::open({.address = {.hosts = {{"127.0.0.1", server.port()}}, .bound = bound},
                          .self = self,
                          .on_return = [this] { state->hand_over(); }});
    state->share(std::move(redis).value());
    budgets = std::make_unique<Budgets>(
        Budgets::Parts{.clock = clock, .store = *state, .is_shared = true});
    budgets->set_rows(
        {{.name = "ann", .budget = Budget::parse("0.19/day"), .allow_state_loss = allow_loss}});
    budgets->set_prices({{"fal-ai/flux/dev", {*Usd::parse("0.025"), "megapixels"}}});
    REQUIRE(budgets->load().has_value());
  }
  ~Spender() {
    budgets.reset();
    state.reset();
  }
  Result<std::vector<Reservation>> reserve() {
    return budgets->reserve({.client = "ann"},
                            {{"fal-ai/flux/dev", {.images = 1, .pixels = 1 << 20}}});
  }
  int reserve_all() {
    int count = 0;
    while (count < 1'000 && reserve()) ++count;
    return count;
  }

  SystemClock clock;
  MemorySpending texts;
  std::unique_ptr<app::SharedState> state;
  std::unique_ptr<Budgets> budgets;
};

}  // namespace

TEST_CASE("of a budget for seven jobs all processes together get seven") {
  if (!RedisServer::is_there()) return;
  const RedisServer server;
  Spender one(server, 1, false), two(server, 2, false);
  std::atomic<int> reserved = 0;
  {
    std::vector<std::jthread> threads;
    for (Spender* spender : {&one, &two, &one, &two})
      threads.emplace_back([&reserved, spender] { reserved += spender->reserve_all(); });
  }
  CHECK(reserved == 7);
  CHECK(one.budgets->remaining("ann") == Usd::parse("0.015"));

  // What one gives back the other may spend.
  const auto before = one.reserve();
  REQUIRE_FALSE(before.has_value());
  CHECK(before.error().kind == ErrorKind::insufficient_quota);
  one.budgets->settle({.client = "ann"},
                      {.held = *Usd::parse("0.025"), .day = day_of(one.clock.wall_now())},
                      {.endpoint = "fal-ai/flux/dev", .units = 0.0});
  // It is told to Redis beside the request.
  bool given = false;
  for (int tries = 0; tries < 2'000 && !given; ++tries) {
    std::this_thread::sleep_for(Milliseconds(5));
    given = two.reserve().has_value();
  }
  CHECK(given);
  CHECK_FALSE(one.reserve().has_value());
}

TEST_CASE(
    "while Redis is away a budget refuses, or what is spent is added later, as its row says") {
  if (!RedisServer::is_there()) return;
  RedisServer server;
  Spender strict(server, 1, false), loose(server, 2, true);
  server.stop();
  const auto refused = strict.reserve();
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind == ErrorKind::overloaded);
  CHECK(loose.reserve().has_value());
  CHECK(loose.reserve().has_value());
  server.start();
  bool added = false;
  for (int tries = 0; tries < 1'000 && !added; ++tries) {
    std::this_thread::sleep_for(Milliseconds(10));
    added = strict.budgets->load().has_value() &&
            strict.budgets->remaining("ann") == Usd::parse("0.14");
  }
  CHECK(added);
}

TEST_CASE("what one process has blocked stays blocked, whatever another one blocks or lets go on") {
  if (!RedisServer::is_there()) return;
  const RedisServer server;
  Spender one(server, 1, false), two(server, 2, false);
  for (Spender* spender : {&one, &two}) {
    std::vector<KeyRules> rows;
    for (const char* name : {"ann", "joe", "kim"}) {
      rows.push_back(
          {.name = name, .budget = Budget::parse("10/month"), .max_job_cost = *Usd::parse("0.1")});
    }
    spender->budgets->set_rows(std::move(rows));
  }
  const auto block = [](Spender& spender, const char* name) {
    spender.budgets->settle({.client = name}, {.day = day_of(spender.clock.wall_now())},
                            {.endpoint = "fal-ai/flux/dev", .units = 40.0});
  };
  const auto blocked = [](const Spender& spender) {
    std::string names;
    for (const char* name : {"ann", "joe", "kim"}) {
      if (spender.budgets->status(name).blocked_until) names += name;
    }
    return names;
  };
  const auto both_come_to = [&](const std::string& names) {
    for (int tries = 0; tries < 1'000; ++tries) {
      REQUIRE(one.budgets->load().has_value());
      REQUIRE(two.budgets->load().has_value());
      if (blocked(one) == names && blocked(two) == names) return true;
      std::this_thread::sleep_for(Milliseconds(10));
    }
    return false;
  };
  // Neither has heard of the other.
  block(one, "ann");
  block(two, "joe");
  block(one, "kim");
  CHECK(both_come_to("annjoekim"));
  two.budgets->unblock("kim");
  CHECK(both_come_to("annjoe"));
}

TEST_CASE("of keys that two processes make and take away each stays as it was said last") {
  if (!RedisServer::is_there()) return;
  const RedisServer server;
  Spender one(server, 1, false), two(server, 2, false);
  app::StoredKeys at_one(one.clock, *one.state), at_two(two.clock, *two.state);
  const auto key = [](const char* name) {
    app::StoredKey made;
    made.rules.name = name;
    return made;
  };
  const auto names = [](const app::StoredKeys& keys) {
    std::string all;
    for (const app::StoredKey& stored : keys.all()) all += stored.rules.name;
    return all;
  };
  REQUIRE(at_one.load().has_value());
  REQUIRE(at_two.load().has_value());
  REQUIRE(at_one.add(key("ann")).has_value());
  REQUIRE(at_two.add(key("joe")).has_value());  // it has not heard of "ann"
  CHECK(names(at_two) == "annjoe");
  REQUIRE(at_one.remove("ann").has_value());
  KeyRules changed{.name = "joe"};
  changed.budget = Budget::parse("5/day");
  REQUIRE(at_two.change(changed).has_value());
  REQUIRE(at_one.load().has_value());
  CHECK(names(at_one) == "joe");
  CHECK(names(at_two) == "joe");
  CHECK(at_one.all().front().rules.budget == Budget::parse("5/day"));
  CHECK_FALSE(at_one.add(key("joe")).has_value());
}

}  // namespace falproxy
