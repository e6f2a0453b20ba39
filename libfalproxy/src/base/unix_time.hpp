// unix_time.hpp: times as most of the world writes them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/fmt.hpp"
#include "falproxy/clock.hpp"

namespace falproxy::inline v0 {

/// Whole seconds since 1970.
[[nodiscard]] inline std::int64_t unix_seconds(WallTime time) {
  return std::chrono::floor<Seconds>(time.time_since_epoch()).count();
}

/// "2026-11-29T12:00:00Z" (ISO 8601): to the second before.
[[nodiscard]] inline std::string iso_time(WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const auto seconds = std::chrono::floor<Seconds>(time - day).count();
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     seconds / 3600, seconds / 60 % 60, seconds % 60);
}

}  // namespace falproxy::inline v0
