// decimal.hpp: numbers in texts. Not std::from_chars(), which libc++ before 20 has for integers
// only.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

namespace falproxy::inline v0::testing {

/// The number that `text` begins with: 5 of "5s", 1.5 of "1.5". 0: it begins with none.
[[nodiscard]] inline double number_at_front(std::string_view text) {
  const std::string_view digits =
      text.substr(0, std::min(text.find_first_not_of("0123456789."), text.size()));
  const auto number = nlohmann::json::parse(digits, nullptr, false);
  return number.is_number() ? number.get<double>() : 0.0;
}

/// The same, and 0 if something follows it.
[[nodiscard]] inline double number_in(std::string_view text) {
  return text.find_first_not_of("0123456789.") == std::string_view::npos ? number_at_front(text)
                                                                         : 0.0;
}

}  // namespace falproxy::inline v0::testing
