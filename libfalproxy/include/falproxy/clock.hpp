// clock.hpp: where time comes from. The library reads no clock of its own.
#pragma once

#include <chrono>
#include <stop_token>

namespace falproxy::inline v0 {

/// A point on the monotonic clock: for deadlines and durations.
using TimePoint = std::chrono::steady_clock::time_point;
/// A point on the calendar: for `created`, cache ages and logs.
using WallTime = std::chrono::system_clock::time_point;
using Milliseconds = std::chrono::milliseconds;  ///< of back-off and waits
using Seconds = std::chrono::seconds;            ///< of settings

/// The deadline of what waits as long as it takes: so far away that nobody sees it pass, and near
/// enough for times to be added to it.
inline constexpr TimePoint no_deadline{std::chrono::hours(24 * 365 * 100)};

/// Thread-safe. `SystemClock` of falproxy::http is the real one; tests step a virtual one.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Never goes back; its zero means nothing.
  [[nodiscard]] virtual TimePoint now() const = 0;
  /// UTC; may jump when the machine's clock is set.
  [[nodiscard]] virtual WallTime wall_now() const = 0;
  /// Blocks until `until` or until a stop is requested. Returns false when it was stopped first.
  virtual bool sleep_until(TimePoint until, std::stop_token stop) = 0;
};

}  // namespace falproxy::inline v0
