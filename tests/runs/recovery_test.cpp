// What is paid for reaches somebody: results are kept until they are answered, and failures cost
// nothing twice.
#include <doctest/doctest.h>

#include <string>

#include "falproxy/runner.hpp"
#include "runs/ledger.hpp"
#include "runs/scripted_fal.hpp"

namespace falproxy {

using namespace std::chrono_literals;
using namespace testing;

namespace {

// As an SDK sends it the first time, its silent repeat, and a program that says nothing.
const CallContext sdk{.client = "me"};
const CallContext sdk_again{.client = "me", .retry_count = 1};
const CallContext silent{.client = "me", .may_repeat = false};

// A client that leaves `after` some time; from then on client_left() says so, and `hold` later the
// request is stopped.
struct Leaver {
  Leaver(GatewayWorld& world, Milliseconds after, Milliseconds hold = 0ms) {
    world.clock.at(world.clock.now() + after, [this] { left = true; });
    world.clock.at(world.clock.now() + after + hold, [this] { stop.request_stop(); });
  }
  [[nodiscard]] CallContext context() {
    return {.stop = stop.get_token(), .client = "me", .may_repeat = false, .client_left = [this] {
              return left;
            }};
  }
  std::stop_source stop;
  bool left = false;
};

}  // namespace

TEST_CASE("a repeat after a failed download downloads again, and pays nothing") {
  for (const CallContext& again : {sdk_again, silent}) {
    CAPTURE(again.retry_count);
    GatewayWorld world;
    world.fal.fault = fail_on("GET https://v3.fal.media/", answer(404, ""));
    const Outcome failed = world.handle(in_base64(request_for("flux")), sdk);
    REQUIRE_FALSE(failed.response);
    CHECK(failed.response.error().kind == ErrorKind::download_failed);
    CHECK_FALSE(world.handle(in_base64(request_for("flux")), again).response);
    world.fal.fault = nullptr;
    const Outcome outcome = world.handle(in_base64(request_for("flux")), again);
    CHECK(only_content(outcome) == testing::base64(world.fal.picture));
    CHECK(outcome.receipt.recovered);
    CHECK(world.fal.jobs.size() == 1);
    world.check_closed();
  }
}

TEST_CASE("a client that leaves while its picture is fetched finds it when it asks again") {
  GatewayWorld world;
  Script slow = answer(200, world.fal.picture);
  slow.after = 10s;
  world.fal.fault = fail_on("GET https://v3.fal.media/", slow, 1);
  Leaver leaver(world, 2s);
  CHECK_FALSE(world.handle(in_base64(request_for("flux")), leaver.context()).response);
  world.clock.advance(60s);  // long after anybody would be attached to what still runs
  const Outcome outcome = world.handle(in_base64(request_for("flux")), silent);
  CHECK(only_content(outcome) == testing::base64(world.fal.picture));
  CHECK(world.fal.jobs.size() == 1);
  // It is answered now: who asks once more means another picture.
  CHECK_FALSE(world.handle(in_base64(request_for("flux")), silent).receipt.recovered);
  CHECK(world.fal.jobs.size() == 2);
}

TEST_CASE("an answer that could not be sent is there for one who asks the same, once") {
  GatewayWorld world;
  const auto ask = [&] { return world.handle(request_for("flux"), silent); };
  const Outcome cut = ask();
  REQUIRE(cut.undelivered);
  cut.undelivered();
  const Outcome again = ask();
  CHECK(again.receipt.recovered);
  CHECK(only_content(again) == only_content(cut));
  CHECK(world.fal.jobs.size() == 1);
  again.undelivered();  // cut again
  CHECK(ask().receipt.recovered);
  CHECK_FALSE(ask().receipt.recovered);
  CHECK(world.fal.jobs.size() == 2);
  world.check_closed();
}

TEST_CASE("what nobody received is given to one who asks the same, and to no other") {
  GatewayWorld world;
  Leaver leaver(world, 500ms, 1h);  // it is held until its job is done
  CHECK(world.handle(request_for("flux"), leaver.context()).response);
  CHECK_FALSE(world.handle(request_for("flux", "a hare"), silent).receipt.recovered);
  CallContext somebody_else = silent;
  somebody_else.client = "you";
  CHECK_FALSE(world.handle(request_for("flux"), somebody_else).receipt.recovered);
  CHECK(world.handle(request_for("flux"), silent).receipt.recovered);
  CHECK_FALSE(world.handle(request_for("flux"), silent).receipt.recovered);
}

TEST_CASE("a repeat has the jobs made that were stopped, and pays for no other") {
  GatewayWorld world;
  world.fal.job_time = 4s;
  Leaver leaver(world, 10s);
  Wish request = request_for("flux");
  request.n = 3;
  static_cast<void>(world.handle(request, leaver.context()));
  CHECK(world.fal.jobs.size() == 3);
  CHECK(world.fal.count_cancelled() == 1);
  const Outcome outcome = world.handle(request, silent);
  REQUIRE(outcome.response);
  std::vector<std::string> urls;
  for (const auto& data : *outcome.response) urls.push_back(data.content.str());
  CHECK(urls == std::vector<std::string>{"https://v3.fal.media/files/job-1.png",
                                         "https://v3.fal.media/files/job-2.png",
                                         "https://v3.fal.media/files/job-4.png"});
  CHECK(outcome.receipt.recovered);
  CHECK(outcome.receipt.jobs.size() == 3);
  CHECK(outcome.receipt.notes.empty());
  CHECK(world.fal.jobs.size() == 4);
  world.check_closed();
}

TEST_CASE("jobs that a repeat has made keep the seeds that the Note names") {
  GatewayWorld world;
  world.fal.documents["fal-ai/flux/dev"] =
      model_document("fal-ai/flux/dev",
                     R"({"prompt":{"type":"string"},"seed":{"type":"integer","default":5555}})");
  world.fal.job_time = 4s;
  Leaver leaver(world, 10s);
  Wish request = request_for("flux");
  request.n = 3;
  static_cast<void>(world.handle(request, leaver.context()));
  world.random = 0.25;
  const Outcome outcome = world.handle(request, silent);
  REQUIRE(outcome.response);
  REQUIRE(world.fal.jobs.size() == 4);
  CHECK(world.fal.jobs[2].cancelled);
  CHECK(world.fal.jobs[3].input == world.fal.jobs[2].input);
  world.check_closed();
}

TEST_CASE("if the rest cannot be made any more, a repeat gets what is there") {
  GatewayWorld world;
  world.fal.job_time = 4s;
  Leaver leaver(world, 6s);
  Wish request = request_for("flux");
  request.n = 2;
  static_cast<void>(world.handle(request, leaver.context()));
  world.catalog.reload({}, {catalog_model("other", "fal-ai/other")}, {});
  const Outcome outcome = world.handle(request, silent);
  CHECK(only_content(outcome) == "https://v3.fal.media/files/job-1.png");
}

TEST_CASE("the known failure of a job is told again to a repeat, and for ten seconds to anybody") {
  struct Row {
    const char* name;
    std::chrono::seconds later;
    CallContext context;
    bool known;
  };
  const std::vector<Row> rows = {
      {"a program that repeats without a word", 9s, silent, true},
      {"a person who tries again", 11s, silent, false},
      {"an SDK's repeat", 100s, sdk_again, true},
      {"an SDK's repeat after the recovery window", 121s, sdk_again, false},
      {"another key", 1s, {.client = "you"}, false},
      {"another idempotency key than none", 100s, {.client = "me", .idempotency_key = "k"}, false},
  };
  for (const Row& row : rows) {
    SUBCASE(row.name) {
      GatewayWorld world;
      world.fal.fault = fail_result(content_refused);
      const Outcome failed = world.handle(request_for("flux"), sdk);
      REQUIRE_FALSE(failed.response);
      world.clock.advance(row.later);
      const Outcome again = world.handle(request_for("flux"), row.context);
      CHECK(world.fal.jobs.size() == (row.known ? 1 : 2));
      CHECK(again.receipt.recovered == row.known);
      if (row.known) {
        CHECK(again.response.error() == failed.response.error());
        CHECK(again.response.error().message == failed.response.error().message);
      }
    }
  }
}

TEST_CASE("a repeat sends no submit again of which nobody knows whether fal took it") {
  for (const int n : {1, 3}) {
    CAPTURE(n);
    GatewayWorld world;
    // Longer than the client waits, and then nothing.
    Script silence = broken(TransportFault::timed_out);
    silence.after = 70s;
    int submits = 0;
    world.fal.fault = [&](const HttpRequest& sent) -> std::optional<Script> {
      const bool last = sent.method == "POST" && ++submits == n;
      return last ? std::optional(silence) : std::nullopt;
    };
    Wish request = request_for("flux");
    request.n = n;
    CallContext first = sdk;
    first.deadline = world.clock.now() + 10s;
    static_cast<void>(world.handle(request, first));
    const std::size_t made = world.fal.jobs.size();
    const Outcome again = world.handle(request, sdk_again);
    CHECK(again.receipt.recovered);
    CHECK(again.response.has_value() == (n > 1));
    CHECK(world.fal.jobs.size() == made);
    world.check_closed();
  }
}

TEST_CASE("a result without a picture that may be shown is a failure: it is not given for ever") {
  GatewayWorld world;
  world.fal.result = [](const auto&) {
    return R"({"images":[{"url":"https://v3.fal.media/x.png"}],"has_nsfw_concepts":[true]})";
  };
  CHECK(world.handle(request_for("flux"), silent).response.error().kind ==
        ErrorKind::content_policy);
  CHECK(world.handle(request_for("flux"), silent).receipt.recovered);
  world.clock.advance(11s);
  CHECK_FALSE(world.handle(request_for("flux"), silent).receipt.recovered);
  CHECK(world.fal.jobs.size() == 2);
}

TEST_CASE("all that is kept is counted: results, errors, ids, Notes and keys") {
  struct Row {
    const char* name;
    std::function<void(runs::Harvest&)> fill;
  };
  const std::string large(100'000, 'x');
  const std::vector<Row> rows = {
      {"a result", [&](auto& h) { h.outputs[0].result = std::make_shared<std::string>(large); }},
      {"an error", [&](auto& h) { h.outputs[0].error.message = large; }},
      {"the error's field", [&](auto& h) { h.outputs[0].error.field = large; }},
      {"an id", [&](auto& h) { h.outputs[0].receipt.fal_request_id = large; }},
      {"fal's words", [&](auto& h) { h.outputs[0].receipt.fault = large; }},
      {"the receipt's ids",
       [&](auto& h) {
         h.receipt.jobs.resize(1);
         h.receipt.jobs[0].fal_request_id = large;
       }},
      {"a Note", [&](auto& h) { h.receipt.notes.push_back({"x", large}); }},
      {"a Note's field", [&](auto& h) { h.receipt.notes.push_back({large, "x"}); }},
      {"the model's name", [&](auto& h) { h.receipt.requested_model = large; }},
      {"what is known of the answer", [&](auto& h) { h.plan.quality = large; }},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    runs::Ledger ledger;
    VirtualClock clock;
    const auto run = [&](const std::string& key, const CallContext& context) {
      static_cast<void>(ledger.run(key, context, clock, {}, [&](const auto&, const auto&, auto*) {
        auto harvest = std::make_shared<runs::Harvest>();
        harvest->outputs.resize(1);
        harvest->outputs[0].error.submitted = true;
        row.fill(*harvest);
        return runs::Served{Outcome{std::vector<Product>(1), {}}, std::move(harvest)};
      }));
    };
    run("key", sdk);
    CHECK(ledger.kept_bytes() > 100'000);
    CHECK(ledger.kept_bytes() < 110'000);
    run(large, sdk);
    CHECK(ledger.kept_bytes() > 300'000);
    run("other", {.idempotency_key = large});
    CHECK(ledger.kept_bytes() > 500'000);
    ledger.forget_expired(clock.now() + 121s, 120s);
    CHECK(ledger.kept_bytes() == 0);
  }
}

TEST_CASE("a request with ninety thousand unknown fields leaves fifty Notes and a number") {
  GatewayWorld world;
  Wish request = request_for("flux");
  for (int i = 0; i < 90'000; ++i)
    request.native.emplace_back("unknown_" + std::to_string(i), Json::integer(i));
  const Outcome outcome = world.handle(request, sdk);
  REQUIRE(outcome.response);
  CHECK(outcome.receipt.notes.size() == 51);
  CHECK(outcome.receipt.notes.back().text == "and 89950 more");
}

}  // namespace falproxy
