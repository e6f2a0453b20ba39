// Each story of a job, stepped in virtual time: no transport, no clock, no thread.
#include "gateway/job.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "support/virtual_time.hpp"

namespace falproxy::gateway {
namespace {

using namespace std::chrono_literals;
using Kind = Action::Kind;

const char* const accepted_body =
    R"({"request_id":"r1","status_url":"https://queue.fal.run/fal-ai/flux/requests/r1/status",)"
    R"("response_url":"https://queue.fal.run/fal-ai/flux/requests/r1",)"
    R"("cancel_url":"https://queue.fal.run/fal-ai/flux/requests/r1/cancel","queue_position":3})";

event::Answered answered(int status, std::string body, HttpHeaders headers = {}) {
  return {HttpHead{status, std::move(headers)},
          std::make_shared<const std::string>(std::move(body))};
}
event::Answered accepted() { return answered(200, accepted_body); }
event::NoAnswer lost(TransportFault fault, bool nothing_sent = false) {
  return {TransportError{fault, "scripted", nothing_sent}};
}
event::StatusSaid said(fal::QueueState state) {
  fal::QueueStatus status;
  status.state = state;
  return {status};
}
event::KeyDenied resting(Milliseconds back_in) {
  Error error{ErrorKind::keys_resting, "all keys rest"};
  error.retry_after = back_in;
  return {error};
}
const event::KeyGranted key{0};
const event::StatusSaid in_queue = said(fal::QueueState::in_queue);
const event::StatusSaid in_progress = said(fal::QueueState::in_progress);
const event::StatusSaid completed = said(fal::QueueState::completed);
const event::Answered look_in_progress = answered(202, R"({"status":"IN_PROGRESS"})");
const event::Answered look_completed = answered(200, R"({"status":"COMPLETED"})");
const event::Answered result = answered(200, R"({"images":[]})", {{"x-fal-billable-units", "1.5"}});

// Steps one job through its story.
struct Story {
  explicit Story(Route route = Route::queue_stream, std::chrono::seconds time = 600s)
      : job({.endpoint = *fal::EndpointId::parse("fal-ai/flux/dev"),
             .queue = "https://queue.fal.run",
             .route = route,
             .max_submit_attempts = 4,
             .deadline = now + time},
            half) {}

  Kind on(const Event& event) {
    action = job.step(event, now);
    return action.kind;
  }
  /// Up to the queue's acceptance.
  Kind accept() {
    on(event::Started{});
    on(key);
    return on(accepted());
  }
  /// Does what a wait says.
  Kind wait() {
    REQUIRE(action.kind == Kind::wait);
    now = std::max(now, action.until);
    return on(event::Woken{});
  }
  void pass(TimePoint::duration time) { now += time; }
  [[nodiscard]] Milliseconds waiting() const {
    return std::chrono::duration_cast<Milliseconds>(action.until - now);
  }
  [[nodiscard]] const Error& error() { return job.end().error; }
  [[nodiscard]] Fate fate() { return job.end().fate; }

