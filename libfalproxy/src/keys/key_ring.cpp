#include "falproxy/key_ring.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "base/random.hpp"
#include "falproxy/plain_codecs.hpp"
#include "keys/ring.hpp"

namespace falproxy::inline v0 {

using keys::Account;
using keys::Key;
using keys::longest_ask;

namespace {

using namespace std::chrono_literals;

constexpr Milliseconds first_rest = 1s;
constexpr Milliseconds longest_rest = 60s;
constexpr Milliseconds longest_retry_after = 1h;
// An account that has come back from a block is trusted again when fal has accepted so many jobs.
constexpr int full_trust = 30;
constexpr Milliseconds try_queue_again = 1s;

// Rounded up: who comes back at that time must not be early.
Milliseconds until(TimePoint then, TimePoint now) {
  return std::max(Milliseconds(0), std::chrono::ceil<Milliseconds>(then - now));
}

std::string fingerprint_of(const Secret& key) {
  std::string text = "falproxy ";
  text += key.reveal();
  const Digest digest = PlainCodecs().sha256(text);
  constexpr std::string_view digits = "0123456789abcdef";
  std::string fingerprint;
  for (std::size_t i = 0; i < 8; ++i)
    fingerprint += {digits[digest[i] >> 4U], digits[digest[i] & 15U]};
  return fingerprint;
}

}  // namespace

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
        // A probe that is under way may belong to a key that is gone, and is not waited for.
        account->blocked.on = account->blocked.on || key->account->blocked.on;
        if (key->account->recovery.has_value()) account->recovery = key->account->recovery;
      } else {
        key = std::make_shared<Key>();
        key->secret = std::move(secret);
        key->fingerprint = fingerprint_of(key->secret);
      }
      key->slot = own_slot;
      key->account = account.get();
      taken.push_back(key.get());
      account->keys.push_back(std::move(key));
    }
    if (account->keys.empty()) continue;
    accounts.push_back(std::move(account));
  }
  for (const auto& key : unclaimed) key->account = nullptr;
  next_account = 0;
  try_all_again();
}

void KeyRing::Impl::try_all_again() {
  for (const auto& account : accounts) {
    for (const auto& key : account->keys) {
      if (std::exchange(key->refused, {}).on) lift(KeyBan::Kind::refused, key->fingerprint);
    }
    if (!account->blocked.on) continue;
    account->blocked = {.on = true};
    tell(KeyBan::Kind::blocked, account->name(), TimePoint::max(), TimePoint::min());
  }
}

KeyRing::Impl::Outlook KeyRing::Impl::look(TimePoint now, const Need& need) const {
  using State = AccountStatus::State;
  using Answer = Outlook::Answer;
  Outlook outlook;
  int fewest = 0;
  bool any_full = false, any_resting = false;
  for (std::size_t i = 0; i < accounts.size(); ++i) {
    const std::size_t index = (next_account + i) % accounts.size();
    const Account& account = *accounts[index];
    const Account::Standing standing = account.standing(now, need.except);
    any_resting = any_resting || standing.state == State::resting;
    if (standing.back_at) {
      outlook.changes_at =
          std::min(outlook.changes_at.value_or(TimePoint::max()), *standing.back_at);
    }
    if (standing.state != State::ready) continue;
    const int leases = account.leases();
    const bool is_taken =
        need.counted && options.max_jobs_per_account > 0 && account.taken_until > now;
    if (account.is_full(options.max_jobs_per_account, need.counted)) {
      any_full = true;
    } else if (is_taken) {
      any_full = true;
      outlook.asks_at = std::min(outlook.asks_at.value_or(TimePoint::max()), account.taken_until);
    } else if (outlook.answer != Answer::take || leases < fewest) {
      outlook.answer = Answer::take;
      outlook.account = index;
      fewest = leases;
    }
  }
  if (outlook.answer == Answer::take) return outlook;
  if (any_full) {
    outlook.answer = Answer::full;
  } else if (any_resting) {
    outlook.answer = Answer::resting;
  }
  return outlook;
}

