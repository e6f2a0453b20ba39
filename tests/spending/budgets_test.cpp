#include "falproxy/budgets.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "falproxy/test_doubles.hpp"

namespace falproxy {
namespace {

using Kind = SpendingAlert::Kind;

const std::string spending_endpoint = "fal-ai/flux/dev";
constexpr Quantities one_picture{.images = 1, .pixels = 1 << 20};

Usd usd(const char* text) { return *Usd::parse(text); }

/// A store whose next operations may fail.
struct FailingSpending final : SpendingStore {
  explicit FailingSpending(SpendingStore& behind) : store(behind) {}
  void charge(std::vector<Charge> charges, Durability durability, TimePoint deadline,
              Callback<Done> done) override {
    if (fault) return done(*fault);
    store.charge(std::move(charges), durability, deadline, std::move(done));
  }
  void balances(Day today, TimePoint deadline, Callback<std::vector<Balance>> done) override {
    store.balances(today, deadline, std::move(done));
  }
  void add(Spending spending, TimePoint deadline, Callback<Done> done) override {
    store.add(std::move(spending), deadline, std::move(done));
  }
  void sum(const SpendingQuery& query, TimePoint deadline,
           Callback<std::vector<Spending>> done) override {
    store.sum(query, deadline, std::move(done));
  }
  void forget_spending(Day day, TimePoint deadline, Callback<Done> done) override {
    store.forget_spending(day, deadline, std::move(done));
  }
  void post(Posting posting, TimePoint deadline, Callback<Done> done) override {
    const bool is_known = is_shared && !posting.once.empty() && !posted.insert(posting.once).second;
    if (is_known) return done(Done{});
    SpendingStore::post(std::move(posting), deadline, std::move(done));
  }
  void put(std::string name, std::string text, TimePoint deadline, Callback<Done> done) override {
    store.put(std::move(name), std::move(text), deadline, std::move(done));
  }
  void get(std::string name, TimePoint deadline, Callback<std::string> done) override {
    store.get(std::move(name), deadline, std::move(done));
  }
  SpendingStore& store;
  std::optional<StoreError> fault;
  bool is_shared = false;  // what has a name is posted once
  std::set<std::string> posted;
};

/// Budgets over a store that may outlast them, at noon of a Sunday.
struct Spenders {
  explicit Spenders(std::vector<KeyRules> rows) : rows_given(std::move(rows)) {
    const WallTime noon = begin_of(*parse_day("2026-11-29")) + std::chrono::hours(12);
    clock.move_to(clock.now() + (noon - clock.wall_now()));
    begin();
  }
  void begin(bool lost = false) {
    budgets = std::make_unique<Budgets>(
        Budgets::Parts{.clock = clock, .store = store, .alert = [this](const SpendingAlert& alert) {
                         alerts.push_back(alert);
                       }});
    budgets->set_rows(rows_given);
    budgets->set_prices({{spending_endpoint, {usd("0.025"), "megapixels"}},
                         {"a/slow", {usd("0.001"), "compute seconds"}}});
    REQUIRE(budgets->load(lost).has_value());
  }
  Result<std::vector<Reservation>> reserve(const std::string& client = "ann", int jobs = 1,
                                           const std::string& endpoint = spending_endpoint) {
    return budgets->reserve(
        {.client = client},
        std::vector<Purse::Job>(static_cast<std::size_t>(jobs), {endpoint, one_picture}));
  }
  /// So many that fit.
  int reserve_all(const std::string& client = "ann") {
    int count = 0;
    while (count < 1000 && reserve(client)) ++count;
    return count;
  }
  std::optional<Usd> settle(const Reservation& reservation, std::optional<double> units,
                            bool may_be_billed = true) {
    return budgets->settle(
        {"ann", "flux", "u1"}, reservation,
        {.endpoint = spending_endpoint, .units = units, .may_be_billed = may_be_billed});
  }

  void pass(std::chrono::hours time) { clock.move_to(clock.now() + time); }

