#include "wish/length.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>

#include "base/decimal.hpp"
#include "base/text.hpp"

namespace falproxy::inline v0 {

std::optional<double> read_length(const Json& value) {
  const std::optional<std::string_view> text = value.as_string();
  if (!text) return value.as_number();
  const std::string_view word = trim(*text);
  double number = 0;
  const char* const end = word.data() + word.size();
  const auto [rest, fault] = read_decimal(word.data(), end, number, std::chars_format::fixed);
  std::string unit = to_lower(std::string_view(rest, static_cast<std::size_t>(end - rest)));
  std::ranges::replace_if(unit, [](char c) { return c == '_' || c == '-'; }, ' ');
  constexpr std::array units = {"", "s", "sec", "secs", "second", "seconds"};
  if (fault != std::errc() || std::ranges::find(units, trim(unit)) == units.end())
    return std::nullopt;
  return number;
}

}  // namespace falproxy::inline v0
