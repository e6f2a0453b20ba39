#include "rate_limit.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <iterator>
#include <utility>

#include "base/fmt.hpp"

namespace falproxy::app {
namespace {

// As OpenAI writes durations: "2ms", "58.891s", "6m0s".
std::string duration_text(Milliseconds time) {
  if (time < Seconds(1)) return fmt::format("{}ms", time.count());
  const double seconds = static_cast<double>(time.count()) / 1000;
  const auto minutes = time.count() / 60'000;
  if (minutes == 0) return fmt::format("{:g}s", seconds);
  return fmt::format("{}m{:g}s", minutes, seconds - static_cast<double>(minutes * 60));
}

std::string fields_of(const RateLimit& limit, const TokenBucket& bucket) {
  return fmt::format(
      "x-ratelimit-limit-requests: {}\r\nx-ratelimit-remaining-requests: "
      "{}\r\nx-ratelimit-reset-requests: {}\r\n",
      limit.requests, bucket.remaining(), duration_text(bucket.until_full()));
}

}  // namespace

double TokenBucket::per_millisecond() const noexcept {
  return static_cast<double>(limit_.requests) /
         static_cast<double>(Milliseconds(limit_.per).count());
}

bool TokenBucket::take(TimePoint now) noexcept {
  const double passed = std::chrono::duration<double, std::milli>(std::max(now, at_) - at_).count();
  tokens_ = std::min(static_cast<double>(limit_.requests), tokens_ + passed * per_millisecond());
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

Result<RateLimiter::Permit> RateLimiter::admit(const std::string& client, TimePoint now,
                                               std::string& fields) {
  Permit permit;
  const std::lock_guard lock(mutex_);
  if (!limits_.rate && limits_.max_in_flight_per_key == 0) return permit;
  Client& known = clients_[client];
  if (limits_.max_in_flight_per_key > 0) {
    if (known.in_flight == nullptr) known.in_flight = std::make_shared<std::atomic<int>>(0);
    if (known.in_flight->load() >= limits_.max_in_flight_per_key) {
      return Error{.kind = ErrorKind::rate_limited,
                   .message = fmt::format("At most {} requests of one access key may run at once.",
                                          limits_.max_in_flight_per_key),
                   .retry_after = Seconds(1)};
    }
    known.in_flight->fetch_add(1);
    permit.place_ =
        std::shared_ptr<void>(nullptr, [count = known.in_flight](void*) { count->fetch_sub(1); });
  }
  if (limits_.rate) {
    if (!known.bucket) known.bucket.emplace(*limits_.rate, now);
    const bool taken = known.bucket->take(now);
    fields = fields_of(*limits_.rate, *known.bucket);
    if (!taken) {
      const Milliseconds wait = known.bucket->until_next();
      return Error{.kind = ErrorKind::rate_limited,
                   .message = fmt::format(
                       "Rate limit reached: {} requests in {} s. Please try again in {}.",
                       limits_.rate->requests, limits_.rate->per.count(), duration_text(wait)),
                   .retry_after = wait};
    }
    permit.fields_ = fields;
  }
  return permit;
}

void RateLimiter::reload(Limits limits) {
  const std::lock_guard lock(mutex_);
  if (limits.rate != limits_.rate) {
    for (auto& [name, client] : clients_) client.bucket.reset();
  }
  limits_ = limits;
}

}  // namespace falproxy::app
