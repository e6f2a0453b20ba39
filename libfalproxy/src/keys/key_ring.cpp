#include "falproxy/key_ring.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <utility>

namespace falproxy {
namespace {

using namespace std::chrono_literals;

constexpr Milliseconds first_rest = 1s;
constexpr Milliseconds longest_rest = 60s;
constexpr Milliseconds longest_retry_after = 1h;
constexpr Milliseconds blocked_for = 5min;
constexpr Milliseconds try_queue_again = 1s;

// Rounded up: who comes back at that time must not be early.
Milliseconds until(TimePoint then, TimePoint now) {
  return std::max(Milliseconds(0), std::chrono::ceil<Milliseconds>(then - now));
}

struct Account;

using Slots = std::span<const std::size_t>;

struct Key {
  Secret secret;
  std::size_t slot = 0;
  TimePoint resting_until = TimePoint::min();
  int strikes = 0;  // rests in a row, each longer than the one before
  bool out = false;
  int leases = 0;
  Account* account = nullptr;  // none once a reload has dropped the key

  [[nodiscard]] bool usable(TimePoint now, Slots except) const {
    return !out && resting_until <= now && std::ranges::find(except, slot) == except.end();
  }
};

struct Account {
  std::vector<std::shared_ptr<Key>> keys;
  std::size_t next_key = 0;
  bool blocked = false;
  bool told_blocked = false;              // since the last reload
  TimePoint probe_at = TimePoint::min();  // while blocked
  bool probing = false;

  [[nodiscard]] int leases() const {
    int sum = 0;
    for (const auto& key : keys) sum += key->leases;
    return sum;
  }

  // Whether it could give a lease at `now`, limits aside, and otherwise why not and how long.
  struct Standing {
    AccountStatus::State state = AccountStatus::State::ready;
    std::optional<TimePoint> back_at = std::nullopt;
  };
  [[nodiscard]] Standing standing(TimePoint now, Slots except = {}) const {
    using State = AccountStatus::State;
    std::optional<TimePoint> first_back;
    for (const auto& key : keys) {
      if (!key->out && (key->resting_until > now || key->usable(now, except)))
        first_back = std::min(first_back.value_or(TimePoint::max()), key->resting_until);
    }
    if (!first_back) return {State::out};
    if (blocked && probing) return {State::blocked};
    if (blocked && now < probe_at) return {State::blocked, std::max(probe_at, *first_back)};
    if (*first_back > now) return {State::resting, first_back};
    return {State::ready};
  }

  [[nodiscard]] std::shared_ptr<Key> take_key(TimePoint now, Slots except) {
    while (!keys[next_key]->usable(now, except)) next_key = (next_key + 1) % keys.size();
    const std::shared_ptr<Key>& key = keys[next_key];
    next_key = (next_key + 1) % keys.size();
    return key;
  }
};

}  // namespace

struct KeyLease::State {
  State(std::shared_ptr<KeyRing::Impl> of, std::shared_ptr<Key> taken, std::size_t at, bool probes)
      : ring(std::move(of)), key(std::move(taken)), slot(at), probe(probes) {}

  std::shared_ptr<KeyRing::Impl> ring;
  std::shared_ptr<Key> key;
  std::size_t slot;
  bool probe;  // of a blocked account, until it has reported
};

struct KeyRing::Impl {
  // A call of acquire_or_wait() that waits; it lives on that call's stack.
  struct Waiter {
    std::stop_source wake;
  };
  // What acquire() finds: a key, or why there is none and when that may change by itself.
  struct Pick {
    std::optional<Error> error = std::nullopt;
    std::optional<TimePoint> changes_at = std::nullopt;
    std::shared_ptr<Key> key = nullptr;
    std::size_t slot = 0;
    bool probe = false;