  testing::VirtualClock clock;
  MemorySpending memory;
  FailingSpending store{memory};
  std::vector<KeyRules> rows_given;
  std::vector<SpendingAlert> alerts;
  std::unique_ptr<Budgets> budgets;
};

KeyRules row_of(const char* name, const char* budget, UnknownPrice unknown = UnknownPrice::refuse) {
  return {.name = name, .budget = Budget::parse(budget), .unknown_price = unknown};
}

}  // namespace

TEST_CASE("of a budget for seven jobs 200 that ask at once get seven, and after a restart none") {
  Spenders world({row_of("ann", "0.19/day")});
  std::atomic<int> reserved{0}, refused{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 25; ++i) {
          const auto got = world.reserve();
          if (got) ++reserved;
          if (!got && got.error().kind == ErrorKind::insufficient_quota) ++refused;
        }
      });
    }
  }
  CHECK(reserved == 7);
  CHECK(refused == 193);
  world.begin();
  CHECK(world.reserve_all() == 0);
  CHECK(world.budgets->remaining("ann") == usd("0.015"));
}

TEST_CASE("all jobs of a request are reserved, or none") {
  Spenders world({row_of("ann", "0.10/day")});
  CHECK_FALSE(world.reserve("ann", 5).has_value());
  CHECK(world.budgets->remaining("ann") == usd("0.10"));
  CHECK(world.reserve("ann", 4).has_value());
  CHECK(world.budgets->remaining("ann") == Usd{});
}

TEST_CASE("a reservation becomes what the job cost, and goes back if fal takes nothing") {
  Spenders world({row_of("ann", "1.00/day")});
  const Reservation made = world.reserve()->front();
  CHECK(made.estimate == usd("0.025"));
  CHECK(made.units == Units::parse("1"));
  CHECK(world.settle(made, 2) == usd("0.05"));
  CHECK(world.budgets->remaining("ann") == usd("0.95"));
  CHECK(world.settle(world.reserve()->front(), std::nullopt, false) == Usd{});
  CHECK(world.budgets->remaining("ann") == usd("0.95"));
  CHECK(world.settle(world.reserve()->front(), 0) == Usd{});
  CHECK(world.budgets->remaining("ann") == usd("0.95"));
  // Nobody knows: it stays reserved.
  CHECK_FALSE(world.settle(world.reserve()->front(), std::nullopt).has_value());
  CHECK(world.budgets->remaining("ann") == usd("0.925"));
  world.begin();
  CHECK(world.budgets->remaining("ann") == usd("0.925"));
}

TEST_CASE("what jobs cost is added up for reports, and what nobody knows is counted") {
  Spenders world({});
  const Reservation made = world.reserve()->front();
  CHECK(made.held == Usd{});
  CHECK(world.settle(made, 2) == usd("0.05"));
  world.settle(made, std::nullopt, false);
  world.settle(made, std::nullopt);
  std::vector<Spending> rows;
  world.memory.sum(
      {.first = 0, .last = 100'000, .by = SpendingBy::user}, no_deadline,
      [&](Result<std::vector<Spending>, StoreError> found) { rows = std::move(found).value(); });
  CHECK(rows ==
        std::vector<Spending>{
            {.user = "u1", .unpriced = 1, .units = *Units::parse("2"), .cost = usd("0.05")}});
}

TEST_CASE("a window ends at midnight, and what was reserved before counts for the one before") {
  Spenders world({row_of("ann", "0.05/day"), row_of("bob", "0.05/week"),
                  row_of("eve", "0.05/month"), row_of("joe", "0.05/total")});
  const Reservation before = world.reserve()->front();
  CHECK(world.reserve_all() == 1);
  for (const char* client : {"bob", "eve", "joe"}) CHECK(world.reserve_all(client) == 2);
  const Error refused = world.reserve().error();
  CHECK(refused.message.find("2026-11-30T00:00:00Z") != std::string::npos);
  CHECK_FALSE(refused.retry_after.has_value());
  world.pass(std::chrono::hours(12));  // Monday
  CHECK(world.settle(before, 100).has_value());
  CHECK(world.reserve_all() == 2);
  CHECK(world.reserve_all("bob") == 2);
  CHECK(world.reserve_all("eve") == 0);
  world.begin();
  for (const char* client : {"ann", "bob", "eve", "joe"}) CHECK(world.reserve_all(client) == 0);
  world.pass(std::chrono::hours(24));  // the first of December
  CHECK(world.reserve_all("bob") == 0);
  CHECK(world.reserve_all("eve") == 2);
  CHECK(world.reserve_all("joe") == 0);
  CHECK(world.reserve("joe").error().message.find("does not begin anew") != std::string::npos);
}

TEST_CASE("the budget of all keys together holds whoever asks, and its size is told to nobody") {
  Spenders world({row_of("ann", "1/day"), row_of("*", "0.10/day")});
  CHECK(world.reserve("ann").has_value());
  CHECK(world.reserve_all("bob") == 3);
  const auto refused = world.reserve("ann");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().message.find("all access keys together") != std::string::npos);
  CHECK(refused.error().message.find("0.10") == std::string::npos);
  CHECK(world.budgets->remaining("ann") == Usd{});
  CHECK(world.budgets->status("ann").spent == usd("0.025"));
}

