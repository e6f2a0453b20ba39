// What is left of a request when its process ends in the middle of it, and what a repeat finds.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "runs/restarted.hpp"

namespace falproxy {

using namespace testing;
using namespace std::chrono_literals;

TEST_CASE("a run is noted before it is submitted, when fal has it, and when it has ended") {
  Restarted world;
  REQUIRE(world.first->handle(request_for("flux"), world.keyed()).response);
  std::string states;
  for (const auto& step : world.before.steps)
    states += std::string(name_of(step.begin()->second.state)) + " ";
  CHECK(states == "intent accepted completed ");
  const RunRecord& record = world.before.steps.back().begin()->second;
  CHECK(record.owner == "me");
  CHECK(record.promised);
  CHECK(record.served_model == "flux");
  CHECK_FALSE(record.prompt.has_value());
  REQUIRE(record.jobs.size() == 1);
  CHECK(record.jobs[0].request_id == "job-1");
  CHECK(record.jobs[0].endpoint == "fal-ai/flux/dev");
  CHECK(record.jobs[0].account.find("secret") == std::string::npos);
  CHECK(record.jobs[0].status_url.empty());
  CHECK(record.artifacts.size() == 1);
}

TEST_CASE("a request that fal refused to take is begun anew by a repeat after a restart") {
  Restarted world;
  // Its refusals have ids, too.
  world.fal.fault =
      fail_on("POST https://queue.fal.run/", {.status = 403,
                                              .headers = {{"x-fal-request-id", "refusal"}},
                                              .chunks = {{.bytes = R"({"detail":"Forbidden"})"}}});
  const Outcome refused = world.first->handle(request_for("flux"), world.keyed());
  REQUIRE_FALSE(refused.response);
  CHECK(refused.response.error().kind == ErrorKind::keys_out);
  CHECK(refused.response.error().fal_request_id == "refusal");
  world.fal.fault = nullptr;
  Runner& runner = world.restart(world.before.steps.size() - 1);
  world.clock.sleep_until(world.clock.now() + 300s, {});
  CHECK(runner.handle(request_for("flux"), world.keyed()).response);
  CHECK(runner.counters().submits == 1);
}

TEST_CASE("a repeat after a restart is attached to the job that fal has, and submits nothing") {
  for (const bool by_key : {true, false}) {
    CAPTURE(by_key);
    Restarted world;
    const Outcome once = world.first->handle(
        request_for("flux"),
        by_key ? world.keyed() : CallContext{.deadline = no_deadline, .client = "me"});
    REQUIRE(once.response);
    for (const std::size_t step : {std::size_t{1}, std::size_t{2}}) {
      CAPTURE(step);
      Runner& runner = world.restart(step);
      const Outcome again =
          runner.handle(request_for("flux"), by_key ? world.keyed() : world.repeated());
      CHECK(only_content(again) == only_content(once));
      CHECK(again.receipt.recovered);
      REQUIRE(again.receipt.jobs.size() == 1);
      CHECK(again.receipt.jobs[0].fal_request_id == "job-1");
      CHECK(runner.counters().resumed == 1);
      CHECK(runner.counters().submits == 0);
    }
    CHECK(world.submits() == 1);
    CHECK(world.leases() == 0);
  }
}

TEST_CASE("a repeat of what was being submitted when the process ended is told that") {
  Restarted world;
  REQUIRE(world.first->handle(request_for("flux"), world.keyed()).response);
  Runner& runner = world.restart(0);
  const Outcome again = runner.handle(request_for("flux"), world.keyed());
  REQUIRE_FALSE(again.response);
  CHECK(again.response.error().kind == ErrorKind::job_uncertain);
  CHECK(runner.handle(request_for("flux"), world.repeated()).response.error().kind ==
        ErrorKind::job_uncertain);
  CHECK(world.submits() == 1);
  // Somebody else's request, a new key, and a new request some time later are none of its business.
  CHECK(runner.handle(request_for("flux"), world.keyed("k-2")).response);
  world.clock.sleep_until(world.clock.now() + 11s, {});
  CHECK(runner.handle(request_for("flux"), {.deadline = no_deadline, .client = "me"}).response);
  CHECK(world.submits() == 3);
}

TEST_CASE("a client that was cut by the restart and says nothing of it gets its job, too") {
  Restarted world;
  REQUIRE(
      world.first->handle(request_for("flux"), {.deadline = no_deadline, .client = "me"}).response);
  Runner& runner = world.restart(1);
  CHECK(runner.handle(request_for("flux"), {.deadline = no_deadline, .client = "me"}).response);
  CHECK(world.submits() == 1);
  CHECK(runner.handle(request_for("flux"), {.deadline = no_deadline, .client = "you"}).response);
  CHECK(world.submits() == 2);
}

TEST_CASE("a key that comes with another request is refused") {
  Restarted world;
  REQUIRE(world.first->handle(request_for("flux"), world.keyed()).response);
  Wish other = request_for("flux");
  other.prompt = "another";
  for (Runner* runner : {world.first.get(), &world.restart(1)}) {
    const Outcome refused = runner->handle(other, world.keyed());
    REQUIRE_FALSE(refused.response);
    CHECK(refused.response.error().kind == ErrorKind::idempotency_key_reused);
  }
  CHECK(world.submits() == 1);
}

TEST_CASE("a key finds its job for an hour, and not longer") {
  Restarted world;
  REQUIRE(world.first->handle(request_for("flux"), world.keyed()).response);
  world.first->forget_expired(world.clock.now() + 1000s);
  world.clock.sleep_until(world.clock.now() + 3000s, {});
  CHECK(world.first->handle(request_for("flux"), world.keyed()).receipt.recovered);
  CHECK(world.submits() == 1);
  world.first->forget_expired(world.clock.now() + 1000s);
  world.clock.sleep_until(world.clock.now() + 3700s, {});
  CHECK(world.first->handle(request_for("flux"), world.keyed()).response);
  CHECK(world.submits() == 2);
}

TEST_CASE("a window of no seconds finds nothing") {
  Restarted world;
  REQUIRE(world.first->handle(request_for("flux"), world.keyed()).response);
  Runner& runner = world.restart(1, {.recovery_window = 0s, .keyed_recovery = 0s});
  CHECK(runner.handle(request_for("flux"), world.keyed()).response);
  CHECK(runner.handle(request_for("flux"), world.repeated()).response);
  CHECK(world.submits() == 3);
}

TEST_CASE("a job that failed is told to who asks again with its key, and not run again") {
  Restarted world;
  world.fal.fault = fail_result(answer(422, R"({"detail":[{"loc":["body","prompt"],)"
                                            R"("msg":"no","type":"content_policy_violation"}]})"));
  REQUIRE_FALSE(world.first->handle(request_for("flux"), world.keyed()).response);
  world.fal.fault = {};
  Runner& runner = world.restart(world.before.steps.size() - 1);
  const Outcome again = runner.handle(request_for("flux"), world.keyed());
  REQUIRE_FALSE(again.response);
  CHECK(again.response.error().kind == ErrorKind::content_policy);
  CHECK(world.submits() == 1);
}

TEST_CASE("who has sent a key may leave: the job goes to its end") {
  Restarted world;
  std::stop_source left;
  CallContext context = world.keyed();
  context.stop = left.get_token();
  world.clock.at(world.clock.now() + 100ms, [&] { left.request_stop(); });
  static_cast<void>(world.first->handle(request_for("flux"), context));
  CHECK(world.transport.count("PUT https://queue.fal.run/") == 0);
  CHECK(world.first->handle(request_for("flux"), world.keyed()).response);
  CHECK(world.submits() == 1);
}

TEST_CASE("a submit whose answer was lost is not sent again, now or after a restart") {
  Restarted world;
  Wish two = request_for("flux");
  world.fal.fault = fail_on("POST https://queue.fal.run/", broken(TransportFault::interrupted));
  REQUIRE_FALSE(world.first->handle(two, world.keyed()).response);
  world.fal.fault = {};
  world.first->forget_expired(world.clock.now() + 1000s);
  CHECK(world.first->handle(two, world.keyed()).response.error().kind == ErrorKind::job_uncertain);
  Runner& runner = world.restart(world.before.steps.size() - 1);
  CHECK(runner.handle(two, world.keyed()).response.error().kind == ErrorKind::job_uncertain);
  CHECK(world.submits() == 1);
}

TEST_CASE("a run of several jobs is gone on with as a whole") {
  Restarted world;
  Wish three = request_for("flux");
  three.n = 3;
  const Outcome once = world.first->handle(three, world.keyed());
  REQUIRE(once.response);
  REQUIRE(once.response->size() == 3);
  // Each step from the first job that fal took on: what was not noted as taken is uncertain.
  for (std::size_t step = 1; step < world.before.steps.size(); ++step) {
    CAPTURE(step);
    const Outcome again = world.restart(step).handle(three, world.keyed());
    REQUIRE(again.response);
    CHECK(again.response->size() == std::min<std::size_t>(step, 3));
  }
  CHECK(world.submits() == 3);
}

TEST_CASE("two equal requests that were cut get a job each") {
  Restarted world;
  const CallContext nobody{.deadline = no_deadline, .client = "me"};
  REQUIRE(world.first->handle(request_for("flux"), nobody).response);
  REQUIRE(world.first->handle(request_for("flux"), nobody).response);
  SteppingStore::Records both;
  for (const auto& [id, record] : world.before.steps.back()) {
    RunRecord open = record;
    open.state = open.jobs[0].state = RunState::accepted;
    both[id] = open;
  }
  world.before.steps.push_back(both);
  Runner& runner = world.restart(world.before.steps.size() - 1);
  struct SecondRequest final : Progress {
    std::function<void()> ask;
    void running() override {
      if (ask) std::exchange(ask, {})();
    }
  };
  std::optional<Outcome> second;
  SecondRequest while_it_runs;
  SUBCASE("one after the other") {}
  SUBCASE("at once") {
    world.fal.job_time = 100s;
    while_it_runs.ask = [&] { second = runner.handle(request_for("flux"), nobody); };
  }
  CallContext listening = nobody;
  listening.progress = &while_it_runs;
  const Outcome first = runner.handle(request_for("flux"), listening);
  CHECK_FALSE(while_it_runs.ask);
  if (!second.has_value()) second = runner.handle(request_for("flux"), nobody);
  REQUIRE(first.response);
  REQUIRE(second->response);
  CHECK(first.receipt.jobs.at(0).fal_request_id != second->receipt.jobs.at(0).fal_request_id);
  CHECK(world.submits() == 2);
}

TEST_CASE("a job that somebody may ask for is not cancelled when its client's time is up") {
  Restarted world;
  CallContext hurried = world.keyed();
  hurried.deadline = world.clock.now() + 200ms;
  REQUIRE_FALSE(world.first->handle(request_for("flux"), hurried).response);
  CHECK(world.transport.count("PUT https://queue.fal.run/") == 0);
  CHECK(world.first->handle(request_for("flux"), world.keyed()).response);
  CHECK(world.restart(world.before.steps.size() - 1)
            .handle(request_for("flux"), world.keyed())
            .response);
  CHECK(world.submits() == 1);
}

TEST_CASE("a repeat is told to come again while the store is too slow to say what it repeats") {
  struct Slow final : tests::ChangedStore {
    using ChangedStore::ChangedStore;
    void find(const RunQuery&, TimePoint, Callback<std::vector<RunRecord>> done) override {
      done(StoreError{StoreFault::timed_out, "too slow"});
    }
  };
  Restarted world;
  Slow slow(world.clock);
  const std::unique_ptr<Runner> runner = world.runner_over(slow);
  const Outcome refused = runner->handle(request_for("flux"), world.keyed());
  REQUIRE_FALSE(refused.response);
  CHECK(refused.response.error().kind == ErrorKind::overloaded);
  CHECK(world.submits() == 0);
}

TEST_CASE("a result that fal no longer has is told so, and not made anew") {
  Restarted world;
  REQUIRE(world.first->handle(request_for("flux"), world.keyed()).response);
  Runner& runner = world.restart(2);
  world.fal.fault = fail_on("/requests/job-1", answer(404, R"({"status":"NOT_FOUND"})"));
  const Outcome again = runner.handle(request_for("flux"), world.keyed());
  REQUIRE_FALSE(again.response);
  CHECK(again.response.error().kind == ErrorKind::result_expired);
  CHECK(again.response.error().fal_request_id == "job-1");
  CHECK(world.submits() == 1);
  // It is no run that a restart has to follow.
  REQUIRE(world.records().size() == 1);
  CHECK(world.records()[0].state == RunState::failed);
}

TEST_CASE("a key that is no longer configured is named as what is missing") {
  Restarted world;
  REQUIRE(world.first->handle(request_for("flux"), world.keyed()).response);
  Runner& runner = world.restart(1);
  world.keys.reload({{Secret("key-c:secret-c")}}, {});
  const Outcome again = runner.handle(request_for("flux"), world.keyed());
  REQUIRE_FALSE(again.response);
  CHECK(again.response.error().kind == ErrorKind::keys_out);
  CHECK(world.submits() == 1);
}

TEST_CASE("after a restart the jobs that fal has are followed to their end") {
  Restarted world;
  REQUIRE(world.first->handle(request_for("flux"), world.keyed()).response);
  Runner& runner = world.restart(1);
  const Recovered recovered = runner.recover({}).value();
  CHECK(recovered == Recovered{.found = 1, .completed = 1});
  const std::vector<RunRecord> records = world.records();
  REQUIRE(records.size() == 1);
  CHECK(records[0].state == RunState::completed);
  CHECK(records[0].artifacts.size() == 1);
  CHECK(world.submits() == 1);
  CHECK(world.leases() == 0);

  CHECK(world.restart(0).recover({}).value() == Recovered{.found = 1, .uncertain = 1});
  CHECK(world.restart(2).recover({}).value() == Recovered{});
}

TEST_CASE("how many runs were found after a restart is told before they have ended") {
  Restarted world;
  REQUIRE(world.first->handle(request_for("flux"), world.keyed()).response);
  world.restart(1);
  const std::size_t asked = world.transport.requests().size();
  std::vector<std::string> lines;
  Runner::Parts parts = world.parts_over(*world.after);
  parts.log = [&](LogLevel, std::string_view line) {
    lines.emplace_back(line);
    CHECK(world.transport.requests().size() == asked);
  };
  CHECK(Runner(parts, GatewayWorld::with_hosts({})).recover({}).value().completed == 1);
  CHECK(lines == std::vector<std::string>{"an earlier process has left 1 runs: 1 at fal, which "
                                          "are followed, and 0 that were being submitted"});
}

namespace {

// What fal lists of the account, and no other request of its.
Script history_of(const HttpRequest& request, const ScriptedFal& fal, std::size_t times) {
  CHECK(request.url.starts_with(
      "https://api.fal.ai/v1/models/requests/by-endpoint?endpoint_id=fal-ai/flux/dev&start="));
  nlohmann::json items = nlohmann::json::array();
  for (std::size_t i = 0; i < times; ++i) {
    const std::string id = i == 0 ? "job-1" : "another-" + std::to_string(i);
    items.push_back(
        {{"request_id", id}, {"json_input", nlohmann::json::parse(fal.jobs.at(0).input)}});
  }
  items.push_back({{"request_id", "of-another-input"}, {"json_input", {{"prompt", "a cat"}}}});
  return answer(200, nlohmann::json{{"items", items}}.dump());
}

}  // namespace

TEST_CASE(
    "what was being submitted when the process ended is looked for at fal, and gone on with") {
  Restarted world;
  const Outcome once = world.first->handle(request_for("flux"), world.keyed());
  REQUIRE(once.response);
  std::size_t listed = 1;
  int too_early = 0;
  world.fal.fault = [&](const HttpRequest& request) -> std::optional<Script> {
    if (request.url.find("/models/requests/") == std::string::npos) return std::nullopt;
    return history_of(request, world.fal, too_early-- > 0 ? 0 : listed);
  };
  SUBCASE("by the next process") {
    Runner& runner = world.restart(0, {.looks_for_lost_jobs = true});
    too_early = 2;
    CHECK(runner.recover({}).value() == Recovered{.found = 1, .completed = 1, .found_at_fal = 1});
    CHECK(world.records().at(0).state == RunState::completed);
    CHECK(only_content(runner.handle(request_for("flux"), world.keyed())) == only_content(once));
  }
  SUBCASE("by a repeat") {
    Runner& runner = world.restart(0, {.looks_for_lost_jobs = true});
    const Outcome again = runner.handle(request_for("flux"), world.keyed());
    CHECK(only_content(again) == only_content(once));
    CHECK(again.receipt.recovered);
  }
  SUBCASE("of two equal requests nobody can say which it is") {
    listed = 2;
    Runner& runner = world.restart(0, {.looks_for_lost_jobs = true});
    CHECK(runner.recover({}).value() == Recovered{.found = 1, .uncertain = 1});
    CHECK(runner.handle(request_for("flux"), world.keyed()).response.error().kind ==
          ErrorKind::job_uncertain);
  }
  SUBCASE("fal has none of it") {
    listed = 0;
    Runner& runner = world.restart(0, {.looks_for_lost_jobs = true});
    CHECK(runner.recover({}).value() == Recovered{.found = 1, .uncertain = 1});
    for (int i = 0; i < 10; ++i) {
      CHECK(runner.handle(request_for("flux"), world.keyed()).response.error().kind ==
            ErrorKind::job_uncertain);
    }
    // A repeat asks, but not for ever.
    CHECK(world.transport.count("GET https://api.fal.ai/v1/models/requests/") < 30);
  }
  SUBCASE("the key may not") {
    Runner& runner = world.restart(0, {.looks_for_lost_jobs = true});
    world.fal.fault = fail_on("/models/requests/", answer(403, "{}"), 1000);
    CHECK(runner.handle(request_for("flux"), world.keyed()).response.error().kind ==
          ErrorKind::job_uncertain);
  }
  CHECK(world.submits() == 1);
  CHECK(world.leases() == 0);
}

TEST_CASE("more than a thousand open runs are all followed after a restart") {
  Restarted world;
  REQUIRE(world.first->handle(request_for("flux"), world.keyed()).response);
  Runner& runner = world.restart(1);
  constexpr std::size_t runs = 2'345;
  const RunRecord one = world.before.steps.at(1).begin()->second;
  for (std::size_t i = 1; i < runs; ++i) {
    RunRecord more = one;
    more.id.bytes[0] = static_cast<std::uint8_t>(i % 256);
    more.id.bytes[1] = static_cast<std::uint8_t>(i / 256);
    more.id.bytes[2] = 1;
    more.digest[0] = more.id.bytes[0];
    more.digest[1] = more.id.bytes[1];
    more.key_hash.reset();
    // Many of one moment, which a page may end within.
    more.created = one.created - Milliseconds(i / 500);
    world.after->write(more, Durability::durable, world.clock.now() + 1s,
                       [](const auto& done) { REQUIRE(done); });
  }
  CHECK(runner.recover({}).value() == Recovered{.found = runs, .completed = runs});
}

TEST_CASE("a job that nobody asks for is cancelled ten seconds after the restart, if it waits") {
  Restarted world;
  const std::string waits = R"({"status":"IN_QUEUE","queue_position":3})";
  const CallContext nobody{.deadline = no_deadline, .client = "me"};
  REQUIRE(world.first->handle(request_for("flux"), nobody).response);
  SUBCASE("it waits") {
    Runner& runner = world.restart(1);
    const TimePoint begin = world.clock.now();
    world.fal.fault = [&](const HttpRequest& request) -> std::optional<Script> {
      if (request.method == "PUT") return answer(202, R"({"status":"CANCELLATION_REQUESTED"})");
      return answer(200, waits);
    };
    CHECK(runner.recover({}).value() == Recovered{.found = 1, .cancelled = 1});
    CHECK(world.clock.now() - begin >= 10s);
    CHECK(world.transport.count("PUT https://queue.fal.run/") == 1);
  }
  SUBCASE("it waits, and the operator keeps what nobody asks for") {
    Runner& runner = world.restart(1, {.on_disconnect = OnDisconnect::keep});
    world.fal.fault = fail_on("GET https://queue.fal.run/fal-ai/flux/requests/job-1/status",
                              answer(200, waits), 20);
    CHECK(runner.recover({}).value() == Recovered{.found = 1, .completed = 1});
    CHECK(world.transport.count("PUT https://queue.fal.run/") == 0);
  }
  SUBCASE("it runs") {
    Runner& runner = world.restart(1);
    world.fal.fault = fail_on("GET https://queue.fal.run/fal-ai/flux/requests/job-1/status",
                              answer(200, R"({"status":"IN_PROGRESS"})"), 20);
    CHECK(runner.recover({}).value() == Recovered{.found = 1, .completed = 1});
    CHECK(world.transport.count("PUT https://queue.fal.run/") == 0);
  }
  SUBCASE("the server stops meanwhile: fal goes on with it") {
    Runner& runner = world.restart(1);
    world.fal.fault =
        fail_on("GET https://queue.fal.run/fal-ai/flux/requests/job-1/status", answer(200, waits));
    std::stop_source stop;
    world.clock.at(world.clock.now() + 5s, [&] { stop.request_stop(); });
    CHECK(runner.recover(stop.get_token()).value() == Recovered{.found = 1, .left = 1});
    CHECK(world.transport.count("PUT https://queue.fal.run/") == 0);
  }
}

TEST_CASE("without a store a run is as it always was, and a store that fails stops nobody") {
  struct Broken final : StateStore {
    void write(const RunRecord&, Durability, TimePoint, Callback<Done> done) override {
      done(StoreError{StoreFault::unavailable, "the disk is full"});
    }
    void erase(const RunId&, TimePoint, Callback<Done> done) override { done(Done{}); }
    void find(const RunQuery&, TimePoint, Callback<std::vector<RunRecord>> done) override {
      done(StoreError{StoreFault::unavailable, "the disk is full"});
    }
    void forget_expired(WallTime, TimePoint, Callback<std::uint64_t> done) override { done(0u); }
    [[nodiscard]] StoreStatus status() const override { return {}; }
  };
  Restarted world;
  Broken broken;
  const std::unique_ptr<Runner> runner = world.runner_over(broken);
  CHECK(runner->handle(request_for("flux"), world.keyed()).response);
  CHECK_FALSE(runner->recover({}));
}

}  // namespace falproxy
