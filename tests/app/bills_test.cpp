// What jobs cost beside what fal has billed for them.
#include "bills.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "falproxy/fal_desk.hpp"
#include "falproxy/test_doubles.hpp"

namespace falproxy::app {
namespace {

using testing::InProcessFal;

const std::string billed_endpoint = "fal-ai/flux/dev";
const Payer billed_payer{.client = "ann", .model = "flux", .user = "u1"};

/// A budget of ten dollars, and a fal that takes a tenth off in its bills.
struct BilledWorld {
  explicit BilledWorld(double balance = 100, int percent_discount = 10)
      : balance_(balance), percent_discount_(percent_discount) {
    budgets.set_rows({{.name = "ann", .budget = Budget::parse("10/total")}});
    budgets.set_prices({{billed_endpoint, {.unit_price = Usd{25'000'000}, .unit = "megapixels"}}});
    REQUIRE(budgets.load());
    settings.fal_api_url = std::string(InProcessFal::queue_url) + "/v1";
    settings.fal_admin_key = Secret("admin:secret");
    settings.ai_keys = {{Secret("id:secret")}};
    begin();
  }
  void begin() {
    keeper = std::make_unique<BillKeeper>(BillKeeper::Parts{
        .transport = fal,
        .clock = clock,
        .store = store,
        .budgets = budgets,
        .log = [this](LogLevel, std::string_view line) { log.emplace_back(line); },
        .alert = [this](const SpendingAlert& alert) { alerts.push_back(alert); },
        .corrected =
            [this](const Payer& payer, Usd difference) {
              CHECK(payer == billed_payer);
              corrected = corrected + difference;
            },
        .peers = peers});
    keeper->reload(settings);
    keeper->restore();
  }
  // A job that has run; `units`: as fal told them.
  void run_job(std::optional<double> units) {
    const auto reserved =
        budgets.reserve(billed_payer, {{billed_endpoint, {.images = 1, .pixels = 1 << 20}}});
    REQUIRE(reserved);
    const auto got = fetch(
        fal,
        fal::submit_request(InProcessFal::addresses(), *fal::EndpointId::parse(billed_endpoint),
                            Secret("id:secret"), Body(R"({"prompt":"x"})"), {}),
        clock.now() + Seconds(60), {}, 1u << 20);
    REQUIRE(got);
    const Result<Json> answer = Json::parse(got->body);
    REQUIRE(answer);
    budgets.settle(billed_payer, reserved->front(),
                   {.endpoint = billed_endpoint,
                    .units = units,
                    .fal_request_id = std::string(*(*answer)["request_id"].as_string())});
  }
  void look_after(Seconds time) {
    clock.move_to(clock.now() + time);
    keeper->look({});
  }
  // What waits for bills, as a process alone keeps it.
  [[nodiscard]] std::string kept() {
    std::string text;
    store.get("bills", no_deadline,
              [&](const Result<std::string, StoreError>& got) { text = got.value(); });
    return text;
  }
  void keep(std::string text) {
    store.put("bills", std::move(text), no_deadline, [](const Result<Done, StoreError>&) {});
  }
  [[nodiscard]] Usd spent() const { return budgets.status("ann").spent; }
  [[nodiscard]] Spending reported() {
    std::vector<Spending> rows;
    const Day today = day_of(clock.wall_now());
    store.sum({.first = today - 3, .last = today, .by = SpendingBy::user}, no_deadline,
              [&](Result<std::vector<Spending>, StoreError> sums) { rows = *sums; });
    REQUIRE(rows.size() == 1);
    return rows.front();
  }