TEST_CASE("a job of an unknown price is refused, let through, or taken for what the row says") {
  KeyRules assumed = row_of("joe", "1/day", UnknownPrice::assume);
  assumed.assumed_cost = usd("0.40");
  Spenders world({row_of("ann", "1/day"), row_of("bob", "1/day", UnknownPrice::allow), assumed});
  for (const char* endpoint : {"a/slow", "a/unlisted"}) {
    const auto refused = world.reserve("ann", 1, endpoint);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().kind == ErrorKind::invalid_value);
    CHECK(world.reserve("bob", 1, endpoint)->front().held == Usd{});
    CHECK_FALSE(world.reserve("bob", 1, endpoint)->front().estimate.has_value());
    CHECK(world.reserve("joe", 1, endpoint)->front().held == usd("0.40"));
  }
  CHECK_FALSE(world.reserve("joe", 1, "a/slow").has_value());
  // Its cost counts once it is known.
  const Reservation slow = world.reserve("bob", 1, "a/slow")->front();
  CHECK(world.budgets->settle({.client = "bob"}, slow, {.endpoint = "a/slow", .units = 900}) ==
        usd("0.9"));
  CHECK(world.budgets->remaining("bob") == usd("0.1"));
  // Without any price list it is the server's affair.
  Budgets without({.clock = world.clock, .store = world.store});
  without.set_rows({row_of("ann", "1/day")});
  REQUIRE(without.load().has_value());
  CHECK(without.reserve({.client = "ann"}, {{spending_endpoint, one_picture}}).error().kind ==
        ErrorKind::overloaded);
}

TEST_CASE("a job above max_job_cost is refused, and one that came out above it blocks the key") {
  KeyRules row = row_of("ann", "100/day");
  row.max_job_cost = usd("0.04");
  Spenders world({row});
  CHECK(world.budgets
            ->reserve({.client = "ann"}, {{spending_endpoint, {.images = 2, .pixels = 1 << 20}}})
            .error()
            .kind == ErrorKind::invalid_value);
  CHECK(world.settle(world.reserve()->front(), 400) == usd("10"));
  REQUIRE(world.alerts.size() == 2);
  CHECK(world.alerts[0] == SpendingAlert{Kind::costly_job, "ann", "", usd("10"), usd("0.025")});
  CHECK(world.alerts[1] == SpendingAlert{Kind::costly_job, "ann", "", usd("10"), usd("0.04")});
  CHECK(world.reserve().error().kind == ErrorKind::insufficient_quota);
  world.begin();
  CHECK(world.reserve().error().kind == ErrorKind::insufficient_quota);
  CHECK(world.budgets->status("ann").blocked_until == begin_of(*parse_day("2026-11-30")));
  world.budgets->unblock("ann");
  CHECK(world.reserve().has_value());
}

