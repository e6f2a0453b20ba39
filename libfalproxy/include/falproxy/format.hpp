// format.hpp: falproxy's values and enums for fmt: fmt::format("{}", error).
//
// The one header that includes fmt (9 or newer). It formats whatever prints by an operator<< of
// falproxy's, as that does.
#pragma once

#include <fmt/format.h>

#include <string_view>

#include "falproxy/print.hpp"

namespace fmt {

/// The text of operator<<, with the width, fill and precision of a string.
template <falproxy::Printed T>
struct formatter<T> : formatter<std::string_view> {
  /// As fmt calls it.
  template <class Context>
  auto format(const T& value, Context& context) const {
    if constexpr (falproxy::Named<T>) {
      return formatter<std::string_view>::format(name_of(value), context);
    } else {
      return formatter<std::string_view>::format(falproxy::printed(value), context);
    }
  }
};

}  // namespace fmt
