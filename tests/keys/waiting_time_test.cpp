#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <functional>
#include <optional>
#include <queue>
#include <vector>

#include "falproxy/key_ring.hpp"
#include "falproxy/test_doubles.hpp"

using namespace falproxy;
using namespace falproxy::testing;

namespace {

constexpr std::size_t accounts = 4;
constexpr std::size_t slots = 2;  // jobs that an account runs at once; more wait at fal
constexpr int jobs = 20'000;
constexpr double job_seconds = 5.3;
constexpr double load = 0.75;

// Chooses an account for a job that comes at `now`, and keeps it until the job ends at the time
// that it is told.
struct Chooser {
  std::function<std::size_t(double now)> choose;
  std::function<void(std::size_t account, double end)> ends_at = [](std::size_t, double) {};
};

double exponential(FixedRandom& random, double mean) { return -mean * std::log(1.0 - random()); }

// The mean time in seconds that a job waits for a slot of its account. Each run has the same
// arrivals and lengths.
double mean_wait(const Chooser& chooser) {
  FixedRandom random(7);
  std::array<std::array<double, slots>, accounts> free_at{};
  double now = 0, waited = 0;
  for (int i = 0; i < jobs; ++i) {
    now += exponential(random, job_seconds / (load * accounts * slots));
    const double length = exponential(random, job_seconds);
    const std::size_t account = chooser.choose(now);
    double& slot = *std::ranges::min_element(free_at[account]);
    const double begin = std::max(now, slot);
    waited += begin - now;
    slot = begin + length;
    chooser.ends_at(account, slot);
  }
  return waited / jobs;
}

// What falproxy does: a lease from before the submit until the result.
double mean_wait_with_key_ring() {
  KeyRing ring({{Secret("a")}, {Secret("b")}, {Secret("c")}, {Secret("d")}}, {},
               [] { return 0.5; });
  struct Job {
    double end;
    KeyLease lease;
  };
  const auto later = [](const Job& a, const Job& b) { return a.end > b.end; };
  std::vector<Job> running;
  std::optional<KeyLease> taken;
  return mean_wait({.choose =
                        [&](double now) {
                          while (!running.empty() && running.front().end <= now) {
                            std::ranges::pop_heap(running, later);
                            running.pop_back();
                          }
                          taken = *ring.acquire(VirtualClock::epoch());
                          return taken->slot();
                        },
                    .ends_at =
                        [&](std::size_t, double end) {
                          running.push_back({end, *std::move(taken)});
                          std::ranges::push_heap(running, later);
                        }});
}

}  // namespace

TEST_CASE(
    "fewest in flight first makes jobs wait far less than taking turns, and that less than "
    "chance") {
  FixedRandom random(3);
  std::size_t turn = 0;
  const double by_chance =
      mean_wait({.choose = [&](double) { return static_cast<std::size_t>(random() * accounts); }});
  const double in_turn = mean_wait({.choose = [&](double) { return turn++ % accounts; }});
  const double fewest = mean_wait_with_key_ring();
  MESSAGE("mean wait: by chance ", by_chance, " s, in turn ", in_turn, " s, fewest in flight ",
          fewest, " s");
  CHECK(fewest < in_turn / 2);
  CHECK(in_turn < by_chance / 1.5);
}
