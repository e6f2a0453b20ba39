#include "feed.hpp"

#include <doctest/doctest.h>

#include <string>

#include "falproxy/test_doubles.hpp"

namespace falproxy::app {
namespace {

using Kind = Feed::Kind;
using namespace std::chrono_literals;

Product picture(std::string base64) { return {.content = Body(std::move(base64))}; }

Body written(const Product& product, std::optional<int>, std::optional<Usd> cost) {
  Body body = product.content;
  if (cost) body.append(" for " + cost->to_string());
  return body;
}

Outcome good_end() { return {.response = std::vector<Product>(1), .receipt = {}}; }

struct Ticking {
  testing::VirtualClock clock;
  Feed feed;
  explicit Ticking(Kind kind) : feed(clock, kind, 10s, written) {}
  [[nodiscard]] auto passed() const { return clock.now() - testing::VirtualClock::epoch(); }
  void after(TimePoint::duration time, std::function<void()> what) {
    clock.at(testing::VirtualClock::epoch() + time, std::move(what));
  }
};

TEST_CASE("an answer that is ready before the first sign of life has a status of its own") {
  Ticking t(Kind::blanks);
  t.after(9s, [&] { t.feed.end(good_end()); });
  CHECK_FALSE(t.feed.wait_to_begin());
  CHECK(t.passed() == 9s);
  CHECK(t.feed.next().empty());
}

TEST_CASE("a slow answer's line is kept open by a blank every interval, and by nothing else") {
  Ticking t(Kind::blanks);
  t.after(1s, [&] { t.feed.accepted({.model = "m", .fal_request_ids = {"a"}}); });
  t.after(2s, [&] { t.feed.running(); });
  t.after(25s, [&] { t.feed.end(good_end()); });
  REQUIRE(t.feed.wait_to_begin());
  CHECK(t.passed() == 10s);
  CHECK(t.feed.underway()->model == "m");
  CHECK(t.feed.next().str() == " ");
  CHECK(t.passed() == 10s);
  CHECK(t.feed.next().str() == " ");
  CHECK(t.passed() == 20s);
  CHECK(t.feed.next().empty());
  CHECK(t.passed() == 25s);
}

TEST_CASE("a stream begins once fal has all jobs and tells of them, and says it again in time") {
  Ticking t(Kind::events);
  t.after(1s, [&] { t.feed.accepted({.model = "m", .fal_request_ids = {"a"}, .jobs = 2}); });
  t.after(2s, [&] { t.feed.queued(3); });
  t.after(3s, [&] { t.feed.accepted({.model = "m", .fal_request_ids = {"a", "b"}, .jobs = 2}); });
  t.after(4s, [&] { t.feed.running(); });
  t.after(5s, [&] { t.feed.running(); });
  t.after(15s, [&] { t.feed.end(good_end()); });
  REQUIRE(t.feed.wait_to_begin());
  CHECK(t.passed() == 4s);
  CHECK(t.feed.underway()->fal_request_ids.size() == 2);
  CHECK(t.feed.next().str() == ": running\n\n");
  CHECK(t.feed.next().str() == ": running\n\n");
  CHECK(t.passed() == 14s);
  CHECK(t.feed.next().empty());
  CHECK(t.feed.rest().empty());
}

TEST_CASE("a picture goes out as soon as it is there, but the last one with the end") {
  Ticking t(Kind::events);
  t.after(1s, [&] { t.feed.completed(picture("first"), true); });
  t.after(2s, [&] {
    t.feed.completed(picture("second"), false);
    t.feed.completed(picture("last"), false);
    t.feed.end(good_end());
  });
  REQUIRE(t.feed.wait_to_begin());
  CHECK(t.passed() == 1s);
  CHECK(t.feed.next().str().find("first") != std::string::npos);
  CHECK(t.feed.next().empty());
  const std::string rest = t.feed.rest(Usd{20'000'000}).str();
  // The last one alone tells what all cost.
  CHECK(rest == "secondlast for 0.02");
  CHECK(t.feed.picture_bytes() > rest.size());
}

TEST_CASE("what a slow client does not take gives way to the next, but for what is paid") {
  Ticking t(Kind::events);
  for (int i = 0; i < 100; ++i) {
    t.feed.preview(picture("partial" + std::to_string(i)), i);
    t.feed.queued(i);
  }
  for (int i = 0; i < 3; ++i) t.feed.completed(picture("done" + std::to_string(i)), true);
  REQUIRE(t.feed.wait_to_begin());
  const std::string sent = t.feed.next().str();
  CHECK(sent.find("queue position 99") != std::string::npos);
  CHECK(sent.find("queue position 98") == std::string::npos);
  CHECK(sent.find("partial99") != std::string::npos);
  CHECK(sent.find("partial98") == std::string::npos);
  for (const char* done : {"done0", "done1", "done2"}) CHECK(sent.find(done) != std::string::npos);
}

}  // namespace
}  // namespace falproxy::app
