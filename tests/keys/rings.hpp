// rings.hpp: key rings to look at, and a clock that stands still.
#pragma once

#include <doctest/doctest.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "falproxy/key_ring.hpp"
#include "falproxy/test_doubles.hpp"

namespace falproxy::inline v0::testing {

inline constexpr TimePoint start = TimePoint(std::chrono::hours(1000));

inline std::vector<std::vector<Secret>> accounts_of(std::vector<std::vector<std::string>> names) {
  std::vector<std::vector<Secret>> accounts;
  for (std::vector<std::string>& group : names) {
    accounts.emplace_back();
    for (std::string& name : group) accounts.back().emplace_back(std::move(name));
  }
  return accounts;
}

inline double half() { return 0.5; }

inline KeyRing make_ring(std::vector<std::vector<std::string>> names,
                         KeyRing::Options options = {}) {
  return KeyRing(accounts_of(std::move(names)), options, half);
}

inline std::string name_of(const Result<KeyLease>& lease) {
  return lease ? std::string(lease->key().reveal()) : "none: " + lease.error().message;
}

/// Takes a key, says what fal thought of it and gives it back.
inline std::string use(KeyRing& ring, KeyOutcome outcome, TimePoint now,
                       std::optional<Milliseconds> retry_after = {}) {
  Result<KeyLease> lease = ring.acquire(now);
  REQUIRE(lease);
  lease->report(outcome, now, retry_after);
  return name_of(lease);
}

inline void check_denied(const Result<KeyLease>& lease, ErrorKind kind,
                         std::optional<Milliseconds> retry_after = {}) {
  REQUIRE_FALSE(lease);
  CHECK(name_of(lease.error().kind) == name_of(kind));
  CHECK(lease.error().retry_after == retry_after);
}

/// Time stands still; who sleeps is only woken by a stop.
class StandingClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const override { return start; }
  [[nodiscard]] WallTime wall_now() const override { return {}; }
  bool sleep_until(TimePoint, std::stop_token stop) override {
    std::mutex mutex;
    std::condition_variable_any woken;
    std::unique_lock lock(mutex);
    woken.wait(lock, stop, [] { return false; });
    return false;
  }
};

inline void wait_until_waiting(const KeyRing& ring, std::size_t count) {
  while (ring.waiting() != count) std::this_thread::yield();
}

}  // namespace falproxy::inline v0::testing