TEST_CASE("a bill that makes a job too dear tells so and blocks the key, once") {
  KeyRules row = row_of("ann", "100/day");
  row.max_job_cost = usd("0.04");
  Spenders world({row});
  SettledJob job{.payer = {.client = "ann", .model = "flux"},
                 .fal_request_id = "r-1",
                 .cost = usd("0.025"),
                 .charged = usd("0.025"),
                 .estimate = usd("0.025")};
  SUBCASE("its cost was known") {}
  SUBCASE("nobody knew what it costs") { job.cost.reset(); }
  static_cast<void>(world.budgets->correct(job, usd("0.03")));
  CHECK(world.alerts.empty());
  static_cast<void>(world.budgets->correct(job, usd("10")));
  REQUIRE(world.alerts.size() == 2);
  CHECK(world.alerts[0] == SpendingAlert{Kind::costly_job, "ann", "", usd("10"), usd("0.025")});
  CHECK(world.alerts[0].message.starts_with("A job of the key 'ann' at flux (r-1) cost 10.00 USD"));
  CHECK(world.alerts[1] == SpendingAlert{Kind::costly_job, "ann", "", usd("10"), usd("0.04")});
  CHECK(world.reserve().error().kind == ErrorKind::insufficient_quota);
  world.begin();
  CHECK(world.reserve().error().kind == ErrorKind::insufficient_quota);
  world.budgets->unblock("ann");
  // Who was told of it is not told again.
  job.cost = job.charged = usd("10");
  static_cast<void>(world.budgets->correct(job, usd("11")));
  CHECK(world.alerts.size() == 2);
  CHECK(world.reserve().has_value());
}

TEST_CASE("four fifths and all of a budget are told once each in a window") {
  Spenders world({row_of("ann", "0.25/day")});
  CHECK(world.reserve_all() == 10);
  CHECK(world.reserve_all() == 0);
  REQUIRE(world.alerts.size() == 2);
  CHECK(world.alerts[0] ==
        SpendingAlert{Kind::budget_nearly_spent, "ann", "", usd("0.2"), usd("0.25")});
  CHECK(world.alerts[1] == SpendingAlert{Kind::budget_spent, "ann", "", usd("0.25"), usd("0.25")});
  world.pass(std::chrono::hours(12));
  CHECK(world.reserve_all() == 10);
  CHECK(world.alerts.size() == 4);
}

TEST_CASE("what cannot be noted is not spent, unless the row allows it") {
  KeyRules careless = row_of("bob", "1/day");
  careless.allow_state_loss = true;
  Spenders world({row_of("ann", "1/day"), careless});
  world.store.fault = StoreError{StoreFault::unavailable, "full"};
  CHECK(world.reserve("ann").error().kind == ErrorKind::overloaded);
  CHECK(world.budgets->remaining("ann") == usd("1"));
  CHECK(world.reserve("bob").has_value());
  // It may be in the store: it counts.
  world.store.fault->may_be_done = true;
  CHECK_FALSE(world.reserve("ann").has_value());
  CHECK(world.budgets->remaining("ann") == usd("0.975"));
}

TEST_CASE("after a loss of what was spent nothing is, until the window ends or somebody says so") {
  KeyRules careless = row_of("bob", "1/day");
  careless.allow_state_loss = true;
  Spenders world({row_of("ann", "1/day"), careless, row_of("joe", "1/total")});
  world.begin(true);
  CHECK(world.reserve("ann").error().kind == ErrorKind::insufficient_quota);
  CHECK(world.reserve("bob").has_value());
  world.begin();
  CHECK(world.reserve("ann").error().kind == ErrorKind::insufficient_quota);
  world.pass(std::chrono::hours(12));
  CHECK(world.reserve("ann").has_value());
  CHECK_FALSE(world.reserve("joe").has_value());
  world.budgets->unblock("joe");
  world.begin();
  CHECK(world.reserve("joe").has_value());
}