Error KeyRing::Impl::error_of(const Outlook& outlook, TimePoint now) {
  std::optional<Milliseconds> retry_after;
  if (outlook.changes_at) retry_after = until(*outlook.changes_at, now);
  switch (outlook.answer) {
    case Outlook::Answer::full:
      return {ErrorKind::overloaded, "Every fal account has as many jobs as it may."};
    case Outlook::Answer::resting:
      return {ErrorKind::keys_resting, "fal asked to slow down; every key rests.", {}, retry_after};
    case Outlook::Answer::take:
    case Outlook::Answer::out:
      break;
  }
  return {ErrorKind::keys_out,
          "No fal key is usable; the operator of this server has to look after them.",
          {},
          retry_after};
}

Result<KeyLease> KeyRing::Impl::take(const std::shared_ptr<Impl>& ring, const Outlook& outlook,
                                     TimePoint now, const Need& need) {
  if (outlook.answer != Outlook::Answer::take) return error_of(outlook, now);
  Account& account = *ring->accounts[outlook.account];
  ring->next_account = (outlook.account + 1) % ring->accounts.size();
  auto state =
      std::make_unique<KeyLease::State>(ring, account.take_key(now, need.except), ++ring->events);
  Key& key = *state->key;
  state->probes_key = key.refused.probing = key.refused.on;
  state->probes_account = account.blocked.probing = account.blocked.on;
  state->counted = need.counted;
  ++key.leases;
  key.counted += need.counted ? 1 : 0;
  return KeyLease(std::move(state));
}

KeyRing::Impl::Wake KeyRing::Impl::first_to_go(const Waiter* end) const {
  for (const Waiter* waiter : queue) {
    if (waiter == end) break;
    if (!look(waiter->clock.now(), waiter->need).is_to_wait()) return waiter->wake;
  }
  return std::nullopt;
}

KeyRing::Impl::Wake KeyRing::Impl::give_back(const KeyLease::State& lease) {
  if (!lease.ticket.empty()) lease.peers->give_back(lease.account, lease.ticket);
  const std::lock_guard lock(mutex);
  // Who waits here asks at once for the place that is free now.
  if (!lease.ticket.empty() && lease.key->account != nullptr)
    lease.key->account->taken_until = TimePoint::min();
  --lease.key->leases;
  lease.key->counted -= lease.counted ? 1 : 0;
  if (lease.probes_key) lease.key->refused.probing = false;
  if (lease.probes_account && lease.key->account != nullptr)
    lease.key->account->blocked.probing = false;
  return first_to_go();
}

KeyRing::Impl::Reported KeyRing::Impl::report(KeyLease::State& lease, KeyOutcome outcome,
                                              TimePoint now,
                                              std::optional<Milliseconds> retry_after) {
  const std::lock_guard lock(mutex);
  Key& key = *lease.key;
  Account* account = key.account;
  const bool probes_key = std::exchange(lease.probes_key, false);
  const bool probes_account = std::exchange(lease.probes_account, false) && account != nullptr;
  if (probes_key) key.refused.probing = false;
  if (probes_account) account->blocked.probing = false;
  bool changed = false;
  using Kind = KeyBan::Kind;
  switch (outcome) {
    case KeyOutcome::accepted:
      changed = accept(lease, ++events, probes_key, probes_account);
      if (account == nullptr) break;
      if (probes_key) lift(Kind::refused, key.fingerprint);
      if (probes_account) lift(Kind::blocked, account->name());
      break;
    case KeyOutcome::rate_limited: {
      const TimePoint before = key.resting_until;
      rest(key, now, retry_after);
      if (account != nullptr) tell(Kind::resting, key.fingerprint, before, key.resting_until);
      break;
    }
    case KeyOutcome::refused:
      // Several jobs of a key are refused at once: that is told once.
      if (key.refused.on && !probes_key) break;
      key.refused.begin(now);
      changed = account != nullptr;
      if (changed) tell(Kind::refused, key.fingerprint, TimePoint::max(), key.refused.probe_at);
      break;
    case KeyOutcome::account_blocked: {
      if (account == nullptr) break;
      const TimePoint before =
          account->blocked.on && !probes_account ? account->blocked.probe_at : TimePoint::max();
      account->blocked.begin(now);
      account->recovery.reset();
      changed = !std::exchange(account->told_blocked, true);
      tell(Kind::blocked, account->name(), before, account->blocked.probe_at);
      break;
    }
  }
  return {first_to_go(), changed};
}

