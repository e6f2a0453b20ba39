// enum_names.hpp: names of enums, written and read by one table.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace falproxy::inline v0 {

/// A row of the table of an enum that is also read.
template <class E>
struct NamedValue {
  std::string_view name;
  E value;
};

/// The first name of `value`; "?": it has none.
template <class E, std::size_t n>
[[nodiscard]] constexpr std::string_view name_in(const NamedValue<E> (&words)[n],
                                                 E value) noexcept {
  for (const NamedValue<E>& word : words) {
    if (word.value == value) return word.name;
  }
  return "?";
}

template <class E, std::size_t n>
[[nodiscard]] constexpr std::optional<E> value_in(const NamedValue<E> (&words)[n],
                                                  std::string_view name) noexcept {
  for (const NamedValue<E>& word : words) {
    if (word.name == name) return word.value;
  }
  return std::nullopt;
}

/// Of an enum whose values count from 0, in their order; "?": it is none of them.
template <class E, std::size_t n>
[[nodiscard]] constexpr std::string_view name_at(const std::string_view (&names)[n],
                                                 E value) noexcept {
  const auto place = static_cast<std::size_t>(value);
  return place < n ? names[place] : "?";
}

}  // namespace falproxy::inline v0
