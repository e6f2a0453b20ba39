// What a ring has in common with those of other processes.
#include <algorithm>
#include <chrono>
#include <utility>

#include "base/fmt.hpp"
#include "keys/ring.hpp"
#include "state/awaited.hpp"

namespace falproxy::inline v0 {

using keys::longest_ask;

namespace {

// While all places of an account are taken by others: the first who waits looks so often.
constexpr Milliseconds ask_again{25};
constexpr Milliseconds worth_telling{1000};
// Of the process that has a place.
constexpr std::size_t ticket_digits = 16;

}  // namespace

keys::Key* KeyRing::Impl::find_key(const std::string& fingerprint) const {
  for (const auto& account : accounts) {
    const auto key = std::ranges::find_if(
        account->keys, [&](const auto& one) { return one->fingerprint == fingerprint; });
    if (key != account->keys.end()) return key->get();
  }
  return nullptr;
}

keys::Account* KeyRing::Impl::find_account(const std::string& name) const {
  const Key* const key = find_key(name);
  return key == nullptr || key->account->name() != name ? nullptr : key->account;
}

void KeyRing::Impl::hear(TimePoint now) {
  if (options.peers == nullptr || options.peers->news() == news) return;
  news = options.peers->news();
  auto gone = heard;
  for (const KeyBan& ban : options.peers->bans()) {
    gone.erase({ban.kind, ban.name});
    std::string& stamp = heard[{ban.kind, ban.name}];
    if (std::exchange(stamp, ban.stamp) != ban.stamp) heed(ban, now);
  }
  for (const auto& [name, stamp] : gone) {
    heard.erase(name);
    pardon(name.first, name.second);
  }
  if (std::exchange(forgives, false)) try_all_again();
}

void KeyRing::Impl::heed(const KeyBan& ban, TimePoint now) {
  Key* const key = find_key(ban.name);
  Account* const account = find_account(ban.name);
  switch (ban.kind) {
    case KeyBan::Kind::resting:
      if (key == nullptr || key->resting_until >= ban.until) break;
      // All count the same strikes, and so rest as long.
      if (key->resting_until <= now) ++key->strikes;
      key->resting_until = ban.until;
      key->rested = ++events;
      break;
    case KeyBan::Kind::refused:
      if (key == nullptr) break;
      key->refused.on = true;
      key->refused.probe_at = ban.until;
      break;
    case KeyBan::Kind::blocked:
      if (account == nullptr) break;
      account->blocked.on = true;
      account->blocked.probe_at = ban.until;
      account->recovery.reset();
      break;
  }
}

void KeyRing::Impl::pardon(KeyBan::Kind kind, const std::string& name) {
  if (kind == KeyBan::Kind::refused) {
    if (Key* const key = find_key(name)) key->refused.on = false;
  } else if (kind == KeyBan::Kind::blocked) {
    Account* const account = find_account(name);
    if (account == nullptr || !std::exchange(account->blocked.on, false)) return;
    account->told_blocked = false;
    account->recovery = {.most_leases = account->leases() + 1, .begun = ++events};
  }
}

// What moves by less was said of several jobs at once.
void KeyRing::Impl::tell(KeyBan::Kind kind, const std::string& name, TimePoint before,
                         TimePoint until) {
  if (options.peers == nullptr) return;
  if (before <= until && before >= until - worth_telling) return;
  heard[{kind, name}] = options.peers->tell({.kind = kind, .name = name, .until = until});
}

void KeyRing::Impl::lift(KeyBan::Kind kind, const std::string& name) {
  if (options.peers == nullptr) return;
  heard.erase({kind, name});
  options.peers->lift(kind, name);
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
    lease.ticket =
        fmt::format("{}:{}", lease.peers->self().to_string().substr(0, ticket_digits), ++tickets);
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

// Whether of all processes this is the one to send it.
bool KeyRing::Impl::may_probe(Clock& clock, KeyLease::State& lease) {
  Peers* peers = nullptr;
  std::vector<std::pair<KeyBan::Kind, std::string>> asked;
  {
    const std::lock_guard lock(mutex);
    const Account* const account = lease.key->account;
    peers = options.peers;
    if (peers == nullptr || account == nullptr) return true;
    if (lease.probes_account) asked.emplace_back(KeyBan::Kind::blocked, account->name());
    if (lease.probes_key) asked.emplace_back(KeyBan::Kind::refused, lease.key->fingerprint);
  }
  for (const auto& [kind, name] : asked) {
    const TimePoint until = clock.now() + longest_ask;
    const Awaited<Milliseconds> answer;
    peers->take_probe(kind, name, until, answer.callback());
    const Result<Milliseconds, StoreError> left = answer.wait(clock, until);
    if (!left || *left <= Milliseconds(0)) continue;
    const std::lock_guard lock(mutex);
    Account* const account = lease.key->account;
    if (kind == KeyBan::Kind::refused) {
      lease.key->refused.probe_at = clock.now() + *left;
    } else if (account != nullptr) {
      account->blocked.probe_at = clock.now() + *left;
    }
    return false;
  }
  return true;
}

}  // namespace falproxy::inline v0
