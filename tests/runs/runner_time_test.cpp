// What becomes of a request where time gives out, or its client leaves.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "falproxy/runner.hpp"
#include "runs/scripted_fal.hpp"

namespace falproxy {

using namespace std::chrono_literals;
using namespace testing;

TEST_CASE("a status stream that never pauses or never ends is left, and the status is asked") {
  // Sends a comment after the other, and looks at no clock itself.
  struct Firehose final : Transport {
    Firehose(VirtualClock& of, Transport& other) : clock(of), inner(other) {}
    Result<Done, TransportError> send(const HttpRequest& request, TimePoint deadline,
                                      std::stop_token stop, ResponseSink& sink) override {
      if (!request.url.ends_with("/status/stream"))
        return inner.send(request, deadline, stop, sink);
      const std::string comments(64u << 10, ':');
      if (!sink.head({200, {{"content-type", "text/event-stream"}}})) return cancelled;
      while (sent < 100'000) {
        ++sent;
        clock.advance(pause);
        if (!sink.data(comments + "\n")) return cancelled;
      }
      return Done{};
    }
    const TransportError cancelled{TransportFault::cancelled, "the receiver ended it"};
    VirtualClock& clock;
    Transport& inner;
    Milliseconds pause{0};
    int sent = 0;
  };
  for (const Milliseconds pause : {0ms, 100ms}) {
    CAPTURE(pause.count());
    GatewayWorld world;
    Firehose firehose(world.clock, world.transport);
    firehose.pause = pause;
    Runner runner({.transport = firehose,
                   .clock = world.clock,
                   .executor = world.inline_executor,
                   .codecs = world.codecs,
                   .keys = world.keys,
                   .catalog = world.catalog,
                   .random = [] { return 0.5; }},
                  GatewayWorld::with_hosts({}));
    const TimePoint begin = world.clock.now();
    world.fal.job_time = pause == 0ms ? 1s : 1h;
    const Outcome outcome = runner.handle(request_for("flux"), {.deadline = begin + 5s});
    CHECK(outcome.response.has_value() == (pause == 0ms));
    CHECK(world.clock.now() - begin <= 5200ms);
    CHECK(firehose.sent < 200);  // 8 MiB, or 5 s
    CHECK(world.fal.count_cancelled() == (pause == 0ms ? 0 : 1));
  }
}

// ---- Time and clients that leave.

TEST_CASE("when the time runs out the job is cancelled at fal") {
  GatewayWorld world;
  world.fal.job_time = 1h;
  const Outcome outcome = world.handle(request_for("flux"), {.deadline = world.clock.now() + 10s});
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().kind == ErrorKind::timed_out);
  CHECK(outcome.response.error().submitted);
  CHECK(outcome.receipt.total == 10s);
  CHECK(world.fal.count_cancelled() == 1);
  CHECK(outcome.receipt.jobs[0].cancelled);
  world.check_closed();
}

TEST_CASE("a client that timed out finds its job again: the job outlives the deadline a little") {
  struct Row {
    const char* name;
    std::chrono::seconds client_leaves, job_time;
    bool finished;
  };
  for (const Row& row : {Row{"it left, and the job is done in time", 9s, 11s, true},
                         Row{"it left, and the job takes longer", 9s, 20s, false},
                         Row{"it is still there at the deadline", 60s, 11s, false}}) {
    CAPTURE(row.name);
    GatewayWorld world;
    world.fal.job_time = row.job_time;
    const TimePoint begin = world.clock.now();
    const CallContext context{
        .deadline = begin + 10s,
        .client_left = [&] { return world.clock.now() - begin >= row.client_leaves; },
        .repeat_hold = 1500ms};
    const Outcome outcome = world.handle(request_for("flux"), context);
    CHECK(outcome.response.has_value() == row.finished);
    CHECK(world.fal.count_cancelled() == (row.finished ? 0 : 1));
    world.check_closed();
  }
}

TEST_CASE("what is left of the time goes to fal") {
  GatewayWorld world;
  std::string header;
  world.fal.fault = [&](const HttpRequest& request) -> std::optional<Script> {
    if (request.method == "POST")
      header = request.headers.find("X-Fal-Request-Start-Timeout").value_or("none");
    return std::nullopt;
  };
  (void)world.handle(request_for("flux"), {.deadline = world.clock.now() + 30s});
  CHECK(header == "30");
}

