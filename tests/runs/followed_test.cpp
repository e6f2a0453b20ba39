// Runs that fal goes on with though nobody waits for them any more.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "runs/restarted.hpp"

namespace falproxy {

using namespace testing;
using namespace std::chrono_literals;

namespace {

struct Followed : Restarted {
  explicit Followed(Runner::Options options = {}) {
    Runner::Parts parts = parts_over(before);
    parts.unfollowed = [this](RunRecord record) { left.push_back(std::move(record)); };
    runner = std::make_unique<Runner>(std::move(parts), with_hosts(std::move(options)));
    fal.job_time = 60s;
  }
  /// A request whose time is up while fal works on it.
  Outcome out_of_time() {
    CallContext context = keyed();
    context.deadline = clock.now() + 10s;
    Outcome outcome = runner->handle(request_for("flux"), context);
    REQUIRE_FALSE(outcome.response.has_value());
    CHECK(outcome.response.error().kind == ErrorKind::timed_out);
    return outcome;
  }
  /// Follows the one run that was left.
  RunState follow() {
    REQUIRE(left.size() == 1);
    return runner->follow(left.front(), {}, [this] { ++untold; });
  }
  /// What is asked of a job is answered with that, for so long.
  void answer_reads(Script script, Milliseconds time) {
    fal.fault = [this, script = std::move(script),
                 until = clock.now() + time](const HttpRequest& request) -> std::optional<Script> {
      const bool is_read =
          request.method == "GET" && request.url.find("/requests/") != std::string::npos;
      return is_read && clock.now() < until ? std::optional(script) : std::nullopt;
    };
  }
  [[nodiscard]] std::size_t cancels() { return transport.count("PUT https://queue.fal.run/"); }
  [[nodiscard]] RunStatus status() {
    const auto found = runner->find("me", left.empty() ? before_id() : left.front().id);
    REQUIRE(found);
    REQUIRE(found->has_value());
    return **found;
  }
  [[nodiscard]] RunId before_id() const {
    REQUIRE_FALSE(before.steps.empty());
    return before.steps.back().begin()->first;
  }

