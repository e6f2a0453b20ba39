// What fal has said of a key to one of several rings.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "falproxy/key_ring.hpp"
#include "falproxy/test_doubles.hpp"

using namespace falproxy;

namespace {

using Kind = KeyBan::Kind;
using State = AccountStatus::State;
constexpr Milliseconds probe_after = std::chrono::minutes(5);

// What all processes have heard, as soon as it is told.
struct Village {
  testing::VirtualClock clock;
  std::map<std::pair<Kind, std::string>, KeyBan> bans, later;
  std::uint64_t news = 0;
  int stamps = 0, probes_asked = 0;
  bool is_away = false;
};

class Villager final : public Peers {
 public:
  Villager(Village& village, std::uint8_t number) : village_(village) { self_.bytes[0] = number; }
  const RunId& self() const noexcept override { return self_; }
  bool is_gone(const RunId& /*process*/) const override { return false; }
  std::size_t count() const override { return 2; }
  std::uint64_t departures() const override { return 0; }
  void take_place(const std::string& /*account*/, const std::string& /*ticket*/, int /*limit*/,
                  TimePoint /*deadline*/, Callback<bool> done) override {
    done(true);
  }
  void give_back(const std::string& /*account*/, const std::string& /*ticket*/) override {}
  std::string tell(const KeyBan& ban) override {
    KeyBan& told = village_.bans[{ban.kind, ban.name}] = ban;
    ++village_.news;
    return told.stamp = std::to_string(++village_.stamps);
  }
  void lift(Kind kind, const std::string& name) override {
    village_.bans.erase({kind, name});
    ++village_.news;
  }
  std::vector<KeyBan> bans() const override {
    std::vector<KeyBan> all;
    for (const auto& [name, ban] : village_.bans) all.push_back(ban);
    return all;
  }
  std::uint64_t news() const override { return village_.news; }
  void take_probe(Kind kind, const std::string& name, TimePoint /*deadline*/,
                  Callback<Milliseconds> done) override {
    ++village_.probes_asked;
    if (village_.is_away) return done(StoreError{});
    const auto ban = village_.bans.find({kind, name});
    if (ban == village_.bans.end()) return done(Milliseconds(0));
    const TimePoint now = village_.clock.now();
    if (ban->second.until > now)
      return done(std::chrono::ceil<Milliseconds>(ban->second.until - now));
    tell({.kind = kind, .name = name, .until = now + Seconds(30)});
    done(Milliseconds(0));
  }

 private:
  Village& village_;
  RunId self_;
};

// Two processes over one village, each with two accounts; the first has two keys.
struct Rings {
  Rings() {
    for (std::uint8_t i = 0; i < 2; ++i) {
      villagers.push_back(std::make_unique<Villager>(village, i + 1));
      rings.push_back(std::make_unique<KeyRing>(keys(), options(i), [] { return 0.5; }));
    }
  }
  static std::vector<std::vector<Secret>> keys() {
    return {{Secret("a:1"), Secret("b:2")}, {Secret("c:3")}};
  }
  [[nodiscard]] KeyRing::Options options(std::size_t i) const {
    return {.max_jobs_per_account = 100, .peers = villagers[i].get()};
  }
  // Of the keys that are not `except`.
  Result<KeyLease> take(std::size_t ring, std::vector<std::size_t> except) {
    return rings[ring]->acquire_or_wait(village.clock, village.clock.now() + Seconds(1), {},
                                        {.except = except});
  }
  bool says(std::size_t ring, std::vector<std::size_t> except, KeyOutcome outcome,
            std::optional<Milliseconds> retry_after = {}) {
    auto lease = take(ring, std::move(except));
    REQUIRE(lease.has_value());
    return lease->report(outcome, village.clock.now(), retry_after);
  }
  State state(std::size_t ring, std::size_t account) {
    return rings[ring]->status(village.clock.now())[account].state;
  }

  Village village;
  std::vector<std::unique_ptr<Villager>> villagers;
  std::vector<std::unique_ptr<KeyRing>> rings;
};

const std::vector<std::size_t> first_account{2}, second_account{0, 1}, first_key{1, 2};

}  // namespace

TEST_CASE("an account that fal has blocked is left alone by all rings, and one alone probes it") {
  Rings world;
  CHECK(world.says(0, second_account, KeyOutcome::account_blocked));
  CHECK(world.state(1, 1) == State::blocked);
  const auto refused = world.take(1, second_account);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind == ErrorKind::keys_out);
  CHECK(refused.error().retry_after == probe_after);
  CHECK(world.take(1, first_account).has_value());

  world.village.clock.advance(probe_after);
  {
    auto probe = world.take(1, second_account);
    REQUIRE(probe.has_value());
    CHECK_FALSE(world.take(0, second_account).has_value());
    CHECK_FALSE(world.take(1, second_account).has_value());
    probe->report(KeyOutcome::account_blocked, world.village.clock.now());
  }
  world.village.clock.advance(Seconds(60));
  for (const std::size_t ring : {0U, 1U}) CHECK_FALSE(world.take(ring, second_account).has_value());

  world.village.clock.advance(probe_after);
  CHECK(world.says(0, second_account, KeyOutcome::accepted));
  CHECK(world.village.bans.empty());
  // It is trusted step by step, also by who has only heard of it.
  CHECK(world.state(1, 1) == State::ready);
  const auto one = world.take(1, second_account);
  CHECK(one.has_value());
  CHECK_FALSE(world.take(1, second_account).has_value());
}

