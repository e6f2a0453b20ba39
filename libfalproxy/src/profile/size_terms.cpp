#include "profile/size_terms.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <vector>

#include "base/decimal.hpp"
#include "base/text.hpp"
#include "profile/vocabulary.hpp"

namespace falproxy::inline v0::profile {
namespace {

constexpr std::size_t longest_word = 48;  // a longer one is a sentence, not a size

// fal's presets name a shape and mean, but for the squares, a long side of 1024 pixels.
constexpr std::uint32_t preset_long_side = 1024;

bool starts_a_word(std::string_view text, std::string_view word) noexcept {
  return text.starts_with(word) && (text.size() == word.size() || !is_alnum(text[word.size()]));
}

// Words by which models offer to choose by themselves; each may be followed by '_' and more
// ("auto_2K").
bool is_automatic(std::string_view text) noexcept {
  static const Words& automatic = words("values", "size.automatic");
  return std::ranges::any_of(automatic,
                             [&](const Word& word) { return starts_a_word(text, word.text); });
}

std::optional<double> take_number(std::string_view& text) {
  double value = 0;
  const auto [end, fault] =
      read_decimal(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
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

// "2k", "720p", "4 mp", "1024px" or "1024", as far as `rest` is what follows the number.
SizeTerm of_tier(double number, std::string_view rest) noexcept {
  SizeTerm term;
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  const auto is = [&](std::string_view unit) { return starts_a_word(rest, unit); };
  if (is("k")) {
    term.area = number * 1024 * number * 1024;
    term.lines = number == 2 ? 1440 : number * 540;  // 4K is 2160p
  } else if (is("p")) {
    term.area = number * number * 16 / 9;  // lines of a 16:9 picture
    term.lines = number;
  } else if (is("mp") || is("megapixel") || is("megapixels")) {
    term.area = number * 1024 * 1024;
  } else if ((rest.empty() || is("px")) && number >= 128) {
    term.area = number * number;
    term.lines = number;  // of a video the short side
  }
  return term;
}

// Words that name a shape, alone or before what is more exact: "portrait", "landscape_16_9",
// "Square (1024x1024)".
struct Shape {
  std::string_view word;
  double aspect;
};

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = [] {
    std::vector<Shape> list;
    for (const auto& [name, aspect] :
         {std::pair("shape.square", 1.0), std::pair("shape.portrait", 3.0 / 4),
          std::pair("shape.landscape", 4.0 / 3), std::pair("shape.widescreen", 16.0 / 9)}) {
      for (const Word& word : words("values", name)) list.push_back({word.text, aspect});
    }
    return list;
  }();
  return all;
}

const Shape* find_shape(std::string_view text) noexcept {
  const auto found = std::ranges::find_if(
      shapes(), [&](const Shape& shape) { return starts_a_word(text, shape.word); });
  return found == shapes().end() ? nullptr : &*found;
}

SizeTerm of_shape(const Shape& shape, std::string_view text) noexcept {
  if (text == "square") return of_pixels(512, 512);
  if (text == "square_hd") return of_pixels(1024, 1024);
  SizeTerm term;
  term.aspect = shape.aspect;
  text.remove_prefix(shape.word.size());
  const std::size_t digit = std::min(text.find_first_of("0123456789"), text.size());
  const bool is_preset = digit == 1 && text.front() == '_';
  text.remove_prefix(digit);
  const std::optional<double> first = take_number(text);
  term.vague = !first && shape.aspect != 1;
  if (!first) return term;
  std::string_view rest = text;
  const std::optional<double> second = take_separator(rest) == 0 ? std::nullopt : take_number(rest);
  if (!second) {
    term.area = of_tier(*first, text).area;
    return term;
  }
  const SizeTerm pair = of_pair(*first, *second);
  if (pair.pixels || !pair.aspect || shape.aspect == 1) return pair.pixels ? pair : term;
  const double longer = std::max(*first, *second);
  const double shorter = std::min(*first, *second);
  const bool portrait = shape.aspect < 1;
  term.aspect = portrait ? shorter / longer : longer / shorter;
  const double short_side = preset_long_side * shorter / longer;
  if (!is_preset || !rest.empty() || *first < *second || !is_whole(short_side)) return term;
  return portrait ? of_pixels(short_side, preset_long_side)
                  : of_pixels(preset_long_side, short_side);
}

}  // namespace

Pixels pixels_of_lines(double lines, double aspect) noexcept {
  const auto even = [](double side) {
    return static_cast<std::uint32_t>(2 * std::round(side / 2));
  };
  const std::uint32_t shorter = even(lines);
  const std::uint32_t longer = even(lines * (aspect < 1 ? 1 / aspect : aspect));
  return aspect < 1 ? Pixels{shorter, longer} : Pixels{longer, shorter};
}

SizeTerm read_size_term(std::string_view word) noexcept {
  if (word.empty() || word.size() > longest_word) return {};
  std::array<char, longest_word> lower{};
  std::ranges::transform(word, lower.begin(), [](char c) { return to_lower(c); });
  std::string_view text(lower.data(), word.size());
  if (const Shape* shape = find_shape(text)) return of_shape(*shape, text);

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

}  // namespace falproxy::inline v0::profile
