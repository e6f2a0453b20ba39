#include "base/retry.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "falproxy/test_doubles.hpp"

namespace falproxy {
namespace {

using namespace std::chrono_literals;
const TimePoint begin = testing::VirtualClock::epoch();

// The pauses of an errand whose attempts take no time and all fail; at most `most` of them.
std::vector<Milliseconds> pauses(const RetryPolicy& policy, std::size_t most,
                                 TimePoint deadline = TimePoint::max(), double random = 0.5) {
  Retry retry(policy, begin, deadline);
  std::vector<Milliseconds> all;
  TimePoint now = begin;
  while (all.size() < most) {
    const std::optional<TimePoint> then = retry.next(now, random);
    if (!then.has_value()) break;
    all.push_back(std::chrono::duration_cast<Milliseconds>(*then - now));
    now = *then;
  }
  return all;
}

}  // namespace

TEST_CASE("each errand has its own pauses") {
  using Pauses = std::vector<Milliseconds>;
  CHECK(pauses(retry_policies::submit.at_most(4), 99) == Pauses{250ms, 500ms, 1s});
  CHECK(pauses(retry_policies::submit, 7) == Pauses{250ms, 500ms, 1s, 2s, 4s, 8s, 8s});
  CHECK(pauses(retry_policies::download, 99) == Pauses{250ms, 500ms, 1s, 2s, 4s, 8s, 16s});
  CHECK(pauses(retry_policies::document, 3) == Pauses{2s, 4s, 8s});
  CHECK(pauses(retry_policies::document, 50).back() == 5min);
  CHECK(pauses(retry_policies::connection, 99) == Pauses{0ms});
}

TEST_CASE("jitter takes or gives a quarter") {
  CHECK(pauses(retry_policies::submit, 1, TimePoint::max(), 0.0).front() == 187ms);
  CHECK(pauses(retry_policies::submit, 1, TimePoint::max(), 0.999).front() <= 313ms);
}

TEST_CASE("the pause between reads grows with the time that has passed") {
  const Retry retry(retry_policies::read, begin);
  struct Row {
    Milliseconds elapsed, want;
  };
  for (const Row row : {Row{0ms, 50ms}, Row{400ms, 50ms}, Row{501ms, 50ms}, Row{800ms, 80ms},
                        Row{5s, 500ms}, Row{20s, 2s}, Row{10min, 2s}}) {
    CAPTURE(row.elapsed.count());
    CHECK(retry.delay(begin + row.elapsed) == row.want);
  }
}

TEST_CASE("no pause goes beyond the deadline, and nothing is tried after it") {
  Retry retry(retry_policies::submit, begin, begin + 600ms);
  CHECK(retry.next(begin) == begin + 250ms);
  CHECK(retry.next(begin + 250ms) == begin + 600ms);
  CHECK(retry.exhausted(begin + 600ms));
  CHECK_FALSE(retry.next(begin + 600ms).has_value());
  retry.extend(begin + 10s);
  CHECK(retry.attempt() == 3);
  CHECK(retry.next(begin + 600ms) == begin + 1600ms);
}

TEST_CASE("patience is counted from the first attempt, however long the attempts take") {
  Retry retry(retry_policies::download, begin);
  CHECK(retry.next(begin + 29s).has_value());
  CHECK_FALSE(retry.next(begin + 30s).has_value());
}

TEST_CASE("a wait ends early when a stop is requested") {
  testing::VirtualClock clock;
  std::stop_source stop;
  Retry retry(retry_policies::download, clock.now());
  CHECK(retry.wait(clock, stop.get_token()));
  CHECK(clock.now() == begin + 250ms);
  stop.request_stop();
  CHECK_FALSE(retry.wait(clock, stop.get_token()));
}

}  // namespace falproxy
