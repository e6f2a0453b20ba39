// retry.hpp: how often something is tried again, after which pauses, and until when.
#pragma once

#include <algorithm>
#include <limits>
#include <optional>
#include <stop_token>

#include "falproxy/clock.hpp"

namespace falproxy::inline v0 {

/// What the attempts at one kind of errand have in common. Values stand in `retry_policies`.
struct RetryPolicy {
  enum class Pauses {
    doubling,  ///< each is twice the one before
    tenths,    ///< each is a tenth of the time since the first attempt
  };
  static constexpr int any_number = std::numeric_limits<int>::max();

  Pauses pauses = Pauses::doubling;
  Milliseconds first{0};      ///< doubling: the first pause; tenths: no pause is shorter
  Milliseconds longest{0};    ///< no pause is longer, jitter aside
  bool jitter = false;        ///< give or take a quarter
  int attempts = any_number;  ///< the first one included
  /// An attempt that fails this long after the first one began was the last.
  TimePoint::duration patience = TimePoint::duration::max();

  [[nodiscard]] constexpr RetryPolicy at_most(int attempts_in_all) const {
    RetryPolicy policy = *this;
    policy.attempts = attempts_in_all;
    return policy;
  }
};

/// Whether a submit may be repeated at all is Job's to say: it may cost money. All others are free.
namespace retry_policies {

inline constexpr RetryPolicy submit{
    .first = Milliseconds(250), .longest = Seconds(8), .jitter = true};
inline constexpr RetryPolicy upload = submit;
/// Pauses of 0.25, 0.5, 1, 2, 4, 8 and 16 s: a CDN may have a new file later than it is named.
inline constexpr RetryPolicy download{
    .first = Milliseconds(250), .longest = Seconds(16), .patience = Seconds(30)};
inline constexpr RetryPolicy document{.first = Seconds(2), .longest = Seconds(300), .jitter = true};
/// Looks at a job's status, and fetches of its result.
inline constexpr RetryPolicy read{
    .pauses = RetryPolicy::Pauses::tenths, .first = Milliseconds(50), .longest = Seconds(2)};
inline constexpr RetryPolicy cancel{.attempts = 2};
/// An idle connection that turns out to be closed is followed by a new one at once.
inline constexpr RetryPolicy connection{.attempts = 2};

}  // namespace retry_policies

/// The attempts at one errand: which one is under way, and when the next begins. A value without
/// a clock; not thread-safe.
class Retry {
 public:
  /// The first attempt begins at `begin`. No pause goes beyond `deadline`.
  explicit Retry(const RetryPolicy& policy, TimePoint begin,
                 TimePoint deadline = TimePoint::max()) noexcept
      : policy_(policy), begin_(begin), deadline_(deadline) {}

  /// The attempt that is under way, from 1.
  [[nodiscard]] int attempt() const noexcept { return attempt_; }
  [[nodiscard]] TimePoint deadline() const noexcept { return deadline_; }
  /// Somebody waits longer than was known.
  void extend(TimePoint deadline) noexcept { deadline_ = std::max(deadline_, deadline); }

  /// If the attempt that is under way fails at `now`, no other follows.
  [[nodiscard]] bool exhausted(TimePoint now) const noexcept {
    return attempt_ >= policy_.attempts || now >= deadline_ || now - begin_ >= policy_.patience;
  }
  /// The pause after the attempt that is under way, if it fails at `now`. `random` is in [0, 1).
  [[nodiscard]] Milliseconds delay(TimePoint now, double random = 0.5) const noexcept {
    Milliseconds pause = policy_.first;
    if (policy_.pauses == RetryPolicy::Pauses::tenths) {
      pause = std::max(pause, std::chrono::duration_cast<Milliseconds>((now - begin_) / 10));
    } else {
      for (int i = 1; i < attempt_ && pause < policy_.longest; ++i) pause *= 2;
    }
    pause = std::min(pause, policy_.longest);
    if (!policy_.jitter) return pause;
    const double jittered = static_cast<double>(pause.count()) * (0.75 + random / 2);
    return Milliseconds(static_cast<Milliseconds::rep>(jittered));
  }

  /// The attempt that is under way has failed at `now`: the next one begins then; none if this was
  /// the last.
  [[nodiscard]] std::optional<TimePoint> next(TimePoint now, double random = 0.5) noexcept {
    if (exhausted(now)) return std::nullopt;
    const Milliseconds pause = delay(now, random);
    if (attempt_ < RetryPolicy::any_number) ++attempt_;
    return pause < deadline_ - now ? now + pause : deadline_;
  }
  /// The same, for who waits on `clock`. False: there is no next one, or `stop` was requested.
  [[nodiscard]] bool wait(Clock& clock, const std::stop_token& stop, double random = 0.5) {
    const std::optional<TimePoint> then = next(clock.now(), random);
    return then.has_value() && clock.sleep_until(*then, stop);
  }

 private:
  RetryPolicy policy_;
  TimePoint begin_;
  TimePoint deadline_;
  int attempt_ = 1;
};

}  // namespace falproxy::inline v0