  std::vector<RunRecord> left;
  int untold = 0;
  std::unique_ptr<Runner> runner;
};

const Script not_found = answer(404, R"({"status":"NOT_FOUND"})");
const Script unauthorized = answer(401, R"({"detail":"Authentication is required"})");

}  // namespace

TEST_CASE("a job that is followed is not given up by a 404 that passes") {
  Followed world;
  world.out_of_time();
  world.answer_reads(not_found, 5s);
  CHECK(world.follow() == RunState::completed);
  CHECK(world.untold == 0);
  CHECK(world.status().products.size() == 1);
}

TEST_CASE("a job that fal no longer has is not followed for ever") {
  Followed world;
  world.out_of_time();
  world.answer_reads(not_found, 24h);
  CHECK(world.follow() == RunState::failed);
  REQUIRE(world.status().error.has_value());
  CHECK(world.status().error->kind == ErrorKind::result_expired);
}

TEST_CASE("a result that fal has deleted is not asked for until its record expires") {
  Followed world;
  world.out_of_time();
  world.fal.fault = [](const HttpRequest& request) -> std::optional<Script> {
    const bool of_result = request.method == "GET" &&
                           request.url.find("/requests/") != std::string::npos &&
                           request.url.find("/status") == std::string::npos;
    return of_result ? std::optional(not_found) : std::nullopt;
  };
  const TimePoint begin = world.clock.now();
  CHECK(world.follow() == RunState::failed);
  CHECK(world.clock.now() - begin < 2min);
}

TEST_CASE(
    "a run of which fal does not tell is looked at again until it does, and never cancelled") {
  for (const Milliseconds time : {Milliseconds(40s), Milliseconds(20min), Milliseconds(5h)})
    for (const Script& said : {unauthorized, answer(403, R"({"detail":"User is locked"})")}) {
      CAPTURE(time.count());
      Followed world;
      world.out_of_time();
      world.answer_reads(said, time);
      CHECK(world.follow() == RunState::completed);
      CHECK(world.untold == 1);
      CHECK(world.cancels() == 0);
      CHECK(world.submits() == 1);
      CHECK(world.status().products.size() == 1);
    }
}

TEST_CASE("a run whose key was taken out is followed once it is back") {
  Followed world;
  world.out_of_time();
  world.keys.reload({{Secret("key-c:secret-c")}}, {});
  world.clock.at(world.clock.now() + 15min, [&] {
    world.keys.reload({{Secret("key-a:secret-a")}, {Secret("key-b:secret-b")}}, {});
  });
  CHECK(world.follow() == RunState::completed);
  CHECK(world.untold == 1);
}

TEST_CASE("a run of which fal does not tell can be cancelled meanwhile") {
  Followed world;
  world.fal.job_time = 1h;
  world.out_of_time();
  world.answer_reads(unauthorized, 24h);
  world.clock.at(world.clock.now() + 45s,
                 [&] { static_cast<void>(world.runner->cancel("me", world.left.front().id)); });
  CHECK(world.follow() == RunState::cancelled);
  CHECK(world.cancels() == 1);
}

TEST_CASE("a run whose cancel fal does not take is followed on, and cancelled later") {
  Followed world;
  world.fal.job_time = 24h;
  world.out_of_time();
  const TimePoint begin = world.clock.now();
  world.fal.fault = [&](const HttpRequest& request) -> std::optional<Script> {
    const bool is_away =
        world.clock.now() < begin + 10min && request.url.find("/requests/") != std::string::npos;
    return is_away ? std::optional(unauthorized) : std::nullopt;
  };
  world.clock.at(begin + 45s,
                 [&] { static_cast<void>(world.runner->cancel("me", world.left.front().id)); });
  CHECK(world.follow() == RunState::cancelled);
  CHECK(world.clock.now() - begin < 1h);
}

TEST_CASE("what a restart cannot follow to its end is left to who follows it on") {
  Restarted world;
  REQUIRE(world.first->handle(request_for("flux"), world.keyed()).response);
  world.restart(1);
  Runner::Parts parts = world.parts_over(*world.after);
  std::vector<RunRecord> left;
  parts.unfollowed = [&](RunRecord record) { left.push_back(std::move(record)); };
  world.clock.advance(1s);
  Runner runner(parts, world.with_hosts({}));
  world.fal.fault = fail_on("GET https://queue.fal.run/", unauthorized);
  CHECK(runner.recover({}).value() == Recovered{.found = 1, .left = 1});
  REQUIRE(left.size() == 1);
  CHECK(left.front().state == RunState::accepted);
  world.fal.fault = {};
  CHECK(runner.follow(left.front(), {}) == RunState::completed);
}

TEST_CASE("a key promises nothing if there is no time to ask again: the job is cancelled") {
  Followed world({.keyed_recovery = 0s});
  world.out_of_time();
  CHECK(world.left.empty());
  CHECK(world.cancels() == 1);
}

TEST_CASE("a run that could not be noted is cancelled with its request, as nobody would find it") {
  Followed world;
  world.before.refuses = true;
  world.out_of_time();
  CHECK(world.left.empty());
  CHECK(world.cancels() == 1);
}

TEST_CASE(
    "a request that was answered with base64 is completed, and its files are there by address") {
  Followed world;
  Wish wish = request_for("flux");
  wish.response_format = ResponseFormat::b64_json;
  REQUIRE(world.runner->handle(wish, world.keyed()).response.has_value());
  const RunStatus status = world.status();
  CHECK(status.phase == RunPhase::completed);
  CHECK_FALSE(status.error.has_value());
  REQUIRE(status.products.size() == 1);
  CHECK(status.products.front().is_address);
  world.fal.fault = fail_on("GET https://queue.fal.run/", not_found);
  const RunStatus later = world.status();
  CHECK(later.phase == RunPhase::completed);
  CHECK(later.left_out == 1);
}

TEST_CASE("a run for which a client waits again is not cancelled under it") {
  Followed world;
  world.out_of_time();
  const RunId id = world.left.front().id;
  bool answered = false;
  world.clock.at(world.clock.now() + 5s, [&] {
    world.clock.at(world.clock.now() + 5s,
                   [&] { static_cast<void>(world.runner->cancel("me", id)); });
    answered = world.runner->handle(request_for("flux"), world.keyed()).response.has_value();
  });
  CHECK(world.follow() == RunState::completed);
  CHECK(answered);
  CHECK(world.cancels() == 0);
}

}  // namespace falproxy
