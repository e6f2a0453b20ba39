// http_date.hpp: dates as HTTP headers write them.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace falproxy::inline v0 {

/// Reads `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7: the one form that is still generated).
[[nodiscard]] std::optional<std::chrono::sys_seconds> parse_http_date(
    std::string_view text) noexcept;

}  // namespace falproxy::inline v0
