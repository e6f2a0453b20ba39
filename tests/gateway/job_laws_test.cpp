// What holds of a job whatever fal does.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "gateway/story.hpp"

namespace falproxy::gateway {

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
