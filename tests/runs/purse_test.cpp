// What a Purse hears of the jobs of a request.
#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "falproxy/budgets.hpp"
#include "falproxy/memory_store.hpp"
#include "runs/scripted_fal.hpp"
#include "wish/digest.hpp"

namespace falproxy {

using namespace testing;
using namespace std::chrono_literals;

namespace {

Usd purse_usd(const char* text) { return *Usd::parse(text); }

/// A runner whose clients have budgets; flux costs a cent for a picture.
struct PurseWorld : GatewayWorld {
  explicit PurseWorld(const char* budget = "1.00/day") : store(clock) {
    fal.documents["fal-ai/flux/dev"] = model_document(
        "fal-ai/flux/dev", R"({"prompt":{"type":"string"},"seed":{"type":"integer"}})");
    budgets.set_rows(
        {{.name = "ann", .budget = Budget::parse(budget), .unknown_price = UnknownPrice::refuse}});
    budgets.set_prices({{"fal-ai/flux/dev", {purse_usd("0.01"), "images"}}});
    REQUIRE(budgets.load().has_value());
    begin();
  }
  void begin() {
    payer = std::make_unique<Runner>(
        Runner::Parts{
            .transport = transport,
            .clock = clock,
            .executor = inline_executor,
            .codecs = codecs,
            .keys = keys,
            .catalog = catalog,
            .random = [this] { return random; },
            .memory = &memory,
            .state = &store,
            .purse = &budgets,
            .unfollowed = [this](RunRecord record) { left.push_back(std::move(record)); }},
        with_hosts({}));
  }
  Outcome ask(const std::string& prompt = "a fox", int n = 1, CallContext context = {}) {
    context.deadline = std::min(context.deadline, clock.now() + 600s);
    context.client = "ann";
    Wish wish = request_for("flux", prompt);
    wish.n = n;
    return payer->handle(std::move(wish), context);
  }
  /// Of the wish of ask().
  [[nodiscard]] Digest store_digest() const {
    Wish wish = request_for("flux");
    wish.n = 1;
    return digest_of(wish, codecs);
  }
  [[nodiscard]] Usd spent() const { return budgets.status("ann").spent; }

  [[nodiscard]] RunStatus status_of(const RunRecord& record) const {
    const auto found = payer->find("ann", record.id);
    REQUIRE(found);
    REQUIRE(found->has_value());
    return **found;
  }

