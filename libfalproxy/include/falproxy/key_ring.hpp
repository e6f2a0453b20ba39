// key_ring.hpp: takes turns among fal keys and rests the ones fal pushed back on.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/peers.hpp"
#include "falproxy/print.hpp"
#include "falproxy/result.hpp"
#include "falproxy/secret.hpp"

namespace falproxy::inline v0 {

/// What fal said of a key. A 5xx is no fault of the key and is not reported.
enum class KeyOutcome {
  /// A submit was accepted: whatever rested the key before the lease was taken is over. A probe's:
  /// so is what made fal refuse the key or block its account.
  accepted,
  /// 429: the key rests for Retry-After if that is more than nothing, else about 1 s, doubling to
  /// 60 s from one time to the next.
  rate_limited,
  /// 401: the key is left out for 5 minutes, then one request probes it; the others of its account
  /// are not.
  refused,
  /// 403 locked, exhausted balance: the account rests 5 minutes, then one request probes it. One
  /// that has come back is given jobs step by step: one more at once for each that is accepted.
  account_blocked,
};
/// As written above.
[[nodiscard]] std::string_view name_of(KeyOutcome value) noexcept;

class KeyRing;

/// The right to use one key for one job: submit, waiting and the result. Move-only; gives itself
/// back. It shares ownership of its secret, so neither a reload nor the end of the ring leaves it
/// dangling.
class KeyLease {
 public:
  /// `other` is left without a lease: it may only be destroyed or assigned to.
  KeyLease(KeyLease&& other) noexcept;
  /// Gives back what this one held.
  KeyLease& operator=(KeyLease&& other) noexcept;
  /// Gives the key back, and wakes the first who can use it. A probe that never reported leaves the
  /// key refused, or the account blocked.
  ~KeyLease();

  /// Position in AI_KEYS when it was taken; safe to log.
  [[nodiscard]] std::size_t slot() const noexcept;
  /// Tells the key from others without showing it, also after a restart: 16 hexadecimal digits.
  [[nodiscard]] const std::string& fingerprint() const noexcept;
  /// Valid as long as the lease, whatever a reload does.
  [[nodiscard]] const Secret& key() const noexcept;
  /// `retry_after`: what fal asked for with a 429; at most an hour of it is kept. True if the
  /// operator should hear of it: the key is left out, for the first time or once more; its account
  /// is blocked from now on; or they are usable again.
  bool report(KeyOutcome outcome, TimePoint now, std::optional<Milliseconds> retry_after = {});

 private:
  friend class KeyRing;
  struct State;
  explicit KeyLease(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

/// How an account stands; for metrics and the status page. Holds no key.
struct AccountStatus {
  /// From best to worst.
  enum class State {
    ready,    ///< at least one key can be taken, limits aside
    resting,  ///< every key that is not out was rate limited
    blocked,  ///< until a probe succeeds
    out,      ///< every key was refused, until a probe succeeds
  };
  State state = State::ready;  ///< `blocked` also while acquire() may lend the probe
  int leases = 0;              ///< jobs that hold a key of it now
  int keys = 0;                ///< configured, those that are out included
  /// While resting, blocked or out; none while a probe is under way or due.
  std::optional<Milliseconds> back_in = std::nullopt;
  bool operator==(const AccountStatus&) const = default;
};
/// As above.
[[nodiscard]] std::string_view name_of(AccountStatus::State value) noexcept;
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const AccountStatus& status);

/// Thread-safe. The lock is held for a look at each account, never while waiting. Time comes in as
/// a parameter.
class KeyRing {
 public:
  /// Taken anew with reload().
  struct Options {
    int max_jobs_per_account = 0;    ///< of those that are counted; 0: no limit
    std::size_t max_waiting = 1000;  ///< requests that may wait for an account at once
    /// The other processes with jobs at these accounts. max_jobs_per_account then holds for all
    /// together, all heed what fal says of a key to one of them, and only one sends a probe. It
    /// outlives the ring and its leases; null: there are none. The same one in each reload.
    Peers* peers = nullptr;
  };

  /// `accounts`: keys of one account stand together (AI_KEYS="a|b,c"); a key that was there before
  /// is ignored. `random` gives numbers in [0, 1), for jitter; it is called by one thread at a
  /// time. Empty: no jitter.
  KeyRing(std::vector<std::vector<Secret>> accounts, Options options,
          std::function<double()> random = {});
  ~KeyRing();
  KeyRing(const KeyRing&) = delete;
  KeyRing& operator=(const KeyRing&) = delete;

  /// A key of the usable account with the fewest leases, among equals of the next in turn; within
  /// the account, the next usable key in turn. A refused key or a blocked account gives nothing
  /// for 5 minutes. Then it gives one lease, the probe. It gives no other until the probe has
  /// reported or is gone. Errors: keys_resting (rate limited; `retry_after`: when the first is
  /// back); keys_out (refused or blocked; `retry_after`: when the first may be probed); overloaded
  /// if every usable account has as many jobs as it may, or others wait already for what there is
  /// (then acquire_or_wait()).
  [[nodiscard]] Result<KeyLease> acquire(TimePoint now);

  /// What a key is wanted for.
  struct Need {
    /// Positions of keys that are not to be taken, whatever their state: fal refused them before.
    std::span<const std::size_t> except = {};
    /// Against max_jobs_per_account. fal counts neither uploads nor jobs of an account's own apps.
    bool counted = true;
  };
  /// As acquire(), but if that would be overloaded it blocks until there is a key, `deadline`
  /// passes or `stop` is requested. Whoever came first of those who can use a key is given it.
  /// Waits only in `clock.sleep_until()`, which it ends early when a lease is given back. Errors:
  /// queue_full, timed_out, cancelled, and those of acquire() but overloaded; keys_out if only
  /// `need.except` is left.
  [[nodiscard]] Result<KeyLease> acquire_or_wait(Clock& clock, TimePoint deadline,
                                                 const std::stop_token& stop, Need need);
  /// The same for any key, counted.
  [[nodiscard]] Result<KeyLease> acquire_or_wait(Clock& clock, TimePoint deadline,
                                                 const std::stop_token& stop) {
    return acquire_or_wait(clock, deadline, stop, Need());
  }

  /// The key with that KeyLease::fingerprint(), at once, whatever fal has said of it and however
  /// many jobs its account has: for a job that fal has taken with it. `counted`: as one of them, in
  /// this process. Errors: keys_out (it is not configured).
  [[nodiscard]] Result<KeyLease> acquire_again(std::string_view fingerprint, bool counted);

  /// New keys and limits. Keys that stay keep their rests and leases, but what was refused or
  /// blocked is tried again: the operator may have mended it. Leases of keys that go run on.
  void reload(std::vector<std::vector<Secret>> accounts, Options options);

  /// In the order of AI_KEYS, for the slots of metrics; accounts of nothing but repeats are left
  /// out.
  [[nodiscard]] std::vector<AccountStatus> status(TimePoint now) const;
  /// How many calls of acquire_or_wait() wait now.
  [[nodiscard]] std::size_t waiting() const;

 private:
  friend class KeyLease;
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace falproxy::inline v0
