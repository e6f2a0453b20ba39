#include "wish/size.hpp"

#include <algorithm>
#include <charconv>
#include <numeric>

#include "base/text.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0 {
namespace {

std::optional<std::uint32_t> number(std::string_view digits) noexcept {
  std::uint32_t value = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || fault != std::errc() || end != digits.data() + digits.size())
    return std::nullopt;
  return value;
}

bool is_edge(std::uint32_t pixels) noexcept { return pixels >= 1 && pixels <= max_edge; }

}  // namespace

// "16:9", "19.5:9": the terms in lowest numbers.
std::optional<SizeWish> parse_ratio(std::string_view text) noexcept {
  // A term in tenths.
  const auto tenths = [](std::string_view term) -> std::optional<std::uint32_t> {
    const std::size_t point = std::min(term.find('.'), term.size());
    const auto whole = number(term.substr(0, point));
    if (!whole || *whole > max_edge) return std::nullopt;
    if (point == term.size()) return *whole * 10;
    const std::string_view fraction = term.substr(point + 1);
    if (fraction.size() != 1 || !is_digit(fraction.front())) return std::nullopt;
    return *whole * 10 + static_cast<std::uint32_t>(fraction.front() - '0');
  };
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto width = tenths(trim(text.substr(0, colon)));
  const auto height = tenths(trim(text.substr(colon + 1)));
  if (!width || !height || *width == 0 || *height == 0) return std::nullopt;
  const std::uint32_t divisor = std::gcd(*width, *height);
  return SizeWish{SizeWish::Kind::ratio, *width / divisor, *height / divisor};
}

std::optional<SizeWish> parse_size(std::string_view text) noexcept {
  if (equal_ignoring_case(text, "auto")) return SizeWish{SizeWish::Kind::automatic};
  constexpr std::string_view times = "\xc3\x97";  // U+00D7
  const std::size_t at = std::min(text.find_first_of("xX*"), text.find(times));
  if (at == std::string_view::npos) return parse_ratio(text);
  const std::size_t sign = text.substr(at).starts_with(times) ? times.size() : 1;
  const auto width = number(text.substr(0, at));
  const auto height = number(text.substr(at + sign));
  if (!width || !height || !is_edge(*width) || !is_edge(*height)) return std::nullopt;
  return SizeWish{SizeWish::Kind::pixels, *width, *height};
}

Result<SizeWish> SizeWish::parse(std::string_view text) {
  if (const std::optional<SizeWish> size = parse_size(trim(text))) return *size;
  return wording::unsupported_size(text);
}

}  // namespace falproxy::inline v0