TEST_CASE("a key that fal has refused to one ring is used by none, and others of its account are") {
  Rings world;
  CHECK(world.says(0, first_key, KeyOutcome::refused));
  for (int i = 0; i < 4; ++i) {
    const auto lease = world.take(1, first_account);
    REQUIRE(lease.has_value());
    CHECK(lease->slot() == 1);
  }
  world.village.clock.advance(probe_after);
  const auto probe = world.take(0, first_key);
  REQUIRE(probe.has_value());
  CHECK_FALSE(world.take(1, first_key).has_value());
}

TEST_CASE("a probe whose process is gone is sent by another half a minute later") {
  Rings world;
  world.says(0, second_account, KeyOutcome::account_blocked);
  world.village.clock.advance(probe_after);
  const auto probe = world.take(0, second_account);
  REQUIRE(probe.has_value());
  world.village.clock.advance(Seconds(29));
  CHECK_FALSE(world.take(1, second_account).has_value());
  world.village.clock.advance(Seconds(1));
  CHECK(world.take(1, second_account).has_value());
}

TEST_CASE("a key rests for all rings, and the longer the more of them were pushed back") {
  Rings world;
  world.says(0, second_account, KeyOutcome::rate_limited, Seconds(20));
  const auto resting = world.take(1, second_account);
  REQUIRE_FALSE(resting.has_value());
  CHECK(resting.error().kind == ErrorKind::keys_resting);
  CHECK(resting.error().retry_after == Seconds(20));
  // Without a time of fal's each doubles the last one, whoever had that.
  for (const int seconds : {2, 4, 8}) {
    world.village.clock.advance(Seconds(20));
    const std::size_t ring = seconds == 4 ? 0 : 1;
    world.says(ring, second_account, KeyOutcome::rate_limited);
    CHECK(world.take(1 - ring, second_account).error().retry_after == Seconds(seconds));
  }
}

TEST_CASE("several jobs that are pushed back at once are told of once") {
  Rings world;
  std::vector<KeyLease> leases;
  for (int i = 0; i < 5; ++i) leases.push_back(*world.take(0, second_account));
  for (KeyLease& lease : leases) {
    world.village.clock.advance(Milliseconds(3));
    lease.report(KeyOutcome::rate_limited, world.village.clock.now(), Seconds(20));
  }
  CHECK(world.village.stamps == 1);
}

TEST_CASE("what the operator of one server has mended is tried again by all") {
  Rings world;
  world.says(0, second_account, KeyOutcome::account_blocked);
  world.says(0, first_key, KeyOutcome::refused);
  CHECK(world.state(1, 1) == State::blocked);
  world.rings[0]->reload(Rings::keys(), world.options(0));
  CHECK(world.take(1, first_key).has_value());
  const auto probe = world.take(1, second_account);
  CHECK(probe.has_value());
  CHECK_FALSE(world.take(0, second_account).has_value());
}

TEST_CASE("what was mended before a ring has heard of it is tried again, too") {
  for (const bool is_late : {false, true}) {
    CAPTURE(is_late);
    Rings world;
    world.says(0, second_account, KeyOutcome::account_blocked);
    world.says(0, first_key, KeyOutcome::refused);
    if (is_late) std::swap(world.village.bans, world.village.later);
    const std::uint64_t news = std::exchange(world.village.news, is_late ? 0 : 1);
    world.rings[1]->reload(Rings::keys(), world.options(1));
    if (is_late) std::swap(world.village.bans, world.village.later);
    world.village.news = news;
    CHECK(world.take(1, first_key).has_value());
    CHECK(world.says(1, second_account, KeyOutcome::accepted));
    // What fal says after that counts.
    CHECK(world.says(1, first_key, KeyOutcome::refused));
    CHECK_FALSE(world.take(1, first_key).has_value());
  }
}

TEST_CASE("a ring that hears of nobody probes by itself") {
  Rings world;
  world.says(0, second_account, KeyOutcome::account_blocked);
  world.village.clock.advance(probe_after);
  world.village.is_away = true;
  CHECK(world.says(0, second_account, KeyOutcome::accepted));
  CHECK(world.village.probes_asked == 1);
}
