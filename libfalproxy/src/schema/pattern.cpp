#include "schema/pattern.hpp"

#include <algorithm>
#include <charconv>
#include <regex>
#include <string>

#include "base/text.hpp"

namespace falproxy::inline v0::schema {
namespace {

constexpr std::size_t longest_pattern = 256;
constexpr std::size_t longest_text = 256;  // what an unanchored pattern takes grows with its square
constexpr std::size_t most_states = 2000;

// libstdc++ can match without backtracking: its time is then polynomial, and its stack is bounded
// by the pattern alone. The other libraries give up with error_complexity.
#ifdef __GLIBCXX__
constexpr auto syntax = std::regex_constants::ECMAScript | std::regex_constants::__polynomial;
#else
constexpr auto syntax = std::regex_constants::ECMAScript;
#endif

// An upper bound on what std::regex unfolds counted repetitions ("{2,1000}") to.
std::size_t unfolded_size(std::string_view pattern) {
  std::size_t size = pattern.size();
  for (std::size_t i = 0; i < pattern.size() && size <= most_states; ++i) {
    if (pattern[i] != '{') continue;
    std::size_t most = 1;
    for (const char* at = pattern.data() + i + 1;
         at != pattern.data() + pattern.size() && *at != '}';) {
      std::size_t count = 0;
      const auto [end, fault] = std::from_chars(at, pattern.data() + pattern.size(), count);
      if (fault == std::errc::result_out_of_range) return most_states + 1;
      most = std::max(most, std::min(count, most_states));
      at = end == at ? at + 1 : end;
    }
    size *= most;
  }
  return size;
}

std::wstring code_points(std::string_view utf8) {
  std::wstring wide;
  char32_t point = 0;
  int missing = 0;
  for (const char c : utf8) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0xC0) {
      missing = byte >= 0xF0 ? 3 : byte >= 0xE0 ? 2 : 1;
      point = byte & (0x3Fu >> missing);
    } else if (byte >= 0x80 && missing > 0) {
      point = point << 6 | (byte & 0x3Fu);
      --missing;
    } else {
      point = byte;
      missing = 0;
    }
    if (missing == 0) wide += static_cast<wchar_t>(point);
  }
  return wide;
}

}  // namespace

std::optional<bool> matches_pattern(std::string_view pattern, std::string_view text) {
  if (pattern.size() > longest_pattern || text.size() > longest_text ||
      unfolded_size(pattern) > most_states)
    return std::nullopt;
  try {
    const std::wregex expression(code_points(pattern), syntax);
    return std::regex_search(code_points(text), expression);
  } catch (const std::regex_error&) {
    return std::nullopt;
  }
}

}  // namespace falproxy::inline v0::schema
