// pointer.hpp: the place of a value within another one (RFC 6901).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace falproxy::inline v0 {

/// Goes on to a member of an object.
inline void append_step(std::string& pointer, std::string_view member) {
  pointer += '/';
  for (const char c : member) {
    if (c == '~' || c == '/') {
      pointer += c == '~' ? "~0" : "~1";
    } else {
      pointer += c;
    }
  }
}
/// Goes on to an element of an array.
inline void append_step(std::string& pointer, std::size_t element) {
  pointer += '/' + std::to_string(element);
}

}  // namespace falproxy::inline v0
