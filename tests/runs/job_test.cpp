// How a job goes where nothing fails, and how its end is learned of.
#include <doctest/doctest.h>

#include "runs/story.hpp"

namespace falproxy::inline v0::runs {

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

TEST_CASE("half a result is not the result: it is read again until it is whole") {
  for (const char* const half :
       {R"({"images":[{"url":"https://v3.fal.me)", R"({"images":[{"url":"a.png"}])",
        R"({"images":[{"url":"a}]}"}], "seed": 4)", "{", "", " ", "[]]",
        "<html>maintenance</html>"}) {
    CAPTURE(std::string(half));
    Story story;
    story.accept();
    CHECK(story.on(completed) == Kind::fetch);
    CHECK(story.on(answered(200, half)) == Kind::wait);
    CHECK(story.wait() == Kind::fetch);
    CHECK(story.on(result) == Kind::finished);
    CHECK(story.fate() == Fate::result);
  }
}

TEST_CASE("a result is whole if its brackets are, whatever its texts hold") {
  for (const char* const whole :
       {R"({"images":[]})", " [ ]\r\n", R"({"a":"}]\"{"})", R"({"a":{"b":[1,{}]}})", "{}"}) {
    CAPTURE(std::string(whole));
    Story story;
    story.accept();
    story.on(completed);
    CHECK(story.on(answered(200, whole)) == Kind::finished);
    CHECK(story.fate() == Fate::result);
  }
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

}  // namespace falproxy::inline v0::runs