TEST_CASE("before it is known what was spent, a key with a budget gets nothing") {
  Spenders world({row_of("ann", "1/day")});
  Budgets early({.clock = world.clock, .store = world.store});
  early.set_rows({row_of("ann", "1/day")});
  early.set_prices(*world.budgets->prices());
  CHECK(early.reserve({.client = "ann"}, {{spending_endpoint, one_picture}}).error().kind ==
        ErrorKind::overloaded);
  CHECK(early.reserve({.client = "bob"}, {{spending_endpoint, one_picture}}).has_value());
}

TEST_CASE("a chat holds no more than a job may cost, and its reserve is no estimate") {
  KeyRules row = row_of("ann", "1/day");
  row.max_job_cost = usd("0.02");
  Spenders world({row});
  const Purse::Job chat{.endpoint = "openrouter/router", .expected = {}, .by_tokens = true};
  const auto made = world.budgets->reserve({.client = "ann"}, {chat});
  REQUIRE(made);
  CHECK(made->front().held == usd("0.02"));
  CHECK_FALSE(made->front().estimate);
  Spenders free({row_of("ann", "9/day")});
  const auto dear = free.budgets->reserve({.client = "ann"}, {chat});
  REQUIRE(dear);
  CHECK(dear->front().held == usd("0.05"));
  CHECK(free.settle(dear->front(), 0.6) == usd("0.6"));
  CHECK(free.alerts.empty());
}

TEST_CASE("an average is told where nothing else is known, and is no known cost") {
  Spenders world({row_of("ann", "1/day"), row_of("eve", "1/day", UnknownPrice::allow),
                  row_of("joe", "1/day", UnknownPrice::assume)});
  CHECK_FALSE(world.budgets->estimate("a/slow", one_picture).has_value());
  world.budgets->set_prices(*world.budgets->prices(),
                            {{"a/slow", usd("0.3")}, {spending_endpoint, usd("0.7")}});
  CHECK(world.budgets->estimate("a/slow", one_picture) == usd("0.3"));
  CHECK(world.budgets->estimate(spending_endpoint, one_picture) == usd("0.025"));
  CHECK(world.reserve("ann", 1, "a/slow").error().kind == ErrorKind::invalid_value);
  const auto held = [&](const char* client) {
    const auto made = world.reserve(client, 1, "a/slow");
    REQUIRE(made);
    CHECK_FALSE(made->front().estimate);
    return made->front().held;
  };
  CHECK(held("eve") == usd("0.3"));
  CHECK(held("joe") == Usd{});  // what its row says
  for (int i = 0; i < 2; ++i) CHECK(held("eve") == usd("0.3"));
  CHECK(world.reserve("eve", 1, "a/slow").error().kind == ErrorKind::insufficient_quota);
}

TEST_CASE("a bill changes the window that its job was reserved in, and no other") {
  Spenders world({row_of("ann", "1.00/day")});
  std::vector<SettledJob> settled;
  Budgets budgets({.clock = world.clock, .store = world.store, .settled = [&](SettledJob job) {
                     settled.push_back(std::move(job));
                   }});
  budgets.set_rows({row_of("ann", "1.00/day")});
  budgets.set_prices(*world.budgets->prices());
  REQUIRE(budgets.load());
  const auto run = [&](std::optional<double> units, bool may_be_billed, std::string id) {
    const Purse::Ended job{.endpoint = spending_endpoint,
                           .units = units,
                           .may_be_billed = may_be_billed,
                           .fal_request_id = std::move(id)};
    const auto made = budgets.reserve({.client = "ann"}, {{spending_endpoint, one_picture}});
    REQUIRE(made);
    budgets.settle({.client = "ann"}, made->front(), job);
  };
  run(1, true, "a");
  run(1, true, "");  // fal never named it
  run(std::nullopt, false, "b");
  REQUIRE(settled.size() == 2);
  CHECK(settled[0].fal_request_id == "a");
  CHECK(settled[1].fal_request_id.empty());
  CHECK(settled[1].cost == usd("0.025"));
  CHECK(settled[0].cost == usd("0.025"));
  CHECK(budgets.correct(settled[0], usd("0.9")) == usd("0.875"));
  CHECK(budgets.remaining("ann") == usd("0.075"));
  world.pass(std::chrono::hours(24));
  CHECK(budgets.remaining("ann") == usd("1.00"));
  settled[0].cost = settled[0].charged = usd("0.9");
  CHECK(budgets.correct(settled[0], usd("0.1")) == Usd{} - usd("0.8"));
  CHECK(budgets.remaining("ann") == usd("1.00"));
}