    [[nodiscard]] bool is_overloaded() const {
      return error && error->kind == ErrorKind::overloaded;
    }
  };
  [[nodiscard]] static Result<KeyLease> lease(const std::shared_ptr<Impl>& ring, Pick picked);
  // Ends the sleep of the first in the queue. To be used without the lock: it runs the clock's
  // code.
  using Wake = std::optional<std::stop_source>;

  void set_accounts(std::vector<std::vector<Secret>> groups);
  [[nodiscard]] Pick pick(TimePoint now, Slots except = {});
  [[nodiscard]] Wake first_in_queue();
  [[nodiscard]] Wake give_back(const KeyLease::State& lease);
  struct Reported {
    Wake wake;
    bool changed;  // see KeyLease::report()
  };
  [[nodiscard]] Reported report(KeyLease::State& lease, KeyOutcome outcome, TimePoint now,
                                std::optional<Milliseconds> retry_after);
  void rest(Key& key, TimePoint now, std::optional<Milliseconds> retry_after);

  static void send(Wake wake) {
    if (wake) wake->request_stop();
  }

  mutable std::mutex mutex;
  Options options;
  std::function<double()> random;
  std::vector<std::unique_ptr<Account>> accounts;
  std::size_t next_account = 0;
  std::deque<Waiter*> queue;
};

void KeyRing::Impl::set_accounts(std::vector<std::vector<Secret>> groups) {
  const std::vector<std::unique_ptr<Account>> before = std::exchange(accounts, {});
  std::vector<std::shared_ptr<Key>> unclaimed;
  for (const auto& account : before)
    unclaimed.insert(unclaimed.end(), account->keys.begin(), account->keys.end());
  std::vector<const Key*> taken;
  const auto is_taken = [&](const Secret& secret) {
    return std::ranges::any_of(taken, [&](const Key* key) { return key->secret == secret; });
  };

  std::size_t slot = 0;
  for (std::vector<Secret>& group : groups) {
    auto account = std::make_unique<Account>();
    for (Secret& secret : group) {
      const std::size_t own_slot = slot++;
      if (is_taken(secret)) continue;
      const auto known =
          std::ranges::find_if(unclaimed, [&](const auto& key) { return key->secret == secret; });
      std::shared_ptr<Key> key;
      if (known != unclaimed.end()) {
        key = *known;
        unclaimed.erase(known);
        account->blocked = account->blocked || key->account->blocked;
        account->probing = account->probing || key->account->probing;
      } else {
        key = std::make_shared<Key>();
        key->secret = std::move(secret);
      }
      key->slot = own_slot;
      key->out = false;
      key->account = account.get();
      taken.push_back(key.get());
      account->keys.push_back(std::move(key));
    }
    if (!account->keys.empty()) accounts.push_back(std::move(account));
  }
  for (const auto& key : unclaimed) key->account = nullptr;
  next_account = 0;
}

KeyRing::Impl::Pick KeyRing::Impl::pick(TimePoint now, Slots except) {
  using State = AccountStatus::State;
  Account* best = nullptr;
  std::size_t best_index = 0;
  int fewest = 0;
  bool any_full = false, any_resting = false;
  std::optional<TimePoint> first_back;

  for (std::size_t i = 0; i < accounts.size(); ++i) {
    const std::size_t index = (next_account + i) % accounts.size();
    Account& account = *accounts[index];
    const Account::Standing standing = account.standing(now, except);
    any_resting = any_resting || standing.state == State::resting;
    if (standing.back_at)
      first_back = std::min(first_back.value_or(TimePoint::max()), *standing.back_at);
    if (standing.state != State::ready) continue;
    const int leases = account.leases();
    if (options.max_jobs_per_account > 0 && leases >= options.max_jobs_per_account) {
      any_full = true;
    } else if (best == nullptr || leases < fewest) {
      best = &account;
      best_index = index;
      fewest = leases;
    }
  }

  if (best != nullptr) {
    next_account = (best_index + 1) % accounts.size();
    Pick picked{.key = best->take_key(now, except), .probe = best->blocked};
    picked.slot = picked.key->slot;
    best->probing = best->blocked;
    ++picked.key->leases;
    return picked;
  }
  std::optional<Milliseconds> retry_after;
  if (first_back) retry_after = until(*first_back, now);
  if (any_full)
    return {Error{ErrorKind::overloaded, "Every fal account has as many jobs as it may."},
            first_back};
  if (any_resting) {
    return {
        Error{ErrorKind::keys_resting, "fal asked to slow down; every key rests.", {}, retry_after},
        first_back};
  }
  return {Error{ErrorKind::keys_out,
                "No fal key is usable; the operator of this server has to look after them.",
                {},
                retry_after},
          first_back};
}

KeyRing::Impl::Wake KeyRing::Impl::first_in_queue() {
  return queue.empty() ? Wake() : Wake(queue.front()->wake);
}

Result<KeyLease> KeyRing::Impl::lease(const std::shared_ptr<Impl>& ring, Pick picked) {
  if (picked.error) return *std::move(picked.error);
  return KeyLease(
      std::make_unique<KeyLease::State>(ring, std::move(picked.key), picked.slot, picked.probe));
}

KeyRing::Impl::Wake KeyRing::Impl::give_back(const KeyLease::State& lease) {
  const std::lock_guard lock(mutex);
  --lease.key->leases;
  if (lease.probe && lease.key->account != nullptr) lease.key->account->probing = false;
  return first_in_queue();
}

KeyRing::Impl::Reported KeyRing::Impl::report(KeyLease::State& lease, KeyOutcome outcome,
                                              TimePoint now,
                                              std::optional<Milliseconds> retry_after) {
  const std::lock_guard lock(mutex);
  Key& key = *lease.key;
  Account* account = key.account;
  const bool probe = std::exchange(lease.probe, false) && account != nullptr;
  if (probe) account->probing = false;
  bool changed = false;
  switch (outcome) {
    case KeyOutcome::accepted:
      key.resting_until = TimePoint::min();
      key.strikes = 0;
      // One that was sent before the account was blocked says nothing of it.
      if (probe) changed = std::exchange(account->blocked, false);
      if (probe) account->told_blocked = false;
      break;
    case KeyOutcome::rate_limited:
      rest(key, now, retry_after);
      break;
    case KeyOutcome::refused:
      changed = !std::exchange(key.out, true) && account != nullptr;
      break;
    case KeyOutcome::account_blocked:
      if (account == nullptr) break;
      account->blocked = true;
      changed = !std::exchange(account->told_blocked, true);
      account->probe_at = now + blocked_for;
      break;
  }
  return {first_in_queue(), changed};
}

void KeyRing::Impl::rest(Key& key, TimePoint now, std::optional<Milliseconds> retry_after) {
  // Several jobs of a key are pushed back at once: that is one strike.
  const bool rests_already = key.resting_until > now;
  if (!rests_already) ++key.strikes;
  Milliseconds rest{0};
  if (retry_after && *retry_after > Milliseconds(0)) {
    rest = std::min(*retry_after, longest_retry_after);
  } else if (!rests_already) {
    const double doubled =
        static_cast<double>(first_rest.count()) * std::exp2(std::min(key.strikes, 16) - 1);
    const auto jittered = static_cast<std::int64_t>(doubled * (0.75 + 0.5 * random()));
    rest = std::min(Milliseconds(jittered), longest_rest);
  }
  key.resting_until = std::max(key.resting_until, now + rest);
}

KeyLease::KeyLease(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
KeyLease::KeyLease(KeyLease&& other) noexcept = default;
KeyLease& KeyLease::operator=(KeyLease&& other) noexcept {
  KeyLease(std::move(other)).state_.swap(state_);
  return *this;
}
KeyLease::~KeyLease() {
  if (state_ != nullptr) KeyRing::Impl::send(state_->ring->give_back(*state_));
}

std::size_t KeyLease::slot() const noexcept { return state_->slot; }
const Secret& KeyLease::key() const noexcept { return state_->key->secret; }

bool KeyLease::report(KeyOutcome outcome, TimePoint now, std::optional<Milliseconds> retry_after) {
  KeyRing::Impl::Reported reported = state_->ring->report(*state_, outcome, now, retry_after);
  KeyRing::Impl::send(std::move(reported.wake));
  return reported.changed;
}

KeyRing::KeyRing(std::vector<std::vector<Secret>> accounts, Options options,
                 std::function<double()> random)
    : impl_(std::make_shared<Impl>()) {
  impl_->options = options;
  impl_->random = std::move(random);
  impl_->set_accounts(std::move(accounts));
}
KeyRing::~KeyRing() = default;

Result<KeyLease> KeyRing::acquire(TimePoint now) {
  Impl::Pick picked;
  {
    const std::lock_guard lock(impl_->mutex);
    if (!impl_->queue.empty()) {
      return Error{ErrorKind::overloaded, "Other requests wait for a fal account already."};
    }
    picked = impl_->pick(now);
  }
  return Impl::lease(impl_, std::move(picked));
}

Result<KeyLease> KeyRing::acquire_or_wait(Clock& clock, TimePoint deadline,
                                          const std::stop_token& stop,
                                          std::span<const std::size_t> except) {
  std::unique_lock lock(impl_->mutex);
  std::deque<Impl::Waiter*>& queue = impl_->queue;
  if (queue.empty()) {
    Impl::Pick picked = impl_->pick(clock.now(), except);
    if (!picked.is_overloaded()) {
      lock.unlock();
      return Impl::lease(impl_, std::move(picked));
    }
  }
  if (queue.size() >= impl_->options.max_waiting) {
    return Error{
        ErrorKind::queue_full, "Too many requests wait for a fal account.", {}, try_queue_again};
  }

  Impl::Waiter waiter;
  queue.push_back(&waiter);
  Impl::Pick picked;
  while (true) {
    TimePoint wake_at = deadline;
    const TimePoint now = clock.now();
    if (queue.front() == &waiter) {
      picked = impl_->pick(now, except);
      if (!picked.is_overloaded()) break;
      wake_at = std::min(deadline, picked.changes_at.value_or(deadline));
    }
    if (stop.stop_requested()) {
      picked.error = Error{ErrorKind::cancelled,
                           "The request was given up while it waited for a fal account."};
      break;
    }
    if (now >= deadline) {
      picked.error = Error{ErrorKind::timed_out, "No fal account became free in time."};
      break;
    }
    waiter.wake = std::stop_source();
    lock.unlock();
    {
      const std::stop_callback stopped(stop, [&] { waiter.wake.request_stop(); });
      clock.sleep_until(wake_at, waiter.wake.get_token());
    }
    lock.lock();
  }
  std::erase(queue, &waiter);
  const Impl::Wake next = impl_->first_in_queue();
  lock.unlock();
  Impl::send(next);
  return Impl::lease(impl_, std::move(picked));
}

void KeyRing::reload(std::vector<std::vector<Secret>> accounts, Options options) {
  Impl::Wake wake;
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->options = options;
    impl_->set_accounts(std::move(accounts));
    wake = impl_->first_in_queue();
  }
  Impl::send(std::move(wake));
}

std::vector<AccountStatus> KeyRing::status(TimePoint now) const {
  std::vector<AccountStatus> all;
  const std::lock_guard lock(impl_->mutex);
  for (const auto& account : impl_->accounts) {
    const Account::Standing standing = account->standing(now);
    AccountStatus status{account->blocked ? AccountStatus::State::blocked : standing.state,
                         account->leases(), static_cast<int>(account->keys.size())};
    if (standing.state == AccountStatus::State::out) status.state = standing.state;
    if (standing.back_at) status.back_in = until(*standing.back_at, now);
    all.push_back(status);
  }
  return all;
}

std::size_t KeyRing::waiting() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->queue.size();
}

}  // namespace falproxy
