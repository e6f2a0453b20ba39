// rate_limit.hpp: how many requests each access key may make (RATE_LIMIT, MAX_IN_FLIGHT_PER_KEY),
// and how those are slowed down who try keys out.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "falproxy/clock.hpp"
#include "falproxy/peers.hpp"
#include "falproxy/result.hpp"
#include "falproxy/settings.hpp"

namespace falproxy::app {

/// How many there are of something that ends at its own time.
using Count = std::shared_ptr<std::atomic<int>>;
[[nodiscard]] inline Count new_count() { return std::make_shared<std::atomic<int>>(0); }
/// One of them, until it is destroyed; it may outlive whoever counts. Null: none.
using Place = std::shared_ptr<void>;
[[nodiscard]] Place take_place(const Count& count);

/// How many requests may run beside runs that go on though their requests have ended. Those count
/// against the limit, too, but for one: a key with a limit of one may ask for its only run.
[[nodiscard]] constexpr int room_beside(int followed, int limit) noexcept {
  return limit - followed + (followed > 0 ? 1 : 0);
}

/// A token bucket that holds a whole period's requests and fills evenly. Time comes in as a
/// parameter.
class TokenBucket {
 public:
  TokenBucket(RateLimit limit, TimePoint now) noexcept
      : limit_(limit), tokens_(static_cast<double>(limit.requests)), at_(now) {}

  /// Takes one token. False: there is none.
  bool take(TimePoint now) noexcept;
  /// Nobody has taken one for long.
  [[nodiscard]] bool is_full(TimePoint now) const noexcept;
  [[nodiscard]] int remaining() const noexcept { return static_cast<int>(tokens_); }
  /// Until a request may be made; zero where there is a token.
  [[nodiscard]] Milliseconds until_next() const noexcept;
  /// Until the bucket is full again.
  [[nodiscard]] Milliseconds until_full() const noexcept;

 private:
  [[nodiscard]] double per_millisecond() const noexcept;
  [[nodiscard]] double tokens_at(TimePoint now) const noexcept;
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
  /// `peers`: who else lets requests of the same clients in, so that limits are for all together;
  /// it outlives this and what is admitted. Null: nobody.
  explicit RateLimiter(Limits limits, Peers* peers = nullptr) : limits_(limits), peers_(peers) {}

  /// `client`: the access key's name. `fields`: x-ratelimit-*, each "Name: value\r\n", with
  /// RATE_LIMIT. `own`: the client's own limits, in place of everybody's; null: it has none. A
  /// bucket is kept unless its rate changes. Errors: rate_limited, with retry_after.
  [[nodiscard]] Result<Place> admit(const std::string& client, TimePoint now, std::string& fields,
                                    const Limits* own = nullptr);

  /// The same for all processes together, in one question on `clock`; while that cannot be
  /// answered, for this process's share.
  [[nodiscard]] Result<Place> admit_for_all(const std::string& client, Clock& clock,
                                            std::string& fields, const Limits& own);

  /// A run of the client that goes on though its request has ended, as long as what is returned
  /// lives.
  [[nodiscard]] Place follow(const std::string& client);

  void reload(Limits limits);

 private:
  struct Client {
    std::optional<TokenBucket> bucket = std::nullopt;
    std::optional<RateLimit> rate = std::nullopt;  // of the bucket
    Count in_flight = new_count();
    Count followed = new_count();
  };
  std::mutex mutex_;
  Limits limits_;
  Peers* const peers_;
  std::uint64_t tickets_ = 0;
  std::map<std::string, Client, std::less<>> clients_;
};

/// Counts wrong keys by the address that they come from. Thread-safe; it never reads a clock and
/// never sleeps.
class WrongKeys {
 public:
  /// An address may send so many wrong keys before its answers are late.
  static constexpr RateLimit at_once{.requests = 10, .per = std::chrono::seconds(600)};
  static constexpr Milliseconds delay{1000};
  static constexpr std::size_t max_peers = 4096;  ///< when they are taken, any other is late, too
  static constexpr int max_late = 256;            ///< answers that wait at a time

  /// A wrong key has come. Null: it is answered at once. Else it is answered after `delay`, for as
  /// long as what is returned is held. `peer`: see RequestHead.
  [[nodiscard]] Place count(std::uint64_t peer, TimePoint now);

 private:
  bool is_late(std::uint64_t peer, TimePoint now);

  std::mutex mutex_;
  std::map<std::uint64_t, TokenBucket> buckets_;
  TimePoint next_clearing_{};
  Count late_ = new_count();
};

}  // namespace falproxy::app
