#include "base/utf8.hpp"

#include <cstddef>

namespace falproxy {
namespace {

// The length of the character that begins with `first`, and the range of its second byte; 0: no
// character begins so.
struct Lead {
  std::size_t length;
  unsigned char low, high;
};

Lead lead(unsigned char first) noexcept {
  if (first < 0x80) return {1, 0, 0};
  if (first < 0xC2) return {0, 0, 0};
  if (first < 0xE0) return {2, 0x80, 0xBF};
  if (first == 0xE0) return {3, 0xA0, 0xBF};
  if (first == 0xED) return {3, 0x80, 0x9F};
  if (first < 0xF0) return {3, 0x80, 0xBF};
  if (first == 0xF0) return {4, 0x90, 0xBF};
  if (first < 0xF4) return {4, 0x80, 0xBF};
  if (first == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

bool is_utf8(std::string_view bytes) noexcept {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  std::size_t i = 0;
  while (i < bytes.size()) {
    const Lead character = lead(at(i));
    if (character.length == 0 || character.length > bytes.size() - i) return false;
    for (std::size_t k = 1; k < character.length; ++k) {
      const unsigned char low = k == 1 ? character.low : 0x80;
      const unsigned char high = k == 1 ? character.high : 0xBF;
      if (at(i + k) < low || at(i + k) > high) return false;
    }
    i += character.length;
  }
  return true;
}

}  // namespace falproxy