// A submit that was sent before fal pushed its key back, or blocked its account, says nothing of
// what holds now.
bool KeyRing::Impl::accept(const KeyLease::State& lease, std::uint64_t event, bool probes_key,
                           bool probes_account) {
  Key& key = *lease.key;
  if (lease.taken > key.rested) {
    key.resting_until = TimePoint::min();
    key.strikes = 0;
  }
  bool changed = probes_key && std::exchange(key.refused.on, false);
  Account* account = key.account;
  if (account == nullptr) return changed;
  if (probes_account) {
    changed = std::exchange(account->blocked.on, false) || changed;
    account->told_blocked = false;
    account->recovery = {.most_leases = account->leases() + 1, .begun = event};
  } else if (account->recovery.has_value() && lease.taken > account->recovery->begun) {
    ++account->recovery->most_leases;
    if (++account->recovery->accepted >= full_trust) account->recovery.reset();
  }
  return changed;
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
  key.rested = ++events;
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
const std::string& KeyLease::fingerprint() const noexcept { return state_->key->fingerprint; }
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
  impl_->random = or_middle(std::move(random));
  impl_->set_accounts(std::move(accounts));
}
KeyRing::~KeyRing() = default;

Result<KeyLease> KeyRing::acquire(TimePoint now) {
  const std::lock_guard lock(impl_->mutex);
  impl_->hear(now);
  if (impl_->first_to_go()) {
    return Error{ErrorKind::overloaded, "Other requests wait for a fal account already."};
  }
  return Impl::take(impl_, impl_->look(now, {}), now, {});
}

Result<KeyLease> KeyRing::acquire_or_wait(Clock& clock, TimePoint deadline,
                                          const std::stop_token& stop, Need need) {
  for (bool goes_first = false;; goes_first = true) {
    Result<KeyLease> lease = Impl::wait_here(impl_, clock, deadline, stop, need, goes_first);
    if (!lease) return lease;
    KeyLease::State& state = *lease->state_;
    if (impl_->has_place(clock, state) && impl_->may_probe(clock, state)) return lease;
    // It may have asked for nothing that was given: the ticket is given back all the same.
    const std::string ticket = std::exchange(state.ticket, {});
    if (!ticket.empty()) state.peers->give_back(state.account, ticket);
  }
}

