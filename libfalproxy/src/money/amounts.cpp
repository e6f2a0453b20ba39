#include <charconv>
#include <cmath>
#include <limits>
#include <ostream>

#include "base/text.hpp"
#include "falproxy/money.hpp"

namespace falproxy::inline v0 {
namespace {

constexpr std::int64_t one = 1'000'000'000;
constexpr int places = 9;
constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();

__extension__ using Wide = __int128;

std::int64_t fitting(Wide number) noexcept {
  if (number > most) return most;
  return number < -most ? -most : static_cast<std::int64_t>(number);
}

std::optional<std::int64_t> parse_nano(std::string_view text) noexcept {
  const std::size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  const std::string_view part =
      point == std::string_view::npos ? std::string_view() : text.substr(point + 1);
  const bool has_point = point != std::string_view::npos;
  if (whole.empty() || whole.size() > 10 || part.size() > places || (has_point && part.empty()))
    return std::nullopt;
  Wide number = 0;
  for (const std::string_view digits : {whole, part}) {
    for (const char c : digits) {
      if (!is_digit(c)) return std::nullopt;
      number = number * 10 + (c - '0');
    }
  }
  for (std::size_t i = part.size(); i < places; ++i) number *= 10;
  if (number > most) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

std::optional<std::int64_t> nearest_nano(double number) noexcept {
  const double nano = std::round(number * static_cast<double>(one));
  if (!(number >= 0) || !(nano < 9.2e18)) return std::nullopt;
  return static_cast<std::int64_t>(nano);
}

std::string text_of(std::int64_t nano, std::size_t least_places) {
  const bool negative = nano < 0;
  const auto size =
      negative ? 0 - static_cast<std::uint64_t>(nano) : static_cast<std::uint64_t>(nano);
  std::string part = std::to_string(one + static_cast<std::int64_t>(size % one)).substr(1);
  while (part.size() > least_places && part.back() == '0') part.pop_back();
  return (negative ? "-" : "") + std::to_string(size / one) + (part.empty() ? "" : "." + part);
}

}  // namespace

std::optional<Usd> Usd::parse(std::string_view text) noexcept {
  const std::optional<std::int64_t> nano = parse_nano(text);
  return nano ? std::optional(Usd{*nano}) : std::nullopt;
}
std::optional<Usd> Usd::nearest(double dollars) noexcept {
  const std::optional<std::int64_t> nano = nearest_nano(dollars);
  return nano ? std::optional(Usd{*nano}) : std::nullopt;
}
std::string Usd::to_string() const { return text_of(nano, 2); }

Usd operator+(Usd a, Usd b) noexcept { return {fitting(Wide{a.nano} + b.nano)}; }
Usd operator-(Usd a, Usd b) noexcept { return {fitting(Wide{a.nano} - b.nano)}; }

std::optional<Units> Units::parse(std::string_view text) noexcept {
  const std::optional<std::int64_t> nano = parse_nano(text);
  return nano ? std::optional(Units{*nano}) : std::nullopt;
}
std::optional<Units> Units::nearest(double number) noexcept {
  const std::optional<std::int64_t> nano = nearest_nano(number);
  return nano ? std::optional(Units{*nano}) : std::nullopt;
}
std::string Units::to_string() const { return text_of(nano, 0); }

Units operator+(Units a, Units b) noexcept { return {fitting(Wide{a.nano} + b.nano)}; }

Usd cost(Usd unit_price, Units units) noexcept {
  return {fitting((Wide{unit_price.nano} * units.nano + one / 2) / one)};
}

}  // namespace falproxy::inline v0
