// Places at accounts that several rings share.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "falproxy/key_ring.hpp"
#include "falproxy/system_clock.hpp"

using namespace falproxy;

namespace {

// What all processes share, as Redis would.
struct Town {
  std::mutex mutex;
  std::map<std::string, std::set<std::string>> places;
  std::size_t most = 0;
  int asked = 0;
  bool is_away = false;
  std::size_t processes = 1;
};

class Neighbours final : public Peers {
 public:
  Neighbours(Town& town, std::uint8_t number) : town_(town) { self_.bytes[0] = number; }

  const RunId& self() const noexcept override { return self_; }
  bool is_gone(const RunId& /*process*/) const override { return false; }
  std::size_t count() const override { return town_.processes; }
  std::uint64_t departures() const override { return 0; }
  void take_place(const std::string& account, const std::string& ticket, int limit,
                  TimePoint /*deadline*/, StateStore::Callback<bool> done) override {
    std::unique_lock lock(town_.mutex);
    if (town_.is_away) {
      lock.unlock();
      return done(StoreError{});
    }
    ++town_.asked;
    std::set<std::string>& taken = town_.places[account];
    const bool has = taken.size() < static_cast<std::size_t>(limit);
    if (has) taken.insert(ticket);
    town_.most = std::max(town_.most, taken.size());
    lock.unlock();
    done(has);
  }
  void give_back(const std::string& account, const std::string& ticket) override {
    const std::lock_guard lock(town_.mutex);
    town_.places[account].erase(ticket);
  }

 private:
  Town& town_;
  RunId self_;
};

std::vector<std::vector<Secret>> two_keys(bool turned = false) {
  return {{Secret(turned ? "b:2" : "a:1"), Secret(turned ? "a:1" : "b:2")}};
}

}  // namespace

TEST_CASE("rings that share an account keep its limit together, and each job has its turn") {
  Town town;
  town.processes = 3;
  SystemClock clock;
  std::vector<std::unique_ptr<Neighbours>> neighbours;
  std::vector<std::unique_ptr<KeyRing>> rings;
  for (std::uint8_t i = 0; i < 3; ++i) {
    neighbours.push_back(std::make_unique<Neighbours>(town, i + 1));
    rings.push_back(std::make_unique<KeyRing>(
        two_keys(i == 1),
        KeyRing::Options{.max_jobs_per_account = 4, .peers = neighbours.back().get()}));
  }
  std::atomic<int> done = 0;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 15; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        const auto lease = rings[t % 3]->acquire_or_wait(clock, no_deadline, {});
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        done += lease.has_value() ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(done == 150);
  CHECK(town.most == 4);
  CHECK(town.places.size() == 1);  // whatever the order of its keys
  CHECK(town.places.begin()->second.empty());
}

TEST_CASE("while nothing can be shared a ring has its share, and at least one place") {
  Town town;
  town.is_away = true;
  town.processes = 3;
  Neighbours neighbours(town, 1);
  SystemClock clock;
  KeyRing ring(two_keys(), {.max_jobs_per_account = 7, .peers = &neighbours});
  const TimePoint soon = clock.now() + Seconds(1);
  std::vector<KeyLease> leases;
  for (auto lease = ring.acquire_or_wait(clock, soon, {}); lease.has_value();
       lease = ring.acquire_or_wait(clock, soon, {}))
    leases.push_back(*std::move(lease));
  CHECK(leases.size() == 2);
  leases.pop_back();
  CHECK(ring.acquire_or_wait(clock, clock.now() + Seconds(5), {}).has_value());

  town.processes = 20;
  KeyRing alone(two_keys(), {.max_jobs_per_account = 7, .peers = &neighbours});
  CHECK(alone.acquire_or_wait(clock, clock.now() + Seconds(5), {}).has_value());
}

TEST_CASE("what counts against no limit asks nobody, and many that wait ask as one") {
  Town town;
  Neighbours neighbours(town, 1);
  SystemClock clock;
  KeyRing ring(two_keys(), {.max_jobs_per_account = 1, .peers = &neighbours});
  const auto upload = ring.acquire_or_wait(clock, no_deadline, {}, {.counted = false});
  CHECK(town.asked == 0);

  {
    // Somebody else has the only place.
    const auto mine = ring.acquire_or_wait(clock, no_deadline, {});
    REQUIRE(town.places.size() == 1);
    const std::lock_guard lock(town.mutex);
    town.places.begin()->second.insert("of another process");
  }
  const int before = town.asked;
  std::vector<std::thread> threads;
  for (int i = 0; i < 40; ++i) {
    threads.emplace_back([&] {
      CHECK_FALSE(ring.acquire_or_wait(clock, clock.now() + Milliseconds(300), {}).has_value());
    });
  }
  for (std::thread& thread : threads) thread.join();
  // One asks each 25 ms or so, and not forty: that would be some 480.
  CHECK(town.asked - before < 200);
}
