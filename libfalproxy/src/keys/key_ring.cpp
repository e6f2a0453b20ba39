#include "falproxy/key_ring.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <utility>

#include "base/fmt.hpp"
#include "base/random.hpp"
#include "falproxy/plain_codecs.hpp"
#include "state/awaited.hpp"

namespace falproxy::inline v0 {
namespace {

using namespace std::chrono_literals;

constexpr Milliseconds first_rest = 1s;
constexpr Milliseconds longest_rest = 60s;
constexpr Milliseconds longest_retry_after = 1h;
constexpr Milliseconds until_probe = 5min;
// An account that has come back from a block is trusted again when fal has accepted so many jobs.
constexpr int full_trust = 30;
constexpr Milliseconds try_queue_again = 1s;
// While all places of an account are taken by others: the first who waits looks so often.
constexpr Milliseconds ask_again = 25ms;
// Who is asked for a place answers long before that, or says that it cannot.
constexpr Milliseconds longest_ask = 1s;

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

}  // namespace

struct KeyLease::State {
  State(std::shared_ptr<KeyRing::Impl> of, std::shared_ptr<Key> key_taken, std::uint64_t when)
      : ring(std::move(of)), key(std::move(key_taken)), slot(key->slot), taken(when) {}

  std::shared_ptr<KeyRing::Impl> ring;
  std::shared_ptr<Key> key;
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
        // The operator may have mended it: the probe is due at once. One that is under way may
        // belong to a key that is gone, and is not waited for.
        account->blocked.on = account->blocked.on || key->account->blocked.on;
        if (key->account->recovery.has_value()) account->recovery = key->account->recovery;
      } else {
        key = std::make_shared<Key>();
        key->secret = std::move(secret);
        key->fingerprint = fingerprint_of(key->secret);
      }
      key->slot = own_slot;
      key->refused = {};
      key->account = account.get();
      taken.push_back(key.get());
      account->keys.push_back(std::move(key));
    }
    if (!account->keys.empty()) accounts.push_back(std::move(account));
  }
  for (const auto& key : unclaimed) key->account = nullptr;
  next_account = 0;
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
  switch (outcome) {
    case KeyOutcome::accepted:
      changed = accept(lease, ++events, probes_key, probes_account);
      break;
    case KeyOutcome::rate_limited:
      rest(key, now, retry_after);
      break;
    case KeyOutcome::refused:
      // Several jobs of a key are refused at once: that is told once.
      if (key.refused.on && !probes_key) break;
      key.refused.begin(now);
      changed = account != nullptr;
      break;
    case KeyOutcome::account_blocked:
      if (account == nullptr) break;
      account->blocked.begin(now);
      account->recovery.reset();
      changed = !std::exchange(account->told_blocked, true);
      break;
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
  if (impl_->first_to_go()) {
    return Error{ErrorKind::overloaded, "Other requests wait for a fal account already."};
  }
  return Impl::take(impl_, impl_->look(now, {}), now, {});
}

bool KeyRing::Impl::is_shared(const KeyLease::State& lease) const {
  return options.peers != nullptr && options.max_jobs_per_account > 0 && lease.counted &&
         lease.key->account != nullptr;
}

// Whether the job may be begun: all processes together keep the limit.
bool KeyRing::Impl::has_place(Clock& clock, KeyLease::State& lease) {
  int limit = 0;
  {
    const std::lock_guard lock(mutex);
    if (!is_shared(lease)) return true;
    limit = options.max_jobs_per_account;
    lease.peers = options.peers;
    lease.account = lease.key->account->name();
    lease.ticket = fmt::format("{}:{}", lease.peers->self().to_string(), ++tickets);
  }
  const TimePoint until = clock.now() + longest_ask;
  const Awaited<bool> answer;
  lease.peers->take_place(lease.account, lease.ticket, limit, until, answer.callback());
  const Result<bool, StoreError> has = answer.wait(clock, until);
  std::unique_lock lock(mutex);
  Account* const account = lease.key->account;
  const bool is_unknown =
      !has.has_value() && account != nullptr && account->counted() <= lease.peers->share_of(limit);
  if (is_unknown || (has.has_value() && *has)) {
    if (account != nullptr) account->taken_until = TimePoint::min();
    Wake next = first_to_go();
    lock.unlock();
    send(std::move(next));
    return true;
  }
  if (account != nullptr) {
    account->taken_until =
        clock.now() +
        std::chrono::duration_cast<TimePoint::duration>(std::chrono::duration<double, std::milli>(
            static_cast<double>(ask_again.count()) * (0.75 + 0.5 * random())));
  }
  return false;
}

Result<KeyLease> KeyRing::acquire_or_wait(Clock& clock, TimePoint deadline,
                                          const std::stop_token& stop, Need need) {
  for (bool goes_first = false;; goes_first = true) {
    Result<KeyLease> lease = Impl::wait_here(impl_, clock, deadline, stop, need, goes_first);
    if (!lease || impl_->has_place(clock, *lease->state_)) return lease;
    // It asked for nothing that was given: the ticket is given back all the same.
    const std::string ticket = std::exchange(lease->state_->ticket, {});
    lease->state_->peers->give_back(lease->state_->account, ticket);
  }
}

Result<KeyLease> KeyRing::Impl::wait_here(const std::shared_ptr<Impl>& ring, Clock& clock,
                                          TimePoint deadline, const std::stop_token& stop,
                                          const Need& need, bool goes_first) {
  Impl& impl = *ring;
  std::unique_lock lock(impl.mutex);
  TimePoint now = clock.now();
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

Result<KeyLease> KeyRing::acquire_again(std::string_view fingerprint) {
  const std::lock_guard lock(impl_->mutex);
  for (const auto& account : impl_->accounts) {
    for (const std::shared_ptr<Key>& key : account->keys) {
      if (key->fingerprint != fingerprint) continue;
      auto state = std::make_unique<KeyLease::State>(impl_, key, ++impl_->events);
      state->counted = false;
      ++key->leases;
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
    impl_->options = options;
    impl_->set_accounts(std::move(accounts));
    wake = impl_->first_to_go();
  }
  Impl::send(std::move(wake));
}

std::vector<AccountStatus> KeyRing::status(TimePoint now) const {
  std::vector<AccountStatus> all;
  const std::lock_guard lock(impl_->mutex);
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
