#include "base/utf8.hpp"

namespace falproxy::inline v0 {
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

Character first_character(std::string_view bytes) noexcept {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const Lead character = lead(at(0));
  if (character.length == 0 || character.length > bytes.size()) return {};
  constexpr unsigned char bits_of_first[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
  char32_t code = at(0) & bits_of_first[character.length];
  for (std::size_t k = 1; k < character.length; ++k) {
    const unsigned char low = k == 1 ? character.low : 0x80;
    const unsigned char high = k == 1 ? character.high : 0xBF;
    if (at(k) < low || at(k) > high) return {};
    code = (code << 6) | (at(k) & 0x3FU);
  }
  return {character.length, code};
}

bool is_utf8(std::string_view bytes) noexcept {
  while (!bytes.empty()) {
    const Character next = first_character(bytes);
    if (!next.code.has_value()) return false;
    bytes.remove_prefix(next.length);
  }
  return true;
}

std::string cut(std::string_view text, std::size_t most) {
  if (text.size() <= most) return std::string(text);
  std::size_t end = most;
  // A character has at most three bytes after its first.
  while (end > 0 && most - end < 3 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  std::string piece(text.substr(0, end));
  return piece.append("... (").append(std::to_string(text.size() - end)).append(" bytes more)");
}

}  // namespace falproxy::inline v0