  std::vector<RunRecord> left;  ///< that nobody follows any more
  MemorySpending memory_spending;
  MemoryStore store;
  Budgets budgets{{.clock = clock, .store = memory_spending}};
  std::unique_ptr<Runner> payer;
};

/// Of the queue's result of a job.
auto answers_result(Script script) {
  return [script = std::move(script)](const HttpRequest& request) -> std::optional<Script> {
    const bool of_result = request.method == "GET" &&
                           request.url.find("/requests/") != std::string::npos &&
                           request.url.find("/status") == std::string::npos;
    return of_result ? std::optional(script) : std::nullopt;
  };
}

}  // namespace

TEST_CASE("a request costs what fal bills, and the budget is less by that") {
  PurseWorld world;
  const Outcome outcome = world.ask("a fox", 3);
  REQUIRE(outcome.response.has_value());
  REQUIRE(outcome.receipt.jobs.size() == 3);
  CHECK(outcome.receipt.jobs[0].estimate == purse_usd("0.01"));
  CHECK(outcome.receipt.jobs[0].cost == purse_usd("0.01"));
  CHECK(cost_of(outcome.receipt) == purse_usd("0.03"));
  CHECK(world.spent() == purse_usd("0.03"));
}

TEST_CASE("over its budget a client gets insufficient_quota, and nothing is submitted") {
  PurseWorld world("0.02/day");
  CHECK(world.ask("a").response.has_value());
  const Outcome two = world.ask("b", 2);
  CHECK(two.response.error().kind == ErrorKind::insufficient_quota);
  CHECK_FALSE(two.response.error().submitted);
  CHECK(world.ask("c").response.has_value());
  CHECK_FALSE(world.ask("d").response.has_value());
  CHECK(world.fal.jobs.size() == 2);
  // What was paid for is there for who asks again.
  CallContext again;
  again.retry_count = 1;
  CHECK(world.ask("c", 1, again).response.has_value());
  CHECK(world.fal.jobs.size() == 2);
  CHECK(world.spent() == purse_usd("0.02"));
}

TEST_CASE("a failure that fal does not bill gives its reservation back, and another one does not") {
  struct Case {
    const char* name;
    Script answer;
    const char* spent;
  };
  const Case cases[] = {
      {"refused input",
       answer(422, R"({"detail":[{"loc":["body","prompt"],"msg":"no","type":"x"}]})",
              {{"x-fal-request-id", "r"}, {"x-fal-billable-units", "0"}}),
       "0"},
      {"refused content",
       answer(422,
              R"({"detail":[{"loc":["body","prompt"],"msg":"no",)"
              R"("type":"content_policy_violation"}]})",
              {{"x-fal-request-id", "r"}, {"x-fal-billable-units", "2"}}),
       "0.02"},
      {"nobody says",
       answer(422,
              R"({"detail":[{"loc":["body","prompt"],"msg":"no",)"
              R"("type":"content_policy_violation"}]})",
              {{"x-fal-request-id", "r"}}),
       "0.01"},
      {"the model broke",
       answer(500, R"({"detail":"Internal Server Error"})", {{"x-fal-request-id", "r"}}), "0"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.name);
    PurseWorld world;
    world.fal.fault = answers_result(one.answer);
    CHECK_FALSE(world.ask().response.has_value());
    CHECK(world.spent() == purse_usd(one.spent));
  }
}

TEST_CASE("what never reaches fal costs nothing") {
  PurseWorld world;
  world.fal.fault = [](const HttpRequest& request) -> std::optional<Script> {
    if (request.method != "POST") return std::nullopt;
    return answer(401, R"({"detail":"No user found for Key ID and Secret"})",
                  {{"x-fal-request-id", "r"}});
  };
  CHECK_FALSE(world.ask().response.has_value());
  CHECK(world.spent() == Usd{});
}

TEST_CASE(
    "a job that is cancelled in the queue costs nothing, and one that runs what was reserved") {
  for (const bool runs : {false, true}) {
    CAPTURE(runs);
    PurseWorld world;
    world.fal.job_time = 10s;
    std::stop_source leaves;
    world.clock.at(world.clock.now() + (runs ? 8s : 2s), [&] { leaves.request_stop(); });
    CallContext context;
    context.stop = leaves.get_token();
    CHECK_FALSE(world.ask("a", 1, context).response.has_value());
    CHECK(world.fal.count_cancelled() == 1);
    CHECK(world.spent() == (runs ? purse_usd("0.01") : Usd{}));
  }
}

TEST_CASE("a job that outlives its process is settled once it is followed to its end") {
  PurseWorld world;
  REQUIRE(world.ask().response.has_value());
  CHECK(world.spent() == purse_usd("0.01"));
  // What the store had when fal had taken the job.
  std::optional<RunRecord> record;
  world.store.find(RunQuery::of_digest("ann", world.store_digest()), no_deadline,
                   [&](Result<std::vector<RunRecord>, StoreError> found) {
                     REQUIRE(found.has_value());
                     REQUIRE(found->size() == 1);
                     record = found->front();
                   });
  CHECK_FALSE(record->jobs.front().held.has_value());
  ++record->fence;
  record->state = RunState::accepted;
  record->jobs.front().state = RunState::accepted;
  record->jobs.front().held = purse_usd("0.01");
  record->jobs.front().held_on = day_of(world.clock.wall_now());
  world.store.write(*record, Durability::durable, no_deadline,
                    [](const Result<Done, StoreError>& done) { CHECK(done.has_value()); });
  world.clock.advance(1s);  // a process begins later than the runs that it finds
  world.begin();
  world.fal.fault =
      answers_result(answer(200, R"({"images":[{"url":"https://v3.fal.media/x.png"}]})",
                            {{"x-fal-request-id", "r"}, {"x-fal-billable-units", "5"}}));
  const auto recovered = world.payer->recover({});
  REQUIRE(recovered.has_value());
  CHECK(recovered->completed == 1);
  CHECK(world.spent() == purse_usd("0.05"));
}

namespace {

// A request with a key, whose client waits so long.
CallContext hurried(const PurseWorld& world, Milliseconds time) {
  return {.deadline = world.clock.now() + time, .idempotency_key = "k-1"};
}

}  // namespace

TEST_CASE("a run whose request is out of time is followed to its end, and settled with its cost") {
  PurseWorld world;
  world.fal.job_time = 60s;
  const Outcome late = world.ask("a fox", 1, hurried(world, 10s));
  REQUIRE_FALSE(late.response.has_value());
  CHECK(late.response.error().kind == ErrorKind::timed_out);
  CHECK(world.spent() == purse_usd("0.01"));  // what was reserved
  REQUIRE(world.left.size() == 1);
  const RunRecord record = world.left.front();
  std::vector<RunPhase> phases;
  for (const Milliseconds after : {20s, 30s})
    world.clock.at(world.clock.now() + after,
                   [&] { phases.push_back(world.status_of(record).phase); });
  const auto result =
      answers_result(answer(200, R"({"images":[{"url":"https://v3.fal.media/x.png"}]})",
                            {{"x-fal-request-id", "r"}, {"x-fal-billable-units", "5"}}));
  world.fal.fault = result;
  CHECK(world.payer->follow(record, {}) == RunState::completed);
  CHECK(phases == std::vector{RunPhase::in_progress, RunPhase::in_progress});
  CHECK(world.spent() == purse_usd("0.05"));
  const RunStatus status = world.status_of(record);
  CHECK(status.phase == RunPhase::completed);
  CHECK(status.products.size() == 1);
  CHECK(cost_of(status.record) == purse_usd("0.05"));

  CHECK(world.ask("a fox", 1, hurried(world, 600s)).response.has_value());
  CHECK(world.fal.jobs.size() == 1);
  CHECK(world.spent() == purse_usd("0.05"));
  CHECK(world.left.size() == 1);
}

TEST_CASE("a run that is followed is not lost by a repeat that runs out of time, too") {
  PurseWorld world;
  world.fal.job_time = 60s;
  REQUIRE_FALSE(world.ask("a fox", 1, hurried(world, 10s)).response.has_value());
  REQUIRE(world.left.size() == 1);
  const RunRecord record = world.left.front();
  world.clock.at(world.clock.now() + 10s, [&] {
    for (const std::size_t times : {2U, 3U}) {
      CHECK_FALSE(world.ask("a fox", 1, hurried(world, 5s)).response.has_value());
      // It is left again, and has its follower already.
      REQUIRE(world.left.size() == times);
      CHECK(world.payer->follow(world.left.back(), {}) == RunState::accepted);
    }
  });
  CHECK(world.payer->follow(record, {}) == RunState::completed);
  const RunStatus status = world.status_of(record);
  CHECK(status.phase == RunPhase::completed);
  CHECK(status.products.size() == 1);
  CHECK(cost_of(status.record) == purse_usd("0.01"));
  CHECK(world.spent() == purse_usd("0.01"));
  CHECK(world.fal.jobs.size() == 1);
}

TEST_CASE(
    "of a run that is out of time what it brought is settled once, and the rest by whoever "
    "follows") {
  PurseWorld world;
  world.fal.job_time = 4s;
  // One after the other: the second is out of time.
  const Outcome some = world.ask("a fox", 2, hurried(world, 6s));
  REQUIRE(some.response.has_value());
  CHECK(some.response->size() == 1);
  REQUIRE(world.left.size() == 1);
  world.fal.fault =
      answers_result(answer(200, R"({"images":[{"url":"https://v3.fal.media/x.png"}]})",
                            {{"x-fal-request-id", "r"}, {"x-fal-billable-units", "5"}}));
  CHECK(world.payer->follow(world.left.front(), {}) == RunState::completed);
  CHECK(world.spent() == purse_usd("0.06"));
  const Outcome all = world.ask("a fox", 2, hurried(world, 600s));
  REQUIRE(all.response.has_value());
  CHECK(all.response->size() == 2);
  CHECK(cost_of(world.status_of(world.left.front()).record) == purse_usd("0.06"));
  CHECK(world.spent() == purse_usd("0.06"));
  CHECK(world.fal.jobs.size() == 2);
}

TEST_CASE("a run that nobody may ask for is not left to anybody") {
  PurseWorld world;
  world.fal.job_time = 60s;
  CallContext nobody{.deadline = world.clock.now() + 10s};
  REQUIRE_FALSE(world.ask("a fox", 1, nobody).response.has_value());
  CHECK(world.left.empty());
  CHECK(world.fal.count_cancelled() == 1);
}

TEST_CASE("a model whose price is not known is refused before anything is submitted") {
  PurseWorld world;
  world.budgets.set_prices({{"fal-ai/other", {purse_usd("1"), "images"}}});
  CHECK(world.ask().response.error().kind == ErrorKind::invalid_value);
  CHECK(world.fal.jobs.empty());
}

}  // namespace falproxy