  double balance_;
  int percent_discount_;
  testing::VirtualClock clock;
  InProcessFal fal{
      clock,
      {.job_time = Milliseconds(0), .percent_discount = percent_discount_, .balance = balance_}};
  MemorySpending store;
  Settings settings;
  std::vector<std::string> log;
  std::vector<SpendingAlert> alerts;
  Usd corrected;
  std::vector<SpendingAlert> budget_alerts;
  std::vector<SettledJob> settled;
  Budgets budgets{{.clock = clock,
                   .store = store,
                   .alert = [this](const SpendingAlert& one) { budget_alerts.push_back(one); },
                   .settled =
                       [this](SettledJob job) {
                         settled.push_back(job);
                         keeper->add(std::move(job));
                       }}};
  Peers* peers = nullptr;
  std::unique_ptr<BillKeeper> keeper;
};

/// The process 1, or whichever it is now, among others.
class BillPeers final : public Peers {
 public:
  [[nodiscard]] const RunId& self() const noexcept override { return self_; }
  [[nodiscard]] bool is_gone(const RunId& process) const override { return process == gone; }
  [[nodiscard]] std::size_t count() const override { return 2; }
  [[nodiscard]] std::uint64_t departures() const override { return 0; }
  void take_place(const std::string&, const std::string&, int, TimePoint,
                  StateStore::Callback<bool> done) override {
    done(true);
  }
  void give_back(const std::string&, const std::string&) override {}
  void become(std::uint8_t process) { self_.bytes[0] = process; }

  RunId gone;