  static double a_half() { return 0.5; }
  const std::function<double()> half = a_half;
  TimePoint now = testing::VirtualClock::epoch();
  Job job;
  Action action;
};

}  // namespace

TEST_CASE("the pause between looks grows with the time that has passed") {
  struct Row {
    Milliseconds elapsed, want;
  };
  for (const Row row : {Row{0ms, 50ms}, Row{400ms, 50ms}, Row{501ms, 50ms}, Row{800ms, 80ms},
                        Row{5s, 500ms}, Row{20s, 2s}, Row{10min, 2s}}) {
    CAPTURE(row.elapsed.count());
    CHECK(poll_delay(row.elapsed) == row.want);
  }
}

TEST_CASE("the pause before another submit doubles, with jitter, up to eight seconds") {
  CHECK(submit_backoff(1, 0.5) == 250ms);
  CHECK(submit_backoff(2, 0.5) == 500ms);
  CHECK(submit_backoff(1, 0.0) == 187ms);
  CHECK(submit_backoff(1, 0.999) <= 313ms);
  CHECK(submit_backoff(60, 0.5) == 8s);
}

TEST_CASE("a job whose stream says COMPLETED is fetched at once") {
  Story story;
  CHECK(story.on(event::Started{}) == Kind::acquire_key);
  CHECK(story.on(event::KeyGranted{2}) == Kind::submit);
  story.pass(900us);
  CHECK(story.on(accepted()) == Kind::hold);
  REQUIRE(story.action.report.has_value());
  CHECK(story.action.report->outcome == KeyOutcome::accepted);
  CHECK(story.job.status().queue_position == 3);
  story.pass(1s);
  CHECK(story.on(in_queue) == Kind::keep_holding);
  story.pass(1s);
  CHECK(story.on(in_progress) == Kind::keep_holding);
  story.pass(3s);
  CHECK(story.on(completed) == Kind::fetch);
  story.pass(20ms);
  CHECK(story.on(result) == Kind::finished);

  CHECK(story.fate() == Fate::result);
  REQUIRE(story.job.end().result != nullptr);
  CHECK(*story.job.end().result == R"({"images":[]})");
  const JobReceipt& receipt = story.job.receipt();
  CHECK(receipt.fal_request_id == "r1");
  CHECK(receipt.endpoint == "fal-ai/flux/dev");
  CHECK(receipt.key_slot == 2);
  CHECK(receipt.submits == 1);
  CHECK(receipt.accepted);
  CHECK(receipt.billable_units == 1.5);
  CHECK(receipt.submit == 900us);
  CHECK(receipt.queue == 2s);
  CHECK(receipt.inference == 3s);
  CHECK(receipt.result == 20ms);
}

TEST_CASE("fal's own measure of the inference wins over what was seen of it") {
  Story story;
  story.accept();
  story.pass(5s);
  event::StatusSaid done = completed;
  done.status.inference_seconds = 1.25;
  story.on(done);
  story.on(result);
  CHECK(story.job.receipt().inference == 1250ms);
  CHECK(story.job.receipt().queue == 3750ms);
}

TEST_CASE(
    "a stream that is refused, ends early or falls silent is followed by polling, the first look "
    "at once") {
  Story story;
  story.accept();
  story.pass(4s);
  CHECK(story.on(event::HoldEnded{}) == Kind::look);
  CHECK(story.on(look_in_progress) == Kind::wait);
  CHECK(story.waiting() == 400ms);
  CHECK(story.wait() == Kind::look);
  CHECK(story.on(look_completed) == Kind::fetch);
  CHECK(story.on(result) == Kind::finished);
  CHECK(story.fate() == Fate::result);
}

TEST_CASE(
    "a job that finds no room for its stream looks, and asks for room again before each look") {
  Story story;
  story.accept();
  CHECK(story.on(event::HoldDenied{}) == Kind::look);
  CHECK(story.on(look_in_progress) == Kind::wait);
  CHECK(story.wait() == Kind::hold);
  CHECK(story.on(event::HoldDenied{}) == Kind::look);
  CHECK(story.on(look_in_progress) == Kind::wait);
  CHECK(story.wait() == Kind::hold);
  CHECK(story.on(in_progress) == Kind::keep_holding);
  CHECK(story.on(event::HoldEnded{}) == Kind::look);
  CHECK(story.on(look_in_progress) == Kind::wait);
  CHECK(story.wait() == Kind::look);  // a stream that has failed once is not tried again
}

TEST_CASE("a job whose status cannot be read asks for no stream") {
  Story story;
  story.accept();
  CHECK(story.on(event::HoldDenied{}) == Kind::look);
  CHECK(story.on(answered(403, R"({"detail":"User is locked."})")) == Kind::wait);
  CHECK(story.wait() == Kind::look);
  CHECK(story.on(look_in_progress) == Kind::wait);
  CHECK(story.wait() == Kind::hold);
}

TEST_CASE("polling looks at once and then ever more rarely") {
  Story story(Route::queue_poll);
  CHECK(story.accept() == Kind::look);
  int looks = 0;
  Milliseconds longest{0};
  const TimePoint begin = story.now;
  while (story.now - begin < 60s) {
    CHECK(story.on(look_in_progress) == Kind::wait);
    longest = std::max(longest, story.waiting());
    CHECK(story.wait() == Kind::look);
    ++looks;
  }
  CHECK(longest == 2s);
  CHECK(looks > 30);
  CHECK(looks < 80);
}

TEST_CASE("fal.run is one exchange") {
  Story story(Route::run);
  story.on(event::Started{});
  CHECK(story.on(key) == Kind::submit);
  story.pass(2s);
  CHECK(story.on(answered(200, R"({"images":[]})", {{"x-fal-request-id", "r9"}})) ==
        Kind::finished);
  CHECK(story.fate() == Fate::result);
  CHECK(story.job.receipt().fal_request_id == "r9");
  CHECK(story.job.receipt().inference == 2s);
}

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
      {},                                              // holding
      {in_progress},                                   // still holding
      {event::HoldEnded{}},                            // about to look
      {event::HoldEnded{}, look_in_progress},          // between looks
      {event::HoldDenied{}, look_in_progress},         // the same
      {completed},                                     // about to fetch
      {completed, lost(TransportFault::interrupted)},  // about to fetch again
  };
  for (const std::vector<Event>& way : ways) {
    CAPTURE(way.size());
    Story story;
    story.accept();
    for (const Event& event : way) story.on(event);
    CHECK(story.on(event::Stopped{}) == Kind::cancel);
    CHECK(story.on(answered(400, R"({"status":"ALREADY_COMPLETED"})")) == Kind::finished);
    CHECK(story.error().kind == ErrorKind::cancelled);
    CHECK(story.fate() == Fate::cancelled);
  }
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
  Story story;
  story.accept();
  story.on(event::Stopped{});
  CHECK(story.on(lost(TransportFault::timed_out)) == Kind::cancel);
  CHECK(story.on(answered(503, "")) == Kind::finished);
  CHECK(story.fate() == Fate::abandoned);
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