TEST_CASE("a client that leaves takes its job with it, whatever the job is doing") {
  for (const Milliseconds when : {0ms, 300ms, 700ms, 980ms}) {
    CAPTURE(when.count());
    GatewayWorld world;
    world.fal.job_time = 1s;
    std::stop_source stop;
    world.clock.at(world.clock.now() + when, [&] { stop.request_stop(); });
    const Outcome outcome = world.handle(request_for("flux"), {.stop = stop.get_token()});
    REQUIRE_FALSE(outcome.response);
    CHECK(outcome.response.error().kind == ErrorKind::cancelled);
    CHECK(world.fal.count_cancelled() == world.fal.jobs.size());
    CHECK(outcome.receipt.total <= when + 20ms);
    world.check_closed();
  }
}

TEST_CASE(
    "a submit that is on its way when the client leaves is waited for, so that it can be "
    "cancelled") {
  GatewayWorld world;
  world.fal.job_time = 1h;
  std::stop_source stop;
  world.fal.fault = [&, slow = false](const HttpRequest& request) mutable -> std::optional<Script> {
    if (request.method != "POST" || slow) return std::nullopt;
    slow = true;
    world.clock.at(world.clock.now() + 1s, [&] { stop.request_stop(); });
    Script script = world.fal.serve(request);
    script.after = 3s;
    return script;
  };
  const Outcome outcome = world.handle(request_for("flux"), {.stop = stop.get_token()});
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().kind == ErrorKind::cancelled);
  CHECK(world.fal.jobs.size() == 1);
  CHECK(world.fal.count_cancelled() == 1);
  world.check_closed();
}

TEST_CASE("a submit that is answered after the client's time is up is cancelled") {
  GatewayWorld world;
  world.fal.job_time = 1h;
  world.fal.fault = [&, slow = false](const HttpRequest& request) mutable -> std::optional<Script> {
    if (request.method != "POST" || slow) return std::nullopt;
    slow = true;
    Script script = world.fal.serve(request);
    script.after = 1500ms;
    return script;
  };
  const Outcome outcome = world.handle(request_for("flux"), {.deadline = world.clock.now() + 1s});
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().kind == ErrorKind::timed_out);
  CHECK(outcome.response.error().submitted);
  CHECK(world.fal.jobs.size() == 1);
  CHECK(world.fal.count_cancelled() == 1);
  world.check_closed();
}

TEST_CASE("a submit that is never answered is given up after half a minute of silence") {
  GatewayWorld world;
  world.fal.fault = [&, slow = false](const HttpRequest& request) mutable -> std::optional<Script> {
    if (request.method != "POST" || slow) return std::nullopt;
    slow = true;
    Script script = world.fal.serve(request);
    script.after = 1h;
    return script;
  };
  const Outcome outcome = world.handle(request_for("flux"), {.deadline = world.clock.now() + 1s});
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().kind == ErrorKind::timed_out);
  CHECK(outcome.response.error().submitted);
  CHECK(outcome.receipt.total == 30s);
  CHECK(outcome.receipt.jobs.at(0).abandoned);
  world.check_closed();
}

TEST_CASE("what is completed when the client leaves, or its time is up, is there for the repeat") {
  struct Row {
    const char* name;
    Milliseconds leaves, time, job_time, result_time;
  };
  for (const Row& row :
       {Row{"it left while the result was fetched", 1200ms, 600s, 1s, 600ms},
        Row{"its time ran out while the result was fetched", 1h, 1200ms, 1s, 600ms},
        Row{"the job was done before its cancel came", 300ms, 600s, 300ms, 0ms},
        Row{"the job was done as its time ran out", 1h, 300ms, 300ms, 600ms}}) {
    CAPTURE(std::string(row.name));
    GatewayWorld world;
    world.fal.job_time = row.job_time;
    world.fal.fault = [&,
                       slow = false](const HttpRequest& request) mutable -> std::optional<Script> {
      if (!request.url.ends_with("/requests/job-1") || slow) return std::nullopt;
      slow = true;
      Script script = world.fal.serve(request);
      script.after = row.result_time;
      return script;
    };
    std::stop_source stop;
    const TimePoint begin = world.clock.now();
    world.clock.at(begin + row.leaves, [&] { stop.request_stop(); });
    (void)world.handle(request_for("flux"),
                       {.deadline = begin + row.time, .stop = stop.get_token(), .client = "me"});
    CHECK(world.fal.count_cancelled() == 0);
    CHECK(world.fal.count_fetched() == 1);
    const Outcome repeat = world.handle(request_for("flux"), {.client = "me", .retry_count = 1});
    CHECK(repeat.response);
    CHECK(repeat.receipt.recovered);
    CHECK(world.fal.jobs.size() == 1);
    world.check_closed();
  }
}

// ---- Faults of the input.

}  // namespace falproxy
