// utf8.hpp: bytes as text: whether they are it, one character after the other, and a piece of it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace falproxy::inline v0 {

/// True where `bytes` are well-formed UTF-8 (Unicode, table 3-7): no overlong forms, no surrogates.
[[nodiscard]] bool is_utf8(std::string_view bytes) noexcept;

/// One character of a text.
struct Character {
  std::size_t length = 1;             ///< in bytes
  std::optional<char32_t> code = {};  ///< none: a byte that is no part of well-formed UTF-8
};
/// What `bytes`, which are not empty, begin with.
[[nodiscard]] Character first_character(std::string_view bytes) noexcept;

/// `text` as it is, or its first `most` bytes, cut at a character's end, and what was left out:
/// "flux... (999996 bytes more)". For every text from outside that goes into an answer, a log or a
/// record.
[[nodiscard]] std::string cut(std::string_view text, std::size_t most);

}  // namespace falproxy::inline v0
