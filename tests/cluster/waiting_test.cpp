// A model of who waits how long for a place at an account, in virtual time: one ring of waiters
// against several that share the places. It has the rules of KeyRing, and none of its code: within
// a ring whoever came first is first; a place that is given back is asked for at once by the first
// of its own ring, and the first of each other ring asks every 25 ms, a quarter more or less.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <queue>
#include <random>
#include <utility>
#include <vector>

namespace falproxy {
namespace {

// Milliseconds.
class Crossing {
 public:
  // The same seed gives the same jobs, to however many rings.
  Crossing(unsigned seed, std::size_t rings, double job_time, double load)
      : random_(seed), waiting_(rings), asks_(rings) {
    double when = 0;
    for (int i = 0; i < jobs; ++i) {
      when += std::exponential_distribution<>(places * load / job_time)(random_);
      const double took = job_time * std::uniform_real_distribution<>(0.5, 1.5)(random_);
      at(when, [this, ring = static_cast<std::size_t>(i) % rings, took] {
        arrive(ring, {.since = now_, .took = took});
      });
    }
  }
  // Until jobs begin, on average.
  double run() {
    while (!events_.empty()) {
      const auto [when, number] = events_.top();
      events_.pop();
      now_ = when;
      const auto event = std::move(actions_.at(number));
      actions_.erase(number);
      event();
    }
    return waited_ / jobs;
  }

 private:
  struct Job {
    double since;  // when it came
    double took;   // at fal
  };

  static constexpr int places = 4, jobs = 2'000;
  static constexpr double ask_again = 25;

  void at(double when, std::function<void()> event) {
    events_.emplace(when, next_);
    actions_.emplace(next_++, std::move(event));
  }
  void arrive(std::size_t ring, const Job& job) {
    waiting_[ring].push_back(job);
    if (waiting_[ring].size() == 1) ask(ring);
  }
  // The first of the ring; who begins makes room for the next one, who asks in turn.
  void ask(std::size_t ring) {
    while (!waiting_[ring].empty() && taken_ < places) {
      ++taken_;
      const Job job = waiting_[ring].front();
      waiting_[ring].pop_front();
      waited_ += now_ - job.since;
      at(now_ + job.took, [this, ring] {
        --taken_;
        ask(ring);
      });
    }
    if (waiting_[ring].empty() || asks_[ring]) return;
    asks_[ring] = true;
    at(now_ + ask_again * std::uniform_real_distribution<>(0.75, 1.25)(random_), [this, ring] {
      asks_[ring] = false;
      ask(ring);
    });
  }

  std::mt19937 random_;
  std::vector<std::deque<Job>> waiting_;
  std::vector<bool> asks_;
  double now_ = 0, waited_ = 0;
  int next_ = 0, taken_ = 0;
  std::priority_queue<std::pair<double, int>, std::vector<std::pair<double, int>>, std::greater<>>
      events_;
  std::map<int, std::function<void()>> actions_;
};

double mean_wait(std::size_t rings, double job_time, double load) {
  double sum = 0;
  constexpr unsigned runs = 5;
  for (unsigned seed = 0; seed < runs; ++seed) sum += Crossing(seed, rings, job_time, load).run();
  return sum / runs;
}

}  // namespace

TEST_CASE("an account's jobs wait as long at three replicas as at one, within a tenth") {
  for (const double job_time : {1'000.0, 3'000.0}) {
    for (const double load : {0.8, 0.95, 1.2}) {
      CAPTURE(job_time);
      CAPTURE(load);
      const double one = mean_wait(1, job_time, load), three = mean_wait(3, job_time, load);
      MESSAGE("jobs of ", job_time, " ms at a load of ", load, ": ", one, " ms, and ", three,
              " ms at three replicas");
      CHECK(three <= 1.1 * one);
    }
  }
}

}  // namespace falproxy