TEST_CASE("a web page in place of the result is not the result") {
  Story story;
  story.accept();
  story.on(completed);
  CHECK(story.on(answered(200, "<html>maintenance</html>")) == Kind::wait);
  CHECK(story.wait() == Kind::fetch);
  CHECK(story.on(result) == Kind::finished);
  CHECK(story.fate() == Fate::result);
}

TEST_CASE("a job that fal no longer knows is given up after half a minute") {
  Story story(Route::queue_poll);
  story.accept();
  const TimePoint begin = story.now;
  while (story.on(answered(404, R"({"status":"NOT_FOUND"})")) == Kind::wait) story.wait();
  CHECK(story.now - begin >= 30s);
  CHECK(story.now - begin < 40s);
  CHECK(story.fate() == Fate::abandoned);
  CHECK(story.error().kind == ErrorKind::upstream_failed);
}

TEST_CASE("an address on another host ends the job before a key goes there") {
  Story story;
  story.on(event::Started{});
  story.on(key);
  const char* const body =
      R"({"request_id":"r1","status_url":"https://evil.example/status","response_url":"https://queue.fal.run/a/b/requests/r1",)"
      R"("cancel_url":"https://queue.fal.run/a/b/requests/r1/cancel"})";
  CHECK(story.on(answered(200, body)) == Kind::finished);
  CHECK(story.error().kind == ErrorKind::upstream_untrusted_url);
  CHECK(story.error().submitted);
  CHECK(story.fate() == Fate::abandoned);
  CHECK(story.error().fal_request_id == "r1");
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

namespace {

// A fal that does anything at all, by the dice.
class WildFal {
 public:
  explicit WildFal(std::uint64_t seed) : random_(seed) {}

  Event respond(const Action& action) {
    switch (action.kind) {
      case Kind::acquire_key:
        if (one_in(6)) return resting(Milliseconds(static_cast<int>(random_() * 4000)));
        return event::KeyGranted{static_cast<std::size_t>(random_() * 3)};
      case Kind::wait:
        return event::Woken{};
      case Kind::hold:
      case Kind::keep_holding:
        if (action.kind == Kind::hold && one_in(4)) return event::HoldDenied{};
        if (one_in(4)) return event::HoldEnded{};
        return one_in(3) ? completed : one_in(2) ? in_queue : in_progress;
      case Kind::submit:
      case Kind::look:
      case Kind::fetch:
      case Kind::cancel:
      case Kind::finished:
        break;
    }
    if (one_in(5)) {
      return lost(static_cast<TransportFault>(static_cast<int>(random_() * 5)), one_in(2));
    }
    const HttpHeaders headers = one_in(2) ? HttpHeaders{{"x-fal-request-id", "r1"}} : HttpHeaders{};
    return answered(
        pick<int>({200, 200, 200, 202, 302, 400, 401, 403, 404, 422, 429, 500, 502, 503, 504}),
        pick<std::string>({accepted_body, accepted_body, R"({"status":"COMPLETED"})",
                           R"({"status":"IN_PROGRESS"})", R"({"images":[]})", "<html>", "",
                           R"({"detail":"locked"})",
                           R"({"detail":[{"loc":["body"],"msg":"m","type":"t"}]})"}),
        headers);
  }
  bool one_in(int n) { return random_() * n < 1; }
  Milliseconds some_time() { return Milliseconds(static_cast<int>(random_() * 300)); }

 private:
  template <class T>
  T pick(std::vector<T> values) {
    return values[static_cast<std::size_t>(random_() * static_cast<double>(values.size()))];
  }
  testing::FixedRandom random_;
};

bool may_have_arrived(const Event& event) {
  if (const auto* no_answer = std::get_if<event::NoAnswer>(&event)) {
    return !no_answer->error.nothing_sent && no_answer->error.fault != TransportFault::unreachable;
  }
  const auto* answer = std::get_if<event::Answered>(&event);
  return answer != nullptr && answer->head.status < 400;
}

}  // namespace

TEST_CASE(
    "whatever fal does, a job ends in time, is submitted once, and is not left running untold") {
  for (const Route route :
       {Route::queue_stream, Route::queue_poll, Route::run, Route::model_stream}) {
    for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
      CAPTURE(seed);
      CAPTURE(static_cast<int>(route));
      WildFal fal(seed);
      Story story(route, 60s);
      const TimePoint deadline = story.now + 60s;
      const bool leaves = fal.one_in(3);
      bool perhaps_there = false, told_to_stop = false;
      int steps = 0, fetches = 0, cancels = 0, submits = 0;
      Event event = event::Started{};
      while (story.on(event) != Kind::finished) {
        REQUIRE(++steps < 5000);
        const Kind kind = story.action.kind;
        if (leaves && !told_to_stop && kind != Kind::cancel && fal.one_in(10)) {
          told_to_stop = true;
          event = event::Stopped{};
          continue;
        }
        REQUIRE_FALSE((kind == Kind::submit && perhaps_there));
        const bool queued = story.job.submitted().has_value();
        REQUIRE((queued || (kind != Kind::hold && kind != Kind::look && kind != Kind::fetch &&
                            kind != Kind::cancel)));
        if (kind == Kind::wait) REQUIRE(story.action.until <= deadline);
        submits += kind == Kind::submit ? 1 : 0;
        fetches += kind == Kind::fetch ? 1 : 0;
        cancels += kind == Kind::cancel ? 1 : 0;
        story.now = kind == Kind::wait ? std::max(story.now, story.action.until)
                                       : story.now + fal.some_time();
        event = fal.respond(story.action);
        if (kind == Kind::submit) perhaps_there = perhaps_there || may_have_arrived(event);
      }
      const JobReceipt& receipt = story.job.receipt();
      const Fate fate = story.fate();
      REQUIRE(receipt.submits == submits);
      REQUIRE((fate == Fate::none) == (submits == 0));
      REQUIRE((fate == Fate::result) == (story.job.end().result != nullptr));
      REQUIRE(story.now <= deadline + 2s);
      REQUIRE(cancels <= 2);
      if (fate == Fate::cancelled) REQUIRE(cancels >= 1);
      if (fate == Fate::result && story.job.submitted().has_value()) REQUIRE(fetches >= 1);
      if (fate != Fate::result) {
        REQUIRE_FALSE(story.error().message.empty());
        REQUIRE((story.error().submitted || !receipt.accepted));
        REQUIRE((story.error().submitted || fate != Fate::abandoned));
      }
    }
  }
}

}  // namespace falproxy::gateway
