// rate_limit.hpp: how many requests each access key may make: RATE_LIMIT and MAX_IN_FLIGHT_PER_KEY.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "falproxy/clock.hpp"
#include "falproxy/result.hpp"
#include "falproxy/settings.hpp"

namespace falproxy::app {

/// A token bucket that holds a whole period's requests and fills evenly. Time comes in as a
/// parameter.
class TokenBucket {
 public:
  TokenBucket(RateLimit limit, TimePoint now) noexcept
      : limit_(limit), tokens_(static_cast<double>(limit.requests)), at_(now) {}

  /// Takes one token. False: there is none.
  bool take(TimePoint now) noexcept;
  [[nodiscard]] int remaining() const noexcept { return static_cast<int>(tokens_); }
  /// Until a request may be made; zero where there is a token.
  [[nodiscard]] Milliseconds until_next() const noexcept;
  /// Until the bucket is full again.
  [[nodiscard]] Milliseconds until_full() const noexcept;

 private:
  [[nodiscard]] double per_millisecond() const noexcept;
  RateLimit limit_;
  double tokens_;
  TimePoint at_;
};

/// Thread-safe.
class RateLimiter {
 public:
  struct Limits {
    std::optional<RateLimit> rate = std::nullopt;
    int max_in_flight_per_key = 0;  ///< 0: no limit
    bool operator==(const Limits&) const = default;
  };
  explicit RateLimiter(Limits limits) : limits_(limits) {}

  /// One admitted request; gives its place back when it is destroyed.
  class Permit {
   public:
    Permit() = default;
    Permit(Permit&&) = default;
    Permit& operator=(Permit&&) = default;
    /// `x-ratelimit-*`, each "Name: value\r\n"; empty without RATE_LIMIT.
    [[nodiscard]] const std::string& fields() const noexcept { return fields_; }

   private:
    friend class RateLimiter;
    std::shared_ptr<void> place_;
    std::string fields_;
  };

  /// `client`: the access key's name. Errors: rate_limited, with retry_after; `fields` then has the
  /// x-ratelimit-* fields.
  [[nodiscard]] Result<Permit> admit(const std::string& client, TimePoint now, std::string& fields);

  /// Buckets are kept unless the rate changes.
  void reload(Limits limits);

 private:
  struct Client {
    std::optional<TokenBucket> bucket;
    std::shared_ptr<std::atomic<int>> in_flight;
  };
  std::mutex mutex_;
  Limits limits_;
  std::map<std::string, Client, std::less<>> clients_;
};

}  // namespace falproxy::app
