#include "rate_limit.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <string>

namespace falproxy::app {
namespace {

const TimePoint start{std::chrono::hours(1)};

TEST_CASE("a bucket gives a period's requests at once, then one at a time") {
  TokenBucket bucket({.requests = 3, .per = Seconds(60)}, start);
  CHECK(bucket.take(start));
  CHECK(bucket.take(start));
  CHECK(bucket.remaining() == 1);
  CHECK(bucket.take(start));
  CHECK_FALSE(bucket.take(start));
  CHECK(bucket.until_next() == Seconds(20));
  CHECK(bucket.until_full() == Seconds(60));
  CHECK_FALSE(bucket.take(start + Milliseconds(19'999)));
  CHECK(bucket.take(start + Seconds(20)));
  CHECK_FALSE(bucket.take(start + Seconds(20)));
}

TEST_CASE("a bucket never holds more than a period's requests, and time never goes back") {
  TokenBucket bucket({.requests = 2, .per = Seconds(1)}, start);
  CHECK(bucket.take(start + std::chrono::hours(5)));
  CHECK(bucket.remaining() == 1);
  CHECK(bucket.take(start));
  CHECK_FALSE(bucket.take(start));
}

TEST_CASE("each access key has a bucket of its own, and OpenAI's fields say how it stands") {
  RateLimiter limiter({.rate = RateLimit{.requests = 2, .per = Seconds(60)}});
  std::string fields;
  {
    const auto first = limiter.admit("ann", start, fields);
    REQUIRE(first.has_value());
    CHECK(fields ==
          "x-ratelimit-limit-requests: 2\r\nx-ratelimit-remaining-requests: "
          "1\r\nx-ratelimit-reset-requests: 30s\r\n");
  }
  CHECK(limiter.admit("ann", start, fields).has_value());
  const auto third = limiter.admit("ann", start, fields);
  REQUIRE_FALSE(third.has_value());
  CHECK(third.error().kind == ErrorKind::rate_limited);
  CHECK(third.error().retry_after == Milliseconds(30'000));
  CHECK(third.error().message.find("2 requests in 60 s") != std::string::npos);
  CHECK(fields.find("x-ratelimit-reset-requests: 1m0s") != std::string::npos);
  CHECK(limiter.admit("bob", start, fields).has_value());
  CHECK(limiter.admit("ann", start + Seconds(30), fields).has_value());
}

TEST_CASE("only so many requests of a key run at once") {
  RateLimiter limiter({.max_in_flight_per_key = 1});
  std::string fields;
  auto first = limiter.admit("ann", start, fields);
  REQUIRE(first.has_value());
  CHECK(fields.empty());
  CHECK_FALSE(limiter.admit("ann", start, fields).has_value());
  CHECK(limiter.admit("bob", start, fields).has_value());
  std::move(first).value().reset();
  CHECK(limiter.admit("ann", start, fields).has_value());
}

TEST_CASE("runs that go on without their requests count, but for one") {
  RateLimiter limiter({.max_in_flight_per_key = 2});
  std::string fields;
  const auto admits = [&] { return limiter.admit("ann", start, fields); };
  std::vector<Place> followed{limiter.follow("ann")};
  {
    const auto one = admits(), two = admits(), three = admits();
    CHECK(one.has_value());
    CHECK(two.has_value());
    CHECK_FALSE(three.has_value());
  }
  followed.push_back(limiter.follow("ann"));
  {
    const auto one = admits(), two = admits();
    CHECK(one.has_value());
    CHECK_FALSE(two.has_value());
  }
  followed.push_back(limiter.follow("ann"));
  CHECK_FALSE(admits().has_value());
  CHECK(limiter.admit("bob", start, fields).has_value());
  followed.clear();
  CHECK(admits().has_value());
}

TEST_CASE("without limits nothing is counted") {
  RateLimiter limiter({});
  std::string fields;
  for (int i = 0; i < 1000; ++i) CHECK(limiter.admit("ann", start, fields).has_value());
  CHECK(fields.empty());
}

TEST_CASE("a reload keeps what was used, unless the rate is another") {
  RateLimiter limiter({.rate = RateLimit{.requests = 1, .per = Seconds(60)}});
  std::string fields;
  CHECK(limiter.admit("ann", start, fields).has_value());
  limiter.reload(
      {.rate = RateLimit{.requests = 1, .per = Seconds(60)}, .max_in_flight_per_key = 5});
  CHECK_FALSE(limiter.admit("ann", start, fields).has_value());
  limiter.reload({.rate = RateLimit{.requests = 5, .per = Seconds(60)}});
  CHECK(limiter.admit("ann", start, fields).has_value());
}

}  // namespace
}  // namespace falproxy::app
