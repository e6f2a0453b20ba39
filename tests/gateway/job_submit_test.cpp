// Until fal has the job: what is repeated, with which key, and what never is.
#include <doctest/doctest.h>

#include <vector>

#include "gateway/story.hpp"

namespace falproxy::gateway {

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
      {"402", answered(402, "{}"), Kind::acquire_key, KeyOutcome::account_blocked},
      {"403 locked", answered(403, R"({"detail":"User is locked. Reason: Exhausted balance."})"),
       Kind::acquire_key, KeyOutcome::account_blocked},
      {"403 of another kind", answered(403, R"({"detail":"Forbidden"})"), Kind::acquire_key, {}},
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
    CHECK(story.on(answered(401, "{}")) == Kind::acquire_key);
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

}  // namespace falproxy::gateway
