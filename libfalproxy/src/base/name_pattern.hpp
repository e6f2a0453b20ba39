// name_pattern.hpp: names of models with '*' for any characters, in settings.
#pragma once

#include <string_view>

namespace falproxy::inline v0 {

/// Whether all of `name` fits `pattern`, in which '*' stands for any characters, or none. Takes
/// time in proportion to the product of the lengths, at most.
[[nodiscard]] constexpr bool matches_pattern(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0, star = std::string_view::npos, from = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      from = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {  // the last '*' takes one more
      p = star + 1;
      n = ++from;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

}  // namespace falproxy::inline v0
