// How a job ends that does not go well: out of time, stopped, or failed at fal.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "runs/story.hpp"

namespace falproxy::inline v0::runs {

TEST_CASE(
    "a key that is back within two seconds is waited for, a later one is the client's to wait "
    "for") {
  SUBCASE("soon") {
    Story story;
    story.on(event::Started{});
    CHECK(story.on(resting(900ms)) == Kind::wait);
    CHECK(story.waiting() == 900ms);
    CHECK(story.wait() == Kind::acquire_key);
    CHECK(story.on(key) == Kind::submit);
  }
  SUBCASE("late") {
    Story story;
    story.on(event::Started{});
    CHECK(story.on(resting(7s)) == Kind::finished);
    CHECK(story.error().kind == ErrorKind::keys_resting);
    CHECK(story.error().retry_after == 7s);
    CHECK(story.fate() == Fate::none);  // nothing was ever submitted
  }
  SUBCASE("for ever short") {
    Story story;
    story.on(event::Started{});
    int waits = 0;
    while (story.on(resting(1s)) == Kind::wait) {
      ++waits;
      story.wait();
    }
    CHECK(waits == 3);
  }
}

TEST_CASE("what is left of the time bounds every exchange, and ends in a cancel at fal") {
  Story story(Route::queue_stream, 10s);
  story.accept();
  CHECK(story.action.until == testing::VirtualClock::epoch() + 10s);
  story.pass(10s);
  CHECK(story.on(event::HoldEnded{}) == Kind::cancel);
  CHECK(story.on(answered(202, R"({"status":"CANCELLATION_REQUESTED"})")) == Kind::finished);
  CHECK(story.fate() == Fate::cancelled);
  CHECK(story.error().kind == ErrorKind::timed_out);
  CHECK(story.error().submitted);
  CHECK(story.error().fal_request_id == "r1");
  CHECK(story.job.receipt().cancelled);
}

TEST_CASE("the receipt tells the last trouble of a job that failed, and only that") {
  Story story(Route::queue_poll, 60s);
  story.accept();
  story.on(lost(TransportFault::interrupted));
  const auto end = [&] {
    REQUIRE(story.action.kind == Kind::cancel);
    story.on(answered(202, "{}"));
    return story.job.receipt().fault;
  };
  SUBCASE("out of time, with nothing but trouble") {
    story.pass(60s);
    story.on(event::Woken{});
    CHECK(end() == "scripted");
  }
  SUBCASE("out of time, after fal had answered again") {
    story.wait();
    story.on(look_in_progress);
    story.pass(60s);
    story.on(event::Woken{});
    CHECK(end().empty());
  }
  SUBCASE("stopped") {
    story.on(event::Stopped{});
    CHECK(end().empty());
  }
}

TEST_CASE("a job whose time ran out before fal took it was not submitted") {
  Story story(Route::queue_stream, 1s);
  story.on(event::Started{});
  story.on(key);
  CHECK(story.on(answered(503, "busy")) == Kind::wait);
  story.pass(1s);
  CHECK(story.on(event::Woken{}) == Kind::finished);
  CHECK(story.error().kind == ErrorKind::timed_out);
  CHECK_FALSE(story.error().submitted);
  CHECK(story.job.receipt().submits == 1);
  CHECK(story.fate() == Fate::failed);
}

TEST_CASE("a result that arrives as the time runs out is still a result") {
  Story story(Route::queue_stream, 10s);
  story.accept();
  story.pass(9s);
  CHECK(story.on(completed) == Kind::fetch);
  story.pass(1s);
  CHECK(story.on(result) == Kind::finished);
  CHECK(story.fate() == Fate::result);
}

TEST_CASE("stopping cancels what fal has taken, whatever the job was doing") {
  const std::vector<std::vector<Event>> ways = {
      {},                                       // holding
      {in_progress},                            // still holding
      {event::HoldEnded{}},                     // about to look
      {event::HoldEnded{}, look_in_progress},   // between looks
      {event::HoldDenied{}, look_in_progress},  // the same
  };
  for (const std::vector<Event>& way : ways) {
    CAPTURE(way.size());
    Story story;
    story.accept();
    for (const Event& event : way) story.on(event);
    CHECK(story.on(event::Stopped{}) == Kind::cancel);
    CHECK(story.on(answered(202, R"({"status":"CANCELLATION_REQUESTED"})")) == Kind::finished);
    CHECK(story.error().kind == ErrorKind::cancelled);
    CHECK(story.fate() == Fate::cancelled);
    CHECK(story.job.end().given_up->kind == ErrorKind::cancelled);
  }
}

TEST_CASE("what fal has completed is fetched, never cancelled, whoever leaves") {
  const std::vector<std::vector<Event>> ways = {
      {completed},                                       // about to fetch
      {completed, lost(TransportFault::interrupted)},    // about to fetch again
      {completed, answered(503, "<html>")},              // the same
      {event::HoldEnded{}, look_completed},              // told by a look
      {completed, answered(404, "{}"), event::Woken{}},  // fetching again
  };
  for (std::size_t i = 0; i < 2 * ways.size(); ++i) {
    CAPTURE(i);
    Story story(Route::queue_stream, 10s);
    story.accept();
    for (const Event& event : ways[i / 2]) story.on(event);
    const bool client_leaves = i % 2 == 0;
    if (client_leaves) {
      CHECK(story.on(event::Stopped{}) == Kind::fetch);
    } else {
      const bool fetching = story.action.kind == Kind::fetch;
      story.pass(10s);
      const Event late = fetching ? Event(lost(TransportFault::timed_out)) : event::Woken{};
      CHECK(story.on(late) == Kind::fetch);
    }
    CHECK(story.on(answered(503, "<html>")) == Kind::wait);
    CHECK(story.wait() == Kind::fetch);
    CHECK(story.on(result) == Kind::finished);
    CHECK(story.fate() == Fate::result);
    CHECK(story.job.end().result != nullptr);
    CHECK(story.job.end().given_up.has_value());
    CHECK_FALSE(story.job.receipt().cancelled);
  }
}

TEST_CASE("a job that had completed before its cancel came is fetched") {
  const event::Answered failure =
      answered(422, R"({"detail":[{"loc":["body"],"msg":"m","type":"t"}]})");
  for (const int status : {400, 200, 409}) {
    for (const bool failed : {false, true}) {
      CAPTURE(status);
      CAPTURE(failed);
      Story story;
      story.accept();
      CHECK(story.on(event::Stopped{}) == Kind::cancel);
      CHECK(story.on(answered(status, R"({"status":"ALREADY_COMPLETED"})")) == Kind::fetch);
      CHECK(story.on(answered(400, R"({"detail":"Request is still in progress"})")) == Kind::wait);
      CHECK(story.wait() == Kind::fetch);
      CHECK(story.on(failed ? failure : result) == Kind::finished);
      CHECK(story.fate() == (failed ? Fate::failed : Fate::result));
      CHECK(story.job.end().given_up->kind == ErrorKind::cancelled);
      if (failed) CHECK(story.error().kind == ErrorKind::rejected_by_model);
    }
  }
}

TEST_CASE("a result that nobody waits for is asked for half a minute, and then abandoned") {
  Story story;
  story.accept();
  story.on(completed);
  story.on(event::Stopped{});
  const TimePoint begin = story.now;
  while (story.on(answered(503, "<html>")) == Kind::wait) REQUIRE(story.wait() == Kind::fetch);
  CHECK(story.now - begin == 30s);
  CHECK(story.fate() == Fate::abandoned);
  CHECK(story.error().kind == ErrorKind::cancelled);
  CHECK(story.error().submitted);
  CHECK(story.job.receipt().fault == "503");
}

TEST_CASE("somebody who comes back for a late result gives it more time") {
  Story story(Route::queue_stream, 10s);
  story.accept();
  story.pass(10s);
  CHECK(story.on(completed) == Kind::fetch);
  story.job.extend(story.now + 100s);
  story.pass(99s);
  CHECK(story.on(answered(503, "<html>")) == Kind::wait);
  CHECK(story.wait() == Kind::fetch);
}

TEST_CASE("stopping before fal took the job needs no cancel") {
  SUBCASE("before anything") {
    Story story;
    story.on(event::Started{});
    CHECK(story.on(event::Stopped{}) == Kind::finished);
    CHECK(story.fate() == Fate::none);
  }
  SUBCASE("instead of the submit") {
    Story story;
    story.on(event::Started{});
    CHECK(story.on(key) == Kind::submit);
    CHECK(story.on(event::Stopped{}) == Kind::finished);
    CHECK(story.job.receipt().submits == 0);
    CHECK(story.fate() == Fate::none);
    CHECK_FALSE(story.error().submitted);
  }
  SUBCASE("while fal.run has it") {
    Story story(Route::run);
    story.on(event::Started{});
    story.on(key);
    CHECK(story.on(lost(TransportFault::cancelled)) == Kind::finished);
    CHECK(story.fate() == Fate::abandoned);
    CHECK(story.error().kind == ErrorKind::cancelled);
    CHECK(story.error().submitted);
  }
}

TEST_CASE("a cancel that does not arrive is tried once more, and then the job is abandoned") {
  for (const Event& second :
       {Event(answered(503, "")), Event(lost(TransportFault::interrupted)),
        Event(answered(401, R"({"detail":"No user found"})")), Event(event::Threw{"no memory"})}) {
    Story story;
    story.accept();
    story.on(event::Stopped{});
    CHECK(story.on(lost(TransportFault::timed_out)) == Kind::cancel);
    CHECK(story.on(second) == Kind::finished);
    CHECK(story.fate() == Fate::abandoned);
    CHECK_FALSE(story.job.receipt().fault.empty());
  }
}

TEST_CASE("a job that fal does not know when it is cancelled is abandoned, not cancelled") {
  for (const int status : {404, 200}) {
    Story story;
    story.accept();
    story.on(event::Stopped{});
    CHECK(story.on(answered(status, R"({"status":"NOT_FOUND"})")) == Kind::finished);
    CHECK(story.fate() == Fate::abandoned);
  }
}

TEST_CASE("what throws while fal has the job stops no job: it is looked at again") {
  SUBCASE("holding") {
    Story story;
    story.accept();
    CHECK(story.on(event::Threw{"no memory"}) == Kind::look);
    CHECK(story.on(look_completed) == Kind::fetch);
    CHECK(story.on(result) == Kind::finished);
    CHECK(story.fate() == Fate::result);
  }
  SUBCASE("reading") {
    Story story(Route::queue_poll);
    CHECK(story.accept() == Kind::look);
    CHECK(story.on(event::Threw{"no memory"}) == Kind::wait);
    CHECK(story.wait() == Kind::look);
    CHECK(story.on(look_completed) == Kind::fetch);
    CHECK(story.on(event::Threw{"no memory"}) == Kind::wait);
    CHECK(story.wait() == Kind::fetch);
    CHECK(story.on(result) == Kind::finished);
  }
}

TEST_CASE(
    "there is no FAILED: a failure is COMPLETED with an error, or shows when the result is "
    "fetched") {
  SUBCASE("COMPLETED with an error") {
    Story story;
    story.accept();
    event::StatusSaid failed = completed;
    failed.status.error = "boom";
    failed.status.error_type = "runner_server_error";
    CHECK(story.on(failed) == Kind::finished);
    CHECK(story.error().kind == ErrorKind::upstream_failed);
    CHECK(story.fate() == Fate::failed);
    CHECK(story.error().submitted);
    CHECK(story.error().message == "The model failed at fal (runner_server_error).");
  }
  struct Row {
    const char* name;
    event::Answered answer;
    ErrorKind want;
  };
  const std::vector<Row> rows = {
      {"422",
       answered(
           422,
           R"({"detail":[{"loc":["body","prompt"],"msg":"too long","type":"string_too_long"}]})"),
       ErrorKind::rejected_by_model},
      {"content policy",
       answered(
           422,
           R"({"detail":[{"loc":["body","prompt"],"msg":"m","type":"content_policy_violation"}]})"),
       ErrorKind::content_policy},
      {"no media",
       answered(422, R"({"detail":[{"loc":["body"],"msg":"m","type":"no_media_generated"}]})"),
       ErrorKind::no_image},
      {"500", answered(500, R"({"detail":"Internal Server Error"})"), ErrorKind::upstream_failed},
      {"504 of the time we set",
       answered(504, R"({"error_type":"request_timeout","detail":"x"})",
                {{"x-fal-request-timeout-type", "user"}}),
       ErrorKind::timed_out},
  };
  for (const Row& row : rows) {
    SUBCASE(row.name) {
      Story story;
      story.accept();
      story.on(completed);
      CHECK(story.on(row.answer) == Kind::finished);
      CHECK(story.error().kind == row.want);
      CHECK(story.error().submitted);
      CHECK(story.fate() == Fate::failed);
      CHECK(story.job.end().fault.has_value());
    }
  }
}

TEST_CASE(
    "403 while a job is polled is no proof that it failed: the wait goes on, then the result is "
    "fetched") {
  Story story(Route::queue_poll);
  story.accept();
  const event::Answered locked = answered(403, R"({"detail":"User is locked. Reason: TOP_UP."})");
  int fetches = 0;
  for (int i = 0; i < 40; ++i) {
    const Kind next = story.on(locked);
    if (next == Kind::fetch) {
      ++fetches;
      continue;
    }
    REQUIRE(next == Kind::wait);
    REQUIRE(story.wait() == Kind::look);
  }
  CHECK(fetches > 5);
  while (story.on(locked) != Kind::fetch) story.wait();
  CHECK(story.on(result) == Kind::finished);
  CHECK(story.fate() == Fate::result);
}

TEST_CASE("a look at the result before its time says nothing") {
  Story story(Route::queue_poll);
  story.accept();
  while (story.on(answered(403, "{}")) != Kind::fetch) story.wait();
  CHECK(story.on(answered(400, R"({"detail":"Request is still in progress"})")) == Kind::wait);
  CHECK(story.wait() == Kind::look);
  CHECK(story.on(look_completed) == Kind::fetch);
  CHECK(story.on(result) == Kind::finished);
}

TEST_CASE("reads are free: they are repeated until the deadline") {
  const std::vector<Event> troubles = {lost(TransportFault::unreachable),
                                       lost(TransportFault::interrupted),
                                       lost(TransportFault::timed_out),
                                       answered(502, "<html>"),
                                       answered(503, "<html>"),
                                       answered(429, "{}"),
                                       answered(500, "<html>")};
  for (const Event& trouble : troubles) {
    Story story(Route::queue_poll, 120s);
    story.accept();
    while (story.now < testing::VirtualClock::epoch() + 50s) {
      REQUIRE(story.on(trouble) == Kind::wait);
      REQUIRE(story.wait() == Kind::look);
    }
    REQUIRE(story.on(look_completed) == Kind::fetch);
    const TimePoint begin = story.now;
    while (story.now < begin + 50s) {
      REQUIRE(story.on(trouble) == Kind::wait);
      REQUIRE(story.wait() == Kind::fetch);
    }
    CHECK(story.on(result) == Kind::finished);
    CHECK(story.fate() == Fate::result);
  }
}

TEST_CASE("what fal has completed is asked for until the time is over, whatever it answers") {
  for (const Event& trouble :
       {Event(answered(404, R"({"status":"NOT_FOUND"})")), Event(answered(401, "<html>")),
        Event(answered(403, R"({"detail":"User is locked."})")), Event(answered(200, "<html>")),
        Event(answered(302, "")),
        Event(answered(400, R"({"detail":"Request is still in progress"})"))}) {
    Story story(Route::queue_stream, 600s);
    story.accept();
    REQUIRE(story.on(completed) == Kind::fetch);
    const TimePoint begin = story.now;
    while (story.now < begin + 590s) {
      REQUIRE(story.on(trouble) == Kind::wait);
      REQUIRE(story.wait() == Kind::fetch);
    }
    CHECK(story.on(result) == Kind::finished);
    CHECK(story.fate() == Fate::result);
  }
}

TEST_CASE("a job that fal no longer knows is cancelled after half a minute, and given up") {
  Story story(Route::queue_poll);
  story.accept();
  const TimePoint begin = story.now;
  const event::Answered unknown = answered(404, R"({"status":"NOT_FOUND"})");
  while (story.on(unknown) == Kind::wait) story.wait();
  CHECK(story.now - begin >= 30s);
  CHECK(story.now - begin < 40s);
  CHECK(story.action.kind == Kind::cancel);
  CHECK(story.on(unknown) == Kind::finished);
  CHECK(story.fate() == Fate::abandoned);
  CHECK(story.error().kind == ErrorKind::upstream_failed);
}

TEST_CASE("a job that fal no longer told of, and had completed, is fetched for who still waits") {
  Story story(Route::queue_poll);
  story.accept();
  while (story.on(answered(404, R"({"status":"NOT_FOUND"})")) == Kind::wait) story.wait();
  REQUIRE(story.action.kind == Kind::cancel);
  CHECK(story.on(answered(400, R"({"status":"ALREADY_COMPLETED"})")) == Kind::fetch);
  const TimePoint begin = story.now;
  while (story.now < begin + 300s) {
    REQUIRE(story.on(answered(404, "{}")) == Kind::wait);
    REQUIRE(story.wait() == Kind::fetch);
  }
  CHECK(story.on(result) == Kind::finished);
  CHECK(story.fate() == Fate::result);
  CHECK_FALSE(story.job.end().given_up.has_value());
}

TEST_CASE("somebody who waits longer gives the job more time") {
  Story story(Route::queue_stream, 10s);
  story.accept();
  story.job.extend(story.now + 60s);
  story.pass(10s);
  CHECK(story.on(event::HoldEnded{}) == Kind::look);
  story.job.extend(story.now);  // never less
  story.pass(10s);
  CHECK(story.on(look_completed) == Kind::fetch);
}

TEST_CASE("no error of a job repeats what fal says of accounts") {
  for (const char* const words :
       {"User is locked. Reason: Exhausted balance. Top up at fal.ai/dashboard/billing.",
        "No user found for Key ID and Secret"}) {
    const std::string detail = std::string(R"({"detail":")") + words + R"("})";
    for (const int status : {400, 401, 403, 422, 500}) {
      CAPTURE(status);
      Story story(Route::run);
      story.on(event::Started{});
      story.on(event::KeyGranted{0});
      if (story.on(answered(status, detail)) == Kind::acquire_key) continue;
      CHECK(story.error().message.find("balance") == std::string::npos);
      CHECK(story.error().message.find("Key ID") == std::string::npos);
    }
  }
}

}  // namespace falproxy::inline v0::runs
