#include "translate/size_terms.hpp"

#include <array>
#include <charconv>

#include "base/text.hpp"

namespace falproxy::translate {
namespace {

constexpr std::size_t longest_word = 48;  // a longer one is a sentence, not a size

// Words by which models offer to choose by themselves; each may be followed by '_' and more
// ("auto_2K").
constexpr std::array<std::string_view, 9> automatic_words = {
    "auto", "automatic", "adaptive", "match", "match_input", "original", "same", "input", "source"};

// fal's presets name a shape and mean, but for the squares, a long side of 1024 pixels.
constexpr std::uint32_t preset_long_side = 1024;

bool starts_a_word(std::string_view text, std::string_view word) noexcept {
  return text.starts_with(word) && (text.size() == word.size() || !is_alnum(text[word.size()]));
}

bool is_automatic(std::string_view text) noexcept {
  for (const std::string_view word : automatic_words) {
    if (starts_a_word(text, word)) return true;
  }
  return false;
}

std::optional<double> take_number(std::string_view& text) noexcept {
  double value = 0;
  const auto [end, fault] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (fault != std::errc{} || !(value > 0) || value > 1e6) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

// The sign between two numbers, taken off; 0 where there is none.
char take_separator(std::string_view& text) noexcept {
  constexpr std::string_view times = "\xc3\x97";  // U+00D7
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  char sign = 0;
  if (text.starts_with(times)) {
    sign = 'x';
    text.remove_prefix(times.size());
  } else if (!text.empty() &&
             std::string_view(":xX*/_-").find(text.front()) != std::string_view::npos) {
    sign = text.front() == 'X' || text.front() == '*' ? 'x' : text.front();
    text.remove_prefix(1);
  }
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  return sign;
}

SizeTerm of_pixels(double width, double height) noexcept {
  SizeTerm term;
  term.pixels = Pixels{static_cast<std::uint32_t>(width), static_cast<std::uint32_t>(height)};
  term.aspect = width / height;
  term.area = width * height;
  return term;
}

bool is_whole(double value) noexcept { return std::trunc(value) == value; }

SizeTerm of_pair(double first, double second) noexcept {
  constexpr double smallest_edge = 64;  // 21 is no edge, and 512 no term of a ratio
  if (first >= smallest_edge && second >= smallest_edge && is_whole(first) && is_whole(second)) {
    return of_pixels(first, second);
  }
  SizeTerm term;
  if (first / second <= 64 && second / first <= 64) term.aspect = first / second;
  return term;
}

// "2k", "720p", "4mp" or "1024", as far as `rest` is what follows the number.
SizeTerm of_tier(double number, std::string_view rest) noexcept {
  SizeTerm term;
  const auto is = [&](std::string_view unit) { return starts_a_word(rest, unit); };
  if (is("k")) {
    term.area = number * 1024 * number * 1024;
  } else if (is("p")) {
    term.area = number * number * 16 / 9;  // lines of a 16:9 picture
  } else if (is("mp") || is("megapixel") || is("megapixels")) {
    term.area = number * 1024 * 1024;
  } else if (rest.empty() && number >= 128) {
    term.area = number * number;
  }
  return term;
}

SizeTerm of_shape(std::string_view text) noexcept {
  const bool square = text.starts_with("square");
  const bool portrait = text.starts_with("portrait");
  if (square && text == "square") return of_pixels(512, 512);
  if (square && text == "square_hd") return of_pixels(1024, 1024);
  SizeTerm term;
  term.aspect = square ? 1.0 : portrait ? 3.0 / 4.0 : 4.0 / 3.0;
  if (square) return term;
  text.remove_prefix(portrait ? 8 : 9);
  if (!text.empty()) text.remove_prefix(1);
  const std::optional<double> longer = take_number(text);
  if (!longer || take_separator(text) == 0) return term;
  const std::optional<double> shorter = take_number(text);
  if (!shorter || *longer < *shorter) return term;
  term.aspect = portrait ? *shorter / *longer : *longer / *shorter;
  const double short_side = preset_long_side * *shorter / *longer;
  if (!is_whole(short_side)) return term;
  return portrait ? of_pixels(short_side, preset_long_side)
                  : of_pixels(preset_long_side, short_side);
}

}  // namespace

SizeTerm read_size_term(std::string_view word) noexcept {
  if (word.empty() || word.size() > longest_word) return {};
  std::array<char, longest_word> lower{};
  std::ranges::transform(word, lower.begin(), [](char c) { return to_lower(c); });
  std::string_view text(lower.data(), word.size());
  if (text.starts_with("square") || text.starts_with("portrait") || text.starts_with("landscape"))
    return of_shape(text);

  SizeTerm term;
  const bool automatic = is_automatic(text);
  const std::size_t digit = text.find_first_of("0123456789");
  if (digit != std::string_view::npos) {
    text.remove_prefix(digit);
    if (const std::optional<double> first = take_number(text)) {
      std::string_view rest = text;
      const char sign = take_separator(rest);
      const std::optional<double> second = sign == 0 ? std::nullopt : take_number(rest);
      term = second ? of_pair(*first, *second) : of_tier(*first, text);
    }
  }
  term.automatic = automatic;
  return term;
}

SizeTerm read_size_term(const Json& value) noexcept {
  if (const auto word = value.as_string()) return read_size_term(*word);
  const auto edge = [](const std::optional<Json>& side) -> double {
    const std::optional<std::int64_t> number = side ? side->as_integer() : std::nullopt;
    return number && *number > 0 && *number <= 1'000'000 ? static_cast<double>(*number) : 0;
  };
  double width = 0;
  double height = 0;
  if (value.is_object()) {
    width = edge(value.find("width"));
    height = edge(value.find("height"));
  } else if (value.is_array() && value.size() == 2) {
    width = edge(value.at(0));
    height = edge(value.at(1));
  } else if (const double number = edge(value); number > 0) {
    return of_tier(number, {});
  }
  return width > 0 && height > 0 ? of_pixels(width, height) : SizeTerm{};
}

}  // namespace falproxy::translate
