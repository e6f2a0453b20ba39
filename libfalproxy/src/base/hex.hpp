// hex.hpp: bytes as text.
#pragma once

#include <string>
#include <string_view>

namespace falproxy::inline v0 {

/// Two small digits for each byte of an array or a text.
template <class Bytes>
[[nodiscard]] std::string hex(const Bytes& bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const auto each : bytes) {
    const auto byte = static_cast<unsigned char>(each);
    text += digits[byte >> 4U];
    text += digits[byte & 15U];
  }
  return text;
}

}  // namespace falproxy::inline v0
