// decimal.hpp: std::from_chars() for double, which libc++ before 20 does not have.
#pragma once

#include <charconv>

namespace falproxy::inline v0 {

/// As std::from_chars() with std::chars_format::general or ::fixed, but neither "inf" nor "nan" is
/// a number.
[[nodiscard]] std::from_chars_result read_decimal(
    const char* first, const char* last, double& value,
    std::chars_format format = std::chars_format::general);

/// The same by the standard library's streams: what read_decimal() is where there is nothing
/// better.
[[nodiscard]] std::from_chars_result read_decimal_by_stream(
    const char* first, const char* last, double& value,
    std::chars_format format = std::chars_format::general);

}  // namespace falproxy::inline v0
