#include "base/field_parameters.hpp"

#include <utility>

#include "base/text.hpp"
#include "base/utf8.hpp"
#include "falproxy/http.hpp"

namespace falproxy::inline v0 {
namespace {

// Takes one value from the front of `text`. None: its quote does not end.
std::optional<std::string> take_value(std::string_view& text) {
  if (!text.starts_with('"')) {
    const std::string_view value = text.substr(0, text.find(';'));
    text.remove_prefix(value.size());
    return std::string(trim(value));
  }
  std::string value;
  for (std::size_t i = 1; i < text.size(); ++i) {
    const bool escapes =
        text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\');
    if (escapes) {
      value += text[++i];
    } else if (text[i] == '"') {
      text = trim(text.substr(i + 1));
      if (!text.empty() && text.front() != ';') return std::nullopt;
      return value;
    } else {
      value += text[i];
    }
  }
  return std::nullopt;
}

}  // namespace

bool for_each_parameter(std::string_view text,
                        const std::function<bool(const std::string&, std::string)>& f) {
  while (true) {
    const std::size_t semicolon = text.find(';');
    if (semicolon == std::string_view::npos) return trim(text).empty();
    if (!trim(text.substr(0, semicolon)).empty()) return false;
    text = trim(text.substr(semicolon + 1));
    if (text.empty() || text.front() == ';') continue;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || equals > text.find(';')) return false;
    const std::string_view name = trim(text.substr(0, equals));
    text = trim(text.substr(equals + 1));
    std::optional<std::string> value = take_value(text);
    if (!is_token(name) || !value || !f(to_lower(name), std::move(*value))) return false;
  }
}

std::optional<std::string> extended_value(std::string_view text) {
  const std::size_t language = text.find('\'');
  const std::size_t value = text.find('\'', language + 1);
  if (language == std::string_view::npos || value == std::string_view::npos) return std::nullopt;
  if (!equal_ignoring_case(text.substr(0, language), "utf-8")) return std::nullopt;
  std::optional<std::string> decoded = percent_decode(text.substr(value + 1));
  return decoded && is_utf8(*decoded) ? decoded : std::nullopt;
}

}  // namespace falproxy::inline v0
