// digits.hpp: numbers and times in the lines that every request writes: its heads and its log line.
// fmt takes some thousand instructions for each of them. None may be negative.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string>

namespace falproxy::inline v0 {

/// The last `width` digits of `number`, with zeros before it where it has fewer.
inline void append_digits(std::string& out, std::int64_t number, std::size_t width) {
  out.append(width, '0');
  for (std::size_t i = out.size(); width > 0; --width, number /= 10)
    out[--i] = static_cast<char>('0' + number % 10);
}

/// "08:49:37"
inline void append_time_of_day(std::string& out, const std::tm& time) {
  append_digits(out, time.tm_hour, 2);
  out += ':';
  append_digits(out, time.tm_min, 2);
  out += ':';
  append_digits(out, time.tm_sec, 2);
}

/// `number` in thousandths, as a number with three places: "0.061".
inline void append_thousandths(std::string& out, std::int64_t number) {
  out.append(std::to_string(number / 1000)).append(".");
  append_digits(out, number % 1000, 3);
}

}  // namespace falproxy::inline v0
