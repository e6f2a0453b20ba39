// ring.hpp: keys, accounts and who waits for them, behind KeyRing.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "falproxy/key_ring.hpp"

namespace falproxy::inline v0 {
namespace keys {

inline constexpr Milliseconds until_probe = std::chrono::minutes(5);
/// Who is asked for a place or a probe answers long before that, or says that it cannot.
inline constexpr Milliseconds longest_ask{1000};

struct Account;

using Slots = std::span<const std::size_t>;

// What fal refuses: it is left alone for a while, and then one lease, the probe, shows whether that
// is over.
struct Suspension {
  bool on = false;
  TimePoint probe_at = TimePoint::min();
  bool probing = false;

  [[nodiscard]] bool open(TimePoint now) const { return !on || (!probing && now >= probe_at); }
  /// None while a probe is under way.
  [[nodiscard]] std::optional<TimePoint> back_at() const {
    if (!on) return TimePoint::min();
    return probing ? std::nullopt : std::optional(probe_at);
  }
  void begin(TimePoint now) {
    on = true;
    probe_at = now + until_probe;
  }
};

struct Key {
  Secret secret;
  std::string fingerprint = {};
  std::size_t slot = 0;
  TimePoint resting_until = TimePoint::min();
  std::uint64_t rested = 0;  // when it was pushed back last, by the ring's count of events
  int strikes = 0;           // rests in a row, each longer than the one before
  Suspension refused;
  int leases = 0;              // all of them
  int counted = 0;             // those that count against the account's limit of jobs
  Account* account = nullptr;  // none once a reload has dropped the key

  [[nodiscard]] bool usable(TimePoint now, Slots except) const {
    return refused.open(now) && resting_until <= now &&
           std::ranges::find(except, slot) == except.end();
  }
};

struct Account {
  std::vector<std::shared_ptr<Key>> keys;
  std::size_t next_key = 0;
  Suspension blocked;
  bool told_blocked = false;  // since the last reload
  // After a block fal may let one job pass and refuse the next: each that it accepts makes room for
  // one more.
  struct Recovery {
    int most_leases;
    std::uint64_t begun;  // by the ring's count of events
    int accepted = 0;
  };
  std::optional<Recovery> recovery;
  // Other processes have the places that are left.
  TimePoint taken_until = TimePoint::min();

  // The same in each process that has these keys, in whatever order.
  [[nodiscard]] const std::string& name() const {
    return (*std::ranges::min_element(keys, {}, [](const auto& key) { return key->fingerprint; }))
        ->fingerprint;
  }
  [[nodiscard]] int counted() const {
    int jobs = 0;
    for (const auto& key : keys) jobs += key->counted;
    return jobs;
  }
  [[nodiscard]] int leases() const {
    int sum = 0;
    for (const auto& key : keys) sum += key->leases;
    return sum;
  }
  [[nodiscard]] bool is_full(int max_jobs, bool is_counted) const {
    if (recovery.has_value() && leases() >= recovery->most_leases) return true;
    return max_jobs != 0 && is_counted && counted() >= max_jobs;
  }

  // Whether it could give a lease at `now`, limits aside, and otherwise why not and how long.
  struct Standing {
    AccountStatus::State state = AccountStatus::State::ready;
    std::optional<TimePoint> back_at = std::nullopt;
  };
  [[nodiscard]] Standing standing(TimePoint now, Slots except = {}) const {
    using State = AccountStatus::State;
    std::optional<TimePoint> first_back, first_probe;
    for (const auto& key : keys) {
      const bool excepted = std::ranges::find(except, key->slot) != except.end();
      if (excepted && key->resting_until <= now) continue;
      const std::optional<TimePoint> back_at = key->refused.back_at();
      if (!back_at.has_value()) continue;
      std::optional<TimePoint>& first = key->refused.on ? first_probe : first_back;
      first = std::min(first.value_or(TimePoint::max()), std::max(*back_at, key->resting_until));
    }
    if (!first_back && !(first_probe && *first_probe <= now)) return {State::out, first_probe};
    const TimePoint first =
        std::min(first_back.value_or(TimePoint::max()), first_probe.value_or(TimePoint::max()));
    if (!blocked.open(now)) {
      std::optional<TimePoint> back_at = blocked.back_at();
      if (back_at.has_value()) back_at = std::max(*back_at, first);
      return {State::blocked, back_at};
    }
    if (first > now) return {State::resting, first};
    return {State::ready};
  }

  [[nodiscard]] std::shared_ptr<Key> take_key(TimePoint now, Slots except) {
    while (!keys[next_key]->usable(now, except)) next_key = (next_key + 1) % keys.size();
    const std::shared_ptr<Key>& key = keys[next_key];
    next_key = (next_key + 1) % keys.size();
    return key;
  }
};

}  // namespace keys

struct KeyLease::State {
  State(std::shared_ptr<KeyRing::Impl> of, std::shared_ptr<keys::Key> key_taken, std::uint64_t when)
      : ring(std::move(of)), key(std::move(key_taken)), slot(key->slot), taken(when) {}

