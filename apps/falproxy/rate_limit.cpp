#include "rate_limit.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "base/fmt.hpp"
#include "base/handed.hpp"

namespace falproxy::app {
namespace {

// How often those are looked for who have sent no wrong key for long.
constexpr Seconds clearing_interval{10};
// Who is asked for a turn answers long before that, or says that it cannot.
constexpr Seconds longest_ask{1};

// As OpenAI writes durations: "2ms", "58.891s", "6m0s".
std::string duration_text(Milliseconds time) {
  if (time < Seconds(1)) return fmt::format("{}ms", time.count());
  const double seconds = static_cast<double>(time.count()) / 1000;
  const auto minutes = time.count() / 60'000;
  if (minutes == 0) return fmt::format("{:g}s", seconds);
  return fmt::format("{}m{:g}s", minutes, seconds - static_cast<double>(minutes * 60));
}

std::string fields_of(const RateLimit& limit, int remaining, Milliseconds until_full) {
  return fmt::format(
      "x-ratelimit-limit-requests: {}\r\nx-ratelimit-remaining-requests: "
      "{}\r\nx-ratelimit-reset-requests: {}\r\n",
      limit.requests, remaining, duration_text(until_full));
}

Error too_many(int limit) {
  return {.kind = ErrorKind::rate_limited,
          .message = fmt::format("At most {} requests of one access key may run at once.", limit),
          .retry_after = Seconds(1)};
}

Error too_fast(const RateLimit& limit, Milliseconds wait) {
  return {.kind = ErrorKind::rate_limited,
          .message = fmt::format("Rate limit reached: {} requests in {} s. Please try again in {}.",
                                 limit.requests, limit.per.count(), duration_text(wait)),
          .retry_after = wait};
}

}  // namespace

Place take_place(const Count& count) {
  count->fetch_add(1);
  return {count.get(), [count](void*) { count->fetch_sub(1); }};
}

double TokenBucket::per_millisecond() const noexcept {
  return static_cast<double>(limit_.requests) /
         static_cast<double>(Milliseconds(limit_.per).count());
}

double TokenBucket::tokens_at(TimePoint now) const noexcept {
  const double passed = std::chrono::duration<double, std::milli>(std::max(now, at_) - at_).count();
  return std::min(static_cast<double>(limit_.requests), tokens_ + passed * per_millisecond());
}

bool TokenBucket::is_full(TimePoint now) const noexcept {
  return tokens_at(now) >= static_cast<double>(limit_.requests);
}

bool TokenBucket::take(TimePoint now) noexcept {
  tokens_ = tokens_at(now);
  at_ = std::max(now, at_);
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

Milliseconds TokenBucket::until_next() const noexcept {
  return Milliseconds(
      static_cast<std::int64_t>(std::ceil(std::max(0.0, 1 - tokens_) / per_millisecond())));
}

Milliseconds TokenBucket::until_full() const noexcept {
  const double missing = static_cast<double>(limit_.requests) - tokens_;
  return Milliseconds(static_cast<std::int64_t>(std::ceil(missing / per_millisecond())));
}

Result<Place> RateLimiter::admit(const std::string& client, TimePoint now, std::string& fields,
                                 const Limits* own) {
  Place place;
  const std::lock_guard lock(mutex_);
  const Limits limits = own != nullptr ? *own : limits_;
  if (!limits.rate && limits.max_in_flight_per_key == 0) return place;
  Client& known = clients_[client];
  if (limits.max_in_flight_per_key > 0) {
    if (known.in_flight->load() >=
        room_beside(known.followed->load(), limits.max_in_flight_per_key))
      return too_many(limits.max_in_flight_per_key);
    place = take_place(known.in_flight);
  }
  if (limits.rate) {
    if (std::exchange(known.rate, limits.rate) != limits.rate) known.bucket.reset();
    if (!known.bucket) known.bucket.emplace(*limits.rate, now);
    const bool taken = known.bucket->take(now);
    fields = fields_of(*limits.rate, known.bucket->remaining(), known.bucket->until_full());
    if (!taken) return too_fast(*limits.rate, known.bucket->until_next());
  }
  return place;
}

Result<Place> RateLimiter::admit_for_all(const std::string& client, Clock& clock,
                                         std::string& fields, const Limits& own) {
  const bool any = own.rate || own.max_in_flight_per_key > 0;
  if (peers_ == nullptr || !any) return admit(client, clock.now(), fields, &own);
  Turn turn{.client = client, .places = own.max_in_flight_per_key};
  if (own.rate) {
    turn.requests = own.rate->requests;
    turn.period = own.rate->per;
  }
  {
    const std::lock_guard lock(mutex_);
    if (turn.places > 0) {
      turn.places = room_beside(clients_[client].followed->load(), turn.places);
      if (turn.places <= 0) return too_many(own.max_in_flight_per_key);
    }
    turn.ticket = fmt::format("{}.{}", peers_->self().to_string().substr(0, 16), ++tickets_);
  }
  const TimePoint until = clock.now() + longest_ask;
  const Handed<Result<TurnAnswer, StoreError>> answer;
  peers_->take_turn(turn, until, answer.callback());
  const std::optional<Result<TurnAnswer, StoreError>> told = answer.wait(clock, until);
  // It gives back what it may have, also if nobody knows.
  const auto shared = turn.places == 0 ? Place() : Place(peers_, [turn](Peers* peers) {
    peers->give_back(Peers::place_of(turn.client), turn.ticket);
  });
  if (!told || !*told) {
    Limits share = own;
    if (share.rate) share.rate->requests = peers_->share_of(share.rate->requests);
    if (turn.places > 0) share.max_in_flight_per_key = peers_->share_of(own.max_in_flight_per_key);
    Result<Place> here = admit(client, clock.now(), fields, &share);
    if (!here || turn.places == 0) return here;
    return Place(std::make_shared<std::pair<Place, Place>>(*std::move(here), shared));
  }
  const TurnAnswer& turned = **told;
  if (turned.kind == TurnAnswer::Kind::no_place) return too_many(own.max_in_flight_per_key);
  if (own.rate) fields = fields_of(*own.rate, turned.remaining, turned.until_full);
  if (turned.kind == TurnAnswer::Kind::too_fast) return too_fast(*own.rate, turned.until_next);
  if (turn.places == 0) return Place();
  // It counts here, too: for the time when nothing is shared.
  const std::lock_guard lock(mutex_);
  return Place(
      std::make_shared<std::pair<Place, Place>>(take_place(clients_[client].in_flight), shared));
}

Place RateLimiter::follow(const std::string& client) {
  const std::lock_guard lock(mutex_);
  return take_place(clients_[client].followed);
}

void RateLimiter::reload(Limits limits) {
  const std::lock_guard lock(mutex_);
  limits_ = limits;
}

Place WrongKeys::count(std::uint64_t peer, TimePoint now) {
  const std::lock_guard lock(mutex_);
  if (!is_late(peer, now) || late_->load() >= max_late) return nullptr;
  return take_place(late_);
}

bool WrongKeys::is_late(std::uint64_t peer, TimePoint now) {
  auto known = buckets_.find(peer);
  if (known == buckets_.end()) {
    if (buckets_.size() >= max_peers && now >= next_clearing_) {
      std::erase_if(buckets_, [&](const auto& entry) { return entry.second.is_full(now); });
      next_clearing_ = now + clearing_interval;
    }
    if (buckets_.size() >= max_peers) return true;
    known = buckets_.emplace(peer, TokenBucket(at_once, now)).first;
  }
  return !known->second.take(now);
}

}  // namespace falproxy::app