 private:
  RunId self_{{1}};
};

/// One process has a job to compare, and another one begins beside it.
struct TwoBilled : BilledWorld {
  TwoBilled() {
    peers = &both;
    begin();
    run_job(1);
    keeper->save();
    both.become(2);
    begin();
  }
  BillPeers both;
};

}  // namespace

TEST_CASE("what fal has billed takes the place of what was noted, in budget and report") {
  BilledWorld world;
  world.run_job(1);
  CHECK(world.spent() == Usd{25'000'000});
  world.look_after(Seconds(60));
  CHECK(world.spent() == Usd{25'000'000});  // fal's bills are late
  world.look_after(Seconds(600));
  CHECK(world.spent() == Usd{22'500'000});
  CHECK(world.reported().cost == Usd{22'500'000});
  CHECK(world.reported().corrected == Usd{-2'500'000});
  CHECK(world.reported().user == "u1");
  CHECK(world.corrected == Usd{-2'500'000});
  REQUIRE(world.log.size() == 1);
  CHECK(world.log[0].find("billed 0.0225 USD for the job ") != std::string::npos);
  for (int i = 0; i < 5; ++i) world.look_after(Seconds(24 * 3600));
  CHECK(world.spent() == Usd{22'500'000});
}

TEST_CASE("a cost that nobody knew becomes known, also to the next process") {
  BilledWorld world;
  world.run_job(std::nullopt);
  CHECK(world.spent() == Usd{25'000'000});  // what was reserved
  CHECK(world.reported().unpriced == 1);
  world.keeper->save();
  world.begin();
  world.look_after(Seconds(700));
  CHECK(world.spent() == Usd{22'500'000});
  CHECK(world.reported().unpriced == 0);
  CHECK(world.reported().cost == Usd{22'500'000});
}

TEST_CASE("a bill of more than ten times the estimate is told, also by the next process") {
  BilledWorld world(100, -1'500);
  world.run_job(std::nullopt);
  world.keeper->save();
  world.begin();
  world.look_after(Seconds(700));
  CHECK(world.spent() == Usd{400'000'000});
  REQUIRE(world.budget_alerts.size() == 1);
  CHECK(world.budget_alerts[0].kind == SpendingAlert::Kind::costly_job);
  CHECK(world.budget_alerts[0].limit == Usd{25'000'000});
}

TEST_CASE("what was corrected is not corrected again by the process after one that was killed") {
  BilledWorld world;
  world.run_job(1);
  world.look_after(Seconds(590));  // which writes down what waits
  world.look_after(Seconds(20));
  CHECK(world.spent() == Usd{22'500'000});
  world.begin();
  for (int i = 0; i < 3; ++i) world.look_after(Seconds(4'000));
  CHECK(world.spent() == Usd{22'500'000});
  CHECK(world.corrected == Usd{-2'500'000});
}

TEST_CASE(
    "of several processes each has its own list of bills, and the one of who is gone is taken") {
  TwoBilled world;
  world.run_job(1);
  world.keeper->save();
  world.look_after(Seconds(700));
  CHECK(world.spent() == Usd{47'500'000});  // its own, and not the other's
  world.both.gone = RunId{{1}};
  world.look_after(Seconds(700));
  world.look_after(Seconds(60));
  CHECK(world.spent() == Usd{45'000'000});

  world.both.become(3);
  world.begin();
  for (int i = 0; i < 3; ++i) world.look_after(Seconds(4'000));
  CHECK(world.spent() == Usd{45'000'000});
}

TEST_CASE("a key that may not see bills is told of once, and nothing is lost") {
  BilledWorld world;
  world.settings.fal_admin_key = Secret("id:secret");
  world.keeper->reload(world.settings);
  world.run_job(1);
  world.look_after(Seconds(700));
  world.look_after(Seconds(700));
  REQUIRE(world.log.size() == 1);
  CHECK(world.log[0] == "fal does not tell its bills (FAL_ADMIN_KEY): it answers 403");
  world.settings.fal_admin_key = Secret("admin:secret");
  world.keeper->reload(world.settings);
  world.look_after(Seconds(60));
  CHECK(world.spent() == Usd{22'500'000});
}

TEST_CASE("a low balance is told once") {
  BilledWorld world(4.5);
  for (int i = 0; i < 3; ++i) world.look_after(Seconds(700));
  REQUIRE(world.alerts.size() == 1);
  CHECK(world.alerts[0].kind == SpendingAlert::Kind::low_balance);
  CHECK(world.alerts[0].message.starts_with("4.50 USD are left on fal's account, less than 10.00"));
  CHECK(world.keeper->balance() == Usd{4'500'000'000});
  world.settings.alert_balance = Usd{};
  world.begin();
  world.look_after(Seconds(700));
  CHECK(world.alerts.size() == 1);
}

TEST_CASE("a job that was settled twice is corrected by its bill once") {
  BilledWorld world;
  world.run_job(1);
  world.keeper->add(world.settled.front());
  world.look_after(Seconds(700));
  CHECK(world.spent() == Usd{22'500'000});
  CHECK(world.corrected == Usd{-2'500'000});
  CHECK(world.log.size() == 1);
}

TEST_CASE("a job that waits in the lists of two processes is corrected once, whoever is gone") {
  TwoBilled world;
  world.keeper->add(world.settled.front());
  world.keeper->save();
  world.both.gone = RunId{{1}};
  world.look_after(Seconds(300));  // which takes over what the other one has left
  for (int i = 0; i < 3; ++i) world.look_after(Seconds(600));
  CHECK(world.spent() == Usd{22'500'000});
  CHECK(world.corrected == Usd{-2'500'000});
}

TEST_CASE("a job that fal never named waits for no bill") {
  BilledWorld world;
  SettledJob nameless{.payer = billed_payer, .cost = Usd{1}, .charged = Usd{1}};
  world.keeper->add(nameless);
  world.keeper->save();
  CHECK(world.kept().empty());
}

TEST_CASE("a list of bills that is full outlasts the process, and so does one row more") {
  BilledWorld world;
  const auto job = [](std::size_t number) {
    return SettledJob{.payer = billed_payer,
                      .fal_request_id = std::to_string(number),
                      .cost = Usd{1},
                      .charged = Usd{1},
                      .estimate = Usd{1}};
  };
  for (std::size_t i = 0; i < BillKeeper::most_waiting; ++i) world.keeper->add(job(i));
  world.keeper->save();
  world.begin();
  CHECK(world.log.empty());
  world.keeper->add(job(BillKeeper::most_waiting));
  REQUIRE(world.log.size() == 1);
  CHECK(world.log[0].starts_with("50000 jobs wait for fal's bills"));
  std::string longer = world.kept();
  longer.replace(longer.size() - 1, 1, R"(,["x","ann","flux","",0,0,1,1,0,0,0,1]])");
  world.keep(longer);
  world.begin();
  CHECK(world.log.size() == 1);
}

TEST_CASE("a list of bills that cannot be read is told of") {
  for (const char* text : {"[oh", "{}"}) {
    CAPTURE(text);
    BilledWorld world;
    world.keep(text);
    world.begin();
    REQUIRE(world.log.size() == 1);
    CHECK(world.log[0].starts_with("what has waited for fal's bills cannot be read"));
  }
}

}  // namespace falproxy::app
