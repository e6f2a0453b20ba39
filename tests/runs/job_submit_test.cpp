// Until fal has the job: what is repeated, with which key, and what never is.
#include <doctest/doctest.h>

#include <vector>

#include "runs/story.hpp"

namespace falproxy::inline v0::runs {

TEST_CASE("when is a submit repeated? The one table") {
  struct Row {
    const char* name;
    Event event;
    Kind next;                         // what follows at once
    std::optional<KeyOutcome> report;  // what the ring hears
  };
  const HttpHeaders by_the_queue = {{"x-fal-request-id", "r7"}};
  const std::vector<Row> rows = {
      {"connect failed", lost(TransportFault::unreachable), Kind::wait, {}},
      {"broken, and nothing was sent", lost(TransportFault::interrupted, true), Kind::wait, {}},
      {"401", answered(401, R"({"detail":"No user found for Key ID and Secret"})"),
       Kind::acquire_key, KeyOutcome::refused},
      {"401 of somebody in between", answered(401, "<html>"), Kind::acquire_key, {}},
      {"402", answered(402, R"({"detail":"pay"})"), Kind::acquire_key, KeyOutcome::account_blocked},
      {"403 locked", answered(403, R"({"detail":"User is locked. Reason: Exhausted balance."})"),
       Kind::acquire_key, KeyOutcome::account_blocked},
      {"403 of another kind", answered(403, R"({"detail":"Forbidden"})"), Kind::acquire_key, {}},
      {"403 of somebody in between", answered(403, "<html>"), Kind::acquire_key, {}},
      {"429", answered(429, R"({"detail":"limit","type":"concurrent_requests_limit"})"),
       Kind::acquire_key, KeyOutcome::rate_limited},
      {"502 of the ingress", answered(502, "<html>"), Kind::wait, {}},
      {"503 of the ingress", answered(503, "<html>"), Kind::wait, {}},
      {"504 of the ingress", answered(504, "<html>"), Kind::wait, {}},
      {"503 of the queue", answered(503, R"({"detail":"x"})", by_the_queue), Kind::finished, {}},
      {"500", answered(500, R"({"detail":"Internal Server Error"})"), Kind::finished, {}},
      {"422",
       answered(422, R"({"detail":[{"loc":["body","prompt"],"msg":"m","type":"missing"}]})"),
       Kind::finished,
       {}},
      {"404", answered(404, R"({"detail":"not found"})"), Kind::finished, {}},
      {"302", answered(302, ""), Kind::finished, {}},
      {"200 that is not the queue's", answered(200, "<html>"), Kind::finished, {}},
      {"bytes sent and no answer", lost(TransportFault::interrupted), Kind::finished, {}},
      {"bytes sent and silence", lost(TransportFault::timed_out), Kind::finished, {}},
  };
  for (const Row& row : rows) {
    SUBCASE(row.name) {
      Story story;
      story.on(event::Started{});
      story.on(key);
      CHECK(story.on(row.event) == row.next);
      CHECK(story.action.report.has_value() == row.report.has_value());
      if (row.report.has_value()) CHECK(story.action.report->outcome == *row.report);
      CHECK(story.job.receipt().submits == 1);
    }
  }
}

TEST_CASE("what may have arrived counts as submitted and abandoned, and is never sent again") {
  for (const Event& event :
       {Event(lost(TransportFault::interrupted)), Event(lost(TransportFault::timed_out)),
        Event(answered(200, "not the queue's"))}) {
    Story story;
    story.on(event::Started{});
    story.on(key);
    CHECK(story.on(event) == Kind::finished);
    CHECK(story.fate() == Fate::abandoned);
    CHECK(story.error().submitted);
    CHECK(story.error().kind == ErrorKind::upstream_failed);
    CHECK(story.job.receipt().abandoned);
  }
}

TEST_CASE("what fails inside of fal may have been taken: no other model is paid beside it") {
  for (const auto& [status, headers] : std::vector<std::pair<int, HttpHeaders>>{
           {500, {}}, {502, {{"x-fal-request-id", "r7"}}}, {503, {{"x-fal-request-id", "r7"}}}}) {
    const int answer = status;
    CAPTURE(answer);
    for (const Route route : {Route::queue_stream, Route::run}) {
      Story story(route);
      story.on(event::Started{});
      story.on(key);
      CHECK(story.on(answered(status, R"({"detail":"x"})", headers)) == Kind::finished);
      CHECK(story.error().submitted);
    }
  }
}

TEST_CASE("an answer that names the job only in its head is an acceptance") {
  for (const char* const body : {"<html>", "", R"({"request_id":)", R"({"status":"IN_QUEUE"})"}) {
    CAPTURE(std::string(body));
    Story story;
    story.on(event::Started{});
    story.on(key);
    CHECK(story.on(answered(200, body, {{"x-fal-request-id", "r7"}})) == Kind::hold);
    CHECK(story.job.receipt().accepted);
    CHECK(story.job.submitted()->cancel_url ==
          "https://queue.fal.run/fal-ai/flux/requests/r7/cancel");
    CHECK(story.on(completed) == Kind::fetch);
    CHECK(story.on(result) == Kind::finished);
    CHECK(story.fate() == Fate::result);
  }
  SUBCASE("also if its body breaks off") {
    for (const TransportFault fault :
         {TransportFault::interrupted, TransportFault::timed_out, TransportFault::too_large}) {
      Story story;
      story.on(event::Started{});
      story.on(key);
      event::NoAnswer broken = lost(fault);
      broken.head = {200, {{"x-fal-request-id", "r7"}}};
      CHECK(story.on(broken) == Kind::hold);
      CHECK(story.job.receipt().fal_request_id == "r7");
    }
  }
  SUBCASE("unless fal does not know such a job") {
    Story story;
    story.on(event::Started{});
    story.on(key);
    story.on(answered(200, "<html>", {{"x-fal-request-id", "r7"}}));
    CHECK_FALSE(story.action.report.has_value());
    CHECK(story.on(event::HoldEnded{}) == Kind::look);
    CHECK(story.on(answered(404, R"({"status":"NOT_FOUND"})")) == Kind::finished);
    CHECK(story.fate() == Fate::abandoned);
    CHECK(story.error().kind == ErrorKind::upstream_failed);
    CHECK(story.error().submitted);
    CHECK_FALSE(story.job.receipt().accepted);
  }
}

TEST_CASE("an answer that names addresses on another host is an acceptance, and ours are used") {
  Story story;
  story.on(event::Started{});
  story.on(key);
  const char* const body =
      R"({"request_id":"r1","status_url":"https://evil.example/status","response_url":"http://queue.fal.run/a/b/requests/r1",)"
      R"("cancel_url":"https://queue.fal.run/given/requests/r1/cancel"})";
  CHECK(story.on(answered(200, body)) == Kind::hold);
  const fal::Submitted& job = *story.job.submitted();
  CHECK(job.status_url == "https://queue.fal.run/fal-ai/flux/requests/r1/status");
  CHECK(job.response_url == "https://queue.fal.run/fal-ai/flux/requests/r1");
  CHECK(job.cancel_url == "https://queue.fal.run/given/requests/r1/cancel");
}

TEST_CASE("a submit has its own time, which does not end with that of the client") {
  Story story(Route::queue_stream, 1s);
  story.on(event::Started{});
  CHECK(story.on(key) == Kind::submit);
  CHECK(story.action.until >= story.now + 30s);
  SUBCASE("what is accepted late is cancelled") {
    story.pass(1500ms);
    CHECK(story.on(accepted()) == Kind::cancel);
    CHECK(story.action.report->outcome == KeyOutcome::accepted);
    CHECK(story.on(answered(202, "{}")) == Kind::finished);
    CHECK(story.fate() == Fate::cancelled);
    CHECK(story.error().kind == ErrorKind::timed_out);
  }
  SUBCASE("or fetched, if it is done by then") {
    story.pass(1500ms);
    CHECK(story.on(accepted()) == Kind::cancel);
    CHECK(story.on(answered(400, R"({"status":"ALREADY_COMPLETED"})")) == Kind::fetch);
    CHECK(story.on(result) == Kind::finished);
    CHECK(story.fate() == Fate::result);
    CHECK(story.job.end().given_up->kind == ErrorKind::timed_out);
  }
  SUBCASE("what is refused late is not sent again") {
    story.pass(1500ms);
    CHECK(story.on(answered(503, "<html>")) == Kind::finished);
    CHECK(story.job.receipt().submits == 1);
    CHECK_FALSE(story.error().submitted);
  }
}

TEST_CASE("a submit to fal.run ends with the client's time: nothing of it could be cancelled") {
  Story story(Route::run, 1s);
  story.on(event::Started{});
  CHECK(story.on(key) == Kind::submit);
  CHECK(story.action.until == story.now + 1s);
}

TEST_CASE("a submit that throws may have arrived, and is never sent again") {
  Story story;
  story.on(event::Started{});
  story.on(key);
  CHECK(story.on(event::Threw{"no memory"}) == Kind::finished);
  CHECK(story.fate() == Fate::abandoned);
  CHECK(story.error().kind == ErrorKind::internal);
  CHECK(story.error().submitted);
  CHECK(story.job.receipt().fault == "no memory");
}

TEST_CASE("what throws before a submit ends the job, and nothing was submitted") {
  Story story;
  story.on(event::Started{});
  CHECK(story.on(event::Threw{"no memory"}) == Kind::finished);
  CHECK(story.fate() == Fate::none);
  CHECK(story.error().kind == ErrorKind::internal);
  CHECK_FALSE(story.error().submitted);
}

TEST_CASE("fal's Retry-After reaches the ring") {
  Story story;
  story.on(event::Started{});
  story.on(key);
  story.on(answered(429, "{}", {{"Retry-After", "7"}}));
  REQUIRE(story.action.report.has_value());
  CHECK(story.action.report->retry_after == 7s);
}

TEST_CASE("the next key is taken at once, however many are refused") {
  Story story;
  story.on(event::Started{});
  for (std::size_t slot = 0; slot < 9; ++slot) {
    CHECK(story.on(event::KeyGranted{slot}) == Kind::submit);
    CHECK(story.on(answered(401, R"({"detail":"No user found"})")) == Kind::acquire_key);
  }
  story.on(event::KeyGranted{9});
  CHECK(story.on(accepted()) == Kind::hold);
  CHECK(story.job.receipt().submits == 10);
  CHECK(story.job.receipt().key_slot == 9);
}

TEST_CASE("an endpoint that is forbidden to a key is not asked for with that key again") {
  Story story;
  story.on(event::Started{});
  const event::Answered forbidden = answered(403, R"({"detail":"Forbidden"})");
  story.on(event::KeyGranted{0});
  CHECK(story.on(forbidden) == Kind::acquire_key);
  CHECK(story.action.except == std::vector<std::size_t>{0});
  story.on(event::KeyGranted{1});
  CHECK(story.on(forbidden) == Kind::acquire_key);
  CHECK(story.action.except == std::vector<std::size_t>{0, 1});
  CHECK(story.on(event::KeyDenied{{ErrorKind::keys_out, "no other key"}}) == Kind::finished);
  CHECK(story.job.receipt().submits == 2);
  CHECK(story.error().kind == ErrorKind::keys_out);
  CHECK_FALSE(story.error().submitted);
}

TEST_CASE("a key that was pushed back is asked again only after a wait, a few times") {
  Story story;
  story.on(event::Started{});
  const event::Answered busy = answered(429, R"({"detail":"slow down"})", {{"Retry-After", "1"}});
  const event::KeyDenied resting{{ErrorKind::keys_resting, "every key rests", {}, 600ms}};
  for (int round = 1; round <= 4; ++round) {
    CAPTURE(round);
    story.on(event::KeyGranted{0});
    CHECK(story.on(busy) == Kind::acquire_key);
    CHECK(story.action.except == std::vector<std::size_t>{0});
    story.on(event::KeyGranted{1});
    CHECK(story.on(busy) == Kind::acquire_key);
    CHECK(story.action.except == std::vector<std::size_t>{0, 1});
    CHECK(story.on(resting) == (round < 4 ? Kind::wait : Kind::finished));
    if (round < 4) CHECK(story.wait() == Kind::acquire_key);
    CHECK(story.action.except.empty());
  }
  CHECK(story.error().kind == ErrorKind::keys_resting);
  CHECK(story.job.receipt().submits == 8);

  SUBCASE("where it is back before another one could be asked, the client is told") {
    Story alone;
    alone.on(event::Started{});
    alone.on(key);
    alone.on(busy);
    CHECK(alone.on(event::KeyDenied{{ErrorKind::keys_out, "no other key"}}) == Kind::finished);
    CHECK(alone.error().kind == ErrorKind::keys_resting);
    CHECK(alone.error().retry_after == 1s);
  }
}

TEST_CASE("the time that a job waits here for a key is time in a queue") {
  Story story;
  story.on(event::Started{});
  story.pass(700ms);
  story.on(key);
  story.pass(2ms);
  story.on(accepted());
  story.pass(1s);
  story.on(in_progress);
  story.pass(1s);
  story.on(completed);
  story.on(result);
  CHECK(story.job.receipt().submit == 2ms);
  CHECK(story.job.receipt().queue == 1700ms);
  CHECK(story.job.receipt().inference == 1s);
}

TEST_CASE("submits are repeated with back-off, at most MAX_SUBMIT_ATTEMPTS times") {
  Story story;
  story.on(event::Started{});
  story.on(key);
  std::vector<Milliseconds> pauses;
  while (story.on(answered(503, "busy")) == Kind::wait) {
    pauses.push_back(story.waiting());
    CHECK(story.wait() == Kind::submit);
  }
  CHECK(pauses == std::vector<Milliseconds>{250ms, 500ms, 1s});
  CHECK(story.job.receipt().submits == 4);
  CHECK(story.fate() == Fate::failed);
  CHECK(story.error().kind == ErrorKind::upstream_unreachable);
  CHECK_FALSE(story.error().submitted);
}

}  // namespace falproxy::inline v0::runs
