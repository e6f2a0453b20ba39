// key_ring.hpp: takes turns among fal keys and rests the ones fal pushed back on.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/result.hpp"
#include "falproxy/secret.hpp"

namespace falproxy {

/// What fal said of a key.
enum class KeyOutcome {
  accepted,         ///< a submit was accepted: whatever rested the key is over
  rate_limited,     ///< 429: it rests for Retry-After, else 1 s doubling to 60 s, with jitter
  refused,          ///< 401: it is out until a reload
  account_blocked,  ///< 403 locked, exhausted balance: the account rests 5 minutes, then one request probes it
};

class KeyRing;

/// The right to use one key for one job: submit, waiting and the result. Move-only; gives itself back.
/// It shares ownership of its secret, so a reload never leaves it dangling.
class KeyLease {
 public:
  KeyLease(KeyLease&& other) noexcept;
  KeyLease& operator=(KeyLease&& other) noexcept;
  ~KeyLease();

  [[nodiscard]] std::size_t slot() const noexcept;  ///< position in AI_KEYS; safe to log
  [[nodiscard]] const Secret& key() const noexcept; ///< valid as long as the lease, whatever a reload does
  void report(KeyOutcome outcome, TimePoint now, std::optional<Milliseconds> retry_after = {});

 private:
  friend class KeyRing;
  struct State;
  explicit KeyLease(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

/// How an account stands; for metrics and the status page. Holds no key.
struct AccountStatus {
  enum class State { ready, resting, blocked, out };
  State state = State::ready;
  int leases = 0;
  int keys = 0;
  std::optional<Milliseconds> back_in = std::nullopt;  ///< while resting or blocked
  bool operator==(const AccountStatus&) const = default;
};

/// Thread-safe. It never reads a clock and never sleeps: time comes in as a parameter.
class KeyRing {
 public:
  struct Options {
    int max_jobs_per_account = 0;  ///< 0: no limit
    std::size_t max_waiting = 1000;  ///< requests that may wait for an account at once
  };

  /// `accounts`: keys of one account stand together (AI_KEYS="a|b,c"). `random` gives numbers in [0, 1), for jitter.
  KeyRing(std::vector<std::vector<Secret>> accounts, Options options, std::function<double()> random);
  ~KeyRing();
  KeyRing(const KeyRing&) = delete;
  KeyRing& operator=(const KeyRing&) = delete;

  /// The key of the account with the fewest leases that is not resting at `now`; among equals, the next in turn.
  /// Errors: keys_resting with `retry_after`; keys_out where none can come back by itself; overloaded where every usable
  /// account holds max_jobs_per_account leases (then wait_for_turn()).
  [[nodiscard]] Result<KeyLease> acquire(TimePoint now);

  /// Blocks, first come first served, until acquire() may succeed, `deadline` passes or `stop` is requested.
  /// Errors: queue_full, timed_out, cancelled, and those of acquire().
  [[nodiscard]] Result<KeyLease> acquire_or_wait(const Clock& clock, TimePoint deadline, std::stop_token stop);

  /// New keys and limits; the state of keys that stay is kept, leases of keys that go run on.
  void reload(std::vector<std::vector<Secret>> accounts, Options options);

  [[nodiscard]] std::vector<AccountStatus> status(TimePoint now) const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace falproxy