TEST_CASE("what fal has told units of is told of, also if fal should not bill it") {
  Spenders world({row_of("ann", "1.00/day")});
  std::vector<SettledJob> settled;
  Budgets budgets({.clock = world.clock, .store = world.store, .settled = [&](SettledJob job) {
                     settled.push_back(std::move(job));
                   }});
  budgets.set_prices(*world.budgets->prices());
  for (const std::optional<double> units : {std::optional(2.0), std::optional(0.0)}) {
    budgets.settle({.client = "ann"}, {},
                   {.endpoint = spending_endpoint, .units = units, .may_be_billed = false});
  }
  REQUIRE(settled.size() == 1);
  CHECK(settled[0].cost == usd("0.05"));
}

TEST_CASE("of two that follow a job one settles it, however many others end in between") {
  Spenders world({});
  std::map<std::string, int> settled;
  Budgets budgets({.clock = world.clock, .store = world.store, .settled = [&](SettledJob job) {
                     ++settled[job.fal_request_id];
                   }});
  budgets.set_prices(*world.budgets->prices());
  const auto settle = [&](const std::string& id) {
    return budgets.settle({.client = "ann"}, {.restored = true},
                          {.endpoint = spending_endpoint, .units = 1, .fal_request_id = id});
  };
  for (int i = 100'000; i < 200'000; ++i) settle(std::to_string(i));
  settle("0");  // stands in front of all others by its name
  settle("200000");
  CHECK(settle("0") == usd("0.025"));
  CHECK(settled["0"] == 1);
  CHECK(settled["200000"] == 1);
}

TEST_CASE("a bill that two processes have found corrects what its job cost once") {
  Spenders world({row_of("ann", "1.00/day")});
  world.store.is_shared = true;
  const auto another = [&] {
    auto budgets = std::make_unique<Budgets>(
        Budgets::Parts{.clock = world.clock, .store = world.store, .is_shared = true});
    budgets->set_rows({row_of("ann", "1.00/day")});
    REQUIRE(budgets->load());
    return budgets;
  };
  const auto one = another(), two = another();
  const Day today = day_of(world.clock.wall_now());
  SettledJob job{.payer = {.client = "ann", .model = "flux"},
                 .fal_request_id = "a",
                 .charged_on = today,
                 .spent_on = today,
                 .cost = usd("0.1"),
                 .charged = usd("0.1")};
  const auto corrected = [&] {
    std::vector<Spending> rows;
    world.store.sum({.first = today, .last = today}, no_deadline,
                    [&](Result<std::vector<Spending>, StoreError> sums) { rows = *sums; });
    return rows.size() == 1 ? rows.front().corrected : Usd{};
  };
  one->correct(job, usd("0.3"));
  two->correct(job, usd("0.3"));
  CHECK(corrected() == usd("0.2"));
  CHECK(another()->status("ann").spent == usd("0.2"));
  job.cost = job.charged = usd("0.3");
  one->correct(job, usd("0.4"));  // fal has billed more since
  CHECK(corrected() == usd("0.3"));
  CHECK(another()->status("ann").spent == usd("0.3"));
}

}  // namespace falproxy