  std::shared_ptr<KeyRing::Impl> ring;
  std::shared_ptr<keys::Key> key;
  std::size_t slot;
  std::uint64_t taken;  // by the ring's count of events
  bool counted = true;
  // The place that it has among all processes; empty: none.
  Peers* peers = nullptr;
  std::string account, ticket;
  // Until it has reported.
  bool probes_key = false;
  bool probes_account = false;
};

struct KeyRing::Impl {
  using Key = keys::Key;
  using Account = keys::Account;

  // A call of acquire_or_wait() that waits; it lives on that call's stack.
  struct Waiter {
    std::stop_source wake;
    Need need;
    const Clock& clock;
  };
  // A waiter's place in the queue; it is given up with the lock held, whatever is thrown.
  class Place {
   public:
    Place(std::unique_lock<std::mutex>& lock, std::deque<Waiter*>& queue, Waiter& waiter,
          bool goes_first)
        : lock_(lock), queue_(queue), waiter_(&waiter) {
      goes_first ? queue_.push_front(waiter_) : queue_.push_back(waiter_);
    }
    ~Place() {
      if (!lock_.owns_lock()) lock_.lock();
      std::erase(queue_, waiter_);
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

   private:
    std::unique_lock<std::mutex>& lock_;
    std::deque<Waiter*>& queue_;
    Waiter* const waiter_;
  };
  // What somebody who asks for a key would hear.
  struct Outlook {
    enum class Answer { take, full, resting, out };
    Answer answer = Answer::out;
    std::size_t account = 0;                             // of `take`
    std::optional<TimePoint> changes_at = std::nullopt;  // by itself
    std::optional<TimePoint> asks_at = std::nullopt;     // whether others have left a place

    [[nodiscard]] bool is_to_wait() const { return answer == Answer::full; }
  };
  // Ends somebody's sleep. To be used without the lock: it runs the clock's code.
  using Wake = std::optional<std::stop_source>;

  void set_accounts(std::vector<std::vector<Secret>> groups);
  [[nodiscard]] Outlook look(TimePoint now, const Need& need) const;
  [[nodiscard]] static Result<KeyLease> take(const std::shared_ptr<Impl>& ring,
                                             const Outlook& outlook, TimePoint now,
                                             const Need& need);
  [[nodiscard]] static Error error_of(const Outlook& outlook, TimePoint now);
  [[nodiscard]] static Result<KeyLease> wait_here(const std::shared_ptr<Impl>& ring, Clock& clock,
                                                  TimePoint deadline, const std::stop_token& stop,
                                                  const Need& need, bool goes_first);
  // What fal has said to others meanwhile.
  void hear(TimePoint now);
  void heed(const KeyBan& ban, TimePoint now);
  void pardon(KeyBan::Kind kind, const std::string& name);
  // The operator may have mended what fal refused.
  void try_all_again();
  void tell(KeyBan::Kind kind, const std::string& name, TimePoint before, TimePoint until);
  void lift(KeyBan::Kind kind, const std::string& name);
  [[nodiscard]] Key* find_key(const std::string& fingerprint) const;
  [[nodiscard]] Account* find_account(const std::string& name) const;
  [[nodiscard]] bool may_probe(Clock& clock, KeyLease::State& lease);
  [[nodiscard]] bool is_shared(const KeyLease::State& lease) const;
  [[nodiscard]] bool has_place(Clock& clock, KeyLease::State& lease);
  // The first in the queue, before `end`, who need not wait any more.
  [[nodiscard]] Wake first_to_go(const Waiter* end = nullptr) const;
  [[nodiscard]] Wake give_back(const KeyLease::State& lease);
  struct Reported {
    Wake wake;
    bool changed;  // see KeyLease::report()
  };
  [[nodiscard]] Reported report(KeyLease::State& lease, KeyOutcome outcome, TimePoint now,
                                std::optional<Milliseconds> retry_after);
  [[nodiscard]] static bool accept(const KeyLease::State& lease, std::uint64_t event,
                                   bool probes_key, bool probes_account);
  void rest(Key& key, TimePoint now, std::optional<Milliseconds> retry_after);

  static void send(Wake wake) {
    if (wake) wake->request_stop();
  }

  mutable std::mutex mutex;
  Options options;
  std::function<double()> random;
  std::vector<std::unique_ptr<Account>> accounts;
  std::size_t next_account = 0;
  std::uint64_t tickets = 0;  // that were asked for
  std::uint64_t events = 0;   // leases taken, keys pushed back and accounts that came back
  std::uint64_t news = 0;     // Peers::news() of what was heard last
  bool forgives = false;      // a reload came before anything was heard: that may be older
  std::map<std::pair<KeyBan::Kind, std::string>, std::string> heard;  // stamps, by what they are of
  std::deque<Waiter*> queue;
};

}  // namespace falproxy::inline v0