Result<KeyLease> KeyRing::Impl::wait_here(const std::shared_ptr<Impl>& ring, Clock& clock,
                                          TimePoint deadline, const std::stop_token& stop,
                                          const Need& need, bool goes_first) {
  Impl& impl = *ring;
  std::unique_lock lock(impl.mutex);
  TimePoint now = clock.now();
  impl.hear(now);
  Outlook outlook = impl.look(now, need);
  if (!outlook.is_to_wait() && !impl.first_to_go()) return take(ring, outlook, now, need);
  std::deque<Waiter*>& queue = impl.queue;
  if (!goes_first && queue.size() >= impl.options.max_waiting) {
    return Error{
        ErrorKind::queue_full, "Too many requests wait for a fal account.", {}, try_queue_again};
  }

  Waiter waiter{std::stop_source(), need, clock};
  std::optional<Place> place(std::in_place, lock, queue, waiter, goes_first);
  std::optional<Error> gave_up;
  while (true) {
    now = clock.now();
    impl.hear(now);
    outlook = impl.look(now, need);
    // Who came earlier goes first, if there is something for them.
    const Wake earlier = outlook.is_to_wait() ? std::nullopt : impl.first_to_go(&waiter);
    if (!outlook.is_to_wait() && !earlier) break;
    if (stop.stop_requested()) {
      gave_up = Error{ErrorKind::cancelled,
                      "The request was given up while it waited for a fal account."};
      break;
    }
    if (now >= deadline) {
      gave_up = Error{ErrorKind::timed_out, "No fal account became free in time."};
      break;
    }
    TimePoint wake_at = deadline;
    if (!earlier) wake_at = std::min(deadline, outlook.changes_at.value_or(deadline));
    // Of all that wait only the first asks the others.
    if (queue.front() == &waiter) wake_at = std::min(wake_at, outlook.asks_at.value_or(wake_at));
    waiter.wake = std::stop_source();
    lock.unlock();
    send(earlier);
    {
      const std::stop_callback stopped(stop, [&] { waiter.wake.request_stop(); });
      clock.sleep_until(wake_at, waiter.wake.get_token());
    }
    lock.lock();
  }
  place.reset();
  Result<KeyLease> lease =
      gave_up ? Result<KeyLease>(*std::move(gave_up)) : take(ring, outlook, now, need);
  // Where some wait they ask one after another.
  if (lease && impl.is_shared(*lease->state_))
    lease->state_->key->account->taken_until = now + longest_ask;
  Wake next = impl.first_to_go();
  // Whoever is the first now has another time to look.
  if (!next && impl.options.peers != nullptr && !queue.empty()) next = queue.front()->wake;
  lock.unlock();
  send(next);
  return lease;
}

Result<KeyLease> KeyRing::acquire_again(std::string_view fingerprint, bool counted) {
  const std::lock_guard lock(impl_->mutex);
  for (const auto& account : impl_->accounts) {
    for (const std::shared_ptr<Key>& key : account->keys) {
      if (key->fingerprint != fingerprint) continue;
      auto state = std::make_unique<KeyLease::State>(impl_, key, ++impl_->events);
      state->counted = counted;
      ++key->leases;
      key->counted += counted ? 1 : 0;
      return KeyLease(std::move(state));
    }
  }
  return Error{ErrorKind::keys_out,
               "The fal key with which the job was begun is no longer configured; the operator of "
               "this server has to put it back into AI_KEYS."};
}

void KeyRing::reload(std::vector<std::vector<Secret>> accounts, Options options) {
  Impl::Wake wake;
  {
    const std::lock_guard lock(impl_->mutex);
    // What was said before the operator mended it.
    impl_->hear(TimePoint::min());
    impl_->forgives = impl_->options.peers != nullptr && impl_->news == 0;
    impl_->options = options;
    impl_->set_accounts(std::move(accounts));
    wake = impl_->first_to_go();
  }
  Impl::send(std::move(wake));
}

std::vector<AccountStatus> KeyRing::status(TimePoint now) const {
  std::vector<AccountStatus> all;
  const std::lock_guard lock(impl_->mutex);
  impl_->hear(now);
  for (const auto& account : impl_->accounts) {
    const Account::Standing standing = account->standing(now);
    AccountStatus status{standing.state, account->leases(), static_cast<int>(account->keys.size())};
    if (account->blocked.on) status.state = AccountStatus::State::blocked;
    if (std::ranges::all_of(account->keys, [](const auto& key) { return key->refused.on; }))
      status.state = AccountStatus::State::out;
    if (standing.back_at) status.back_in = until(*standing.back_at, now);
    all.push_back(status);
  }
  return all;
}

std::size_t KeyRing::waiting() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->queue.size();
}

}  // namespace falproxy::inline v0
