// parse_env follows the one regular expression of npm's dotenv (18.0, lib: `parse`), which decides
// what a .env file means:
//
//   ^\s*(?:export\s+)?([\w.-]+)(?:\s*=\s*?|:\s+?)
//   (\s*'(?:\\'|[^'])*'|\s*"(?:\\"|[^"])*"|\s*`(?:\\`|[^`])*`|[^#\r\n]+)?\s*(?:#.*)?$
//
// (in one line), applied with the flags m and g to the text with CRLF and CR made LF, then: trim,
// take off one pair of quotes, and expand \n and \r where the value began with '"'.
// tests/settings/dotenv_cases.json holds it against dotenv itself.
#include <algorithm>
#include <optional>

#include "base/text.hpp"
#include "falproxy/settings.hpp"

namespace falproxy::inline v0 {
namespace {

// '\n', U+2028 or U+2029 at `at`: its length in bytes, else 0.
std::size_t line_end_at(std::string_view text, std::size_t at) {
  if (at >= text.size()) return 0;
  if (text[at] == '\n') return 1;
  const std::string_view three = text.substr(at, 3);
  return three == "\u2028" || three == "\u2029" ? 3 : 0;
}

// What JavaScript's \s matches (ECMA-262, 22.2.2.9): its length in bytes, else 0.
std::size_t blank_at(std::string_view text, std::size_t at) {
  if (at >= text.size()) return 0;
  const char c = text[at];
  if (c == ' ' || (c >= '\t' && c <= '\r')) return 1;
  if (text.substr(at, 2) == "\u00A0") return 2;
  const std::string_view three = text.substr(at, 3);
  if (three >= "\u2000" && three <= "\u200A") return 3;
  constexpr std::string_view others[] = {"\uFEFF", "\u1680", "\u2028", "\u2029",
                                         "\u202F", "\u205F", "\u3000"};
  return std::ranges::find(others, three) != std::end(others) ? 3 : 0;
}

std::size_t skip_blanks(std::string_view text, std::size_t at) {
  while (const std::size_t length = blank_at(text, at)) at += length;
  return at;
}

std::size_t skip_line(std::string_view text, std::size_t at) {
  while (at < text.size() && line_end_at(text, at) == 0) ++at;
  return at;
}

std::string_view trim_blanks(std::string_view text) {
  text.remove_prefix(skip_blanks(text, 0));
  std::size_t end = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = blank_at(text, at);
    at += length == 0 ? 1 : length;
    if (length == 0) end = at;
  }
  return text.substr(0, end);
}

bool is_quote(char c) { return c == '"' || c == '\'' || c == '`'; }
bool is_name_char(char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; }

std::string with_unix_lines(std::string_view text) {
  std::string lines;
  lines.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      lines += '\n';
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    } else {
      lines += text[i];
    }
  }
  return lines;
}

// value.replace(/^(['"`])([\s\S]*)\1$/mg, '$2'): from a quote that begins a line to the last one
// like it that ends one.
std::string without_quotes(std::string_view value) {
  std::string bare;
  std::size_t at = 0;
  while (at < value.size()) {
    const bool begins_line =
        at == 0 || value[at - 1] == '\n' || (at >= 3 && line_end_at(value, at - 3) == 3);
    std::size_t close = begins_line && is_quote(value[at]) ? value.rfind(value[at]) : at;
    while (close > at && close + 1 < value.size() && line_end_at(value, close + 1) == 0) {
      close = value.rfind(value[at], close - 1);
    }
    if (close > at) {
      bare += value.substr(at + 1, close - at - 1);
      at = close + 1;
    } else {
      bare += value[at++];
    }
  }
  return bare;
}

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (std::size_t at = text.find(what); at != std::string::npos;
       at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
}

struct Assignment {
  std::string_view name;
  std::string value;
  std::size_t name_at = 0;
  std::size_t end = 0;
  bool cut_by_hash = false;
  bool unclosed_quote = false;
};

class EnvReader {
 public:
  EnvReader(std::string_view text, EnvFile& into) : text_(text), into_(into) {}

  void read() {
    for (std::size_t at = skip_blanks(text_, 0); at < text_.size(); at = skip_blanks(text_, at)) {
      if (const std::optional<Assignment> found = assignment(at)) {
        keep(*found);
        at = found->end;
      } else {
        if (text_[at] != '#') {
          warn(line_of(at), "", "this line is not NAME=value and is ignored",
               "begin it with '#' if it is a comment");
        }
        at = skip_line(text_, at);
      }
    }
  }

 private:
  std::optional<Assignment> assignment(std::size_t at) const {
    constexpr std::string_view keyword = "export";
    if (text_.substr(at).starts_with(keyword) && blank_at(text_, at + keyword.size()) != 0) {
      if (auto found = named(skip_blanks(text_, at + keyword.size()))) return found;
    }
    return named(at);
  }

  std::optional<Assignment> named(std::size_t at) const {
    std::size_t name_end = at;
    while (name_end < text_.size() && is_name_char(text_[name_end])) ++name_end;
    if (name_end == at) return std::nullopt;
    Assignment found{.name = text_.substr(at, name_end - at), .value = {}, .name_at = at};
    const std::size_t sign = skip_blanks(text_, name_end);
    if (sign < text_.size() && text_[sign] == '=') {
      read_value(sign + 1, found);
      return found;
    }
    if (name_end < text_.size() && text_[name_end] == ':') {
      if (const std::size_t blank = blank_at(text_, name_end + 1)) {
        read_value(name_end + 1 + blank, found);
        return found;
      }
    }
    return std::nullopt;
  }

  void read_value(std::size_t at, Assignment& found) const {
    std::string_view raw;
    const std::size_t open = skip_blanks(text_, at);
    const std::size_t close =
        open < text_.size() && is_quote(text_[open]) ? closing_quote(open) : open;
    if (close > open) {
      raw = text_.substr(open, close + 1 - open);
      found.end = skip_line(text_, close + 1);
    } else {
      const std::size_t end = std::min(text_.find_first_of("#\n", at), text_.size());
      raw = trim_blanks(text_.substr(at, end - at));
      found.cut_by_hash = end < text_.size() && text_[end] == '#' && text_[end - 1] != ' ' &&
                          text_[end - 1] != '\t';
      found.unclosed_quote =
          !raw.empty() && is_quote(raw.front()) && (raw.size() == 1 || raw.back() != raw.front());
      found.end = end < text_.size() && text_[end] == '#' ? skip_line(text_, end) : end;
    }
    found.value = without_quotes(raw);
    if (raw.starts_with('"')) {
      replace_all(found.value, "\\n", "\n");
      replace_all(found.value, "\\r", "\r");
    }
  }

  // The first quote without a backslash before it, if only a comment follows on its line; else the
  // last escaped one before it of which that is true (where the expression backtracks); else
  // `open`.
  std::size_t closing_quote(std::size_t open) const {
    std::size_t best = open;
    for (std::size_t at = text_.find(text_[open], open + 1); at != std::string_view::npos;
         at = text_.find(text_[open], at + 1)) {
      std::size_t after = at + 1;
      while (line_end_at(text_, after) == 0 && blank_at(text_, after) != 0)
        after += blank_at(text_, after);
      if (after >= text_.size() || text_[after] == '#' || line_end_at(text_, after) != 0) best = at;
      if (text_[at - 1] != '\\') break;
    }
    return best;
  }

  void keep(const Assignment& found) {
    const int line = line_of(found.name_at);
    if (found.cut_by_hash) {
      warn(line, found.name, "the value ends before '#'",
           "put the value in quotes if '#' belongs to it, or a blank before '#' if a comment is "
           "meant");
    }
    if (found.unclosed_quote) {
      warn(line, found.name,
           "the value begins with a quote that does not close it, and keeps its quotes",
           "close the quote at the end of the value");
    }
    const auto same = std::ranges::find(into_.entries, found.name, &EnvEntry::name);
    if (same != into_.entries.end()) {
      warn(line, found.name,
           "it stands in line " + std::to_string(same->line) + " already; this one counts",
           "remove one of the two");
      into_.entries.erase(same);
    }
    into_.entries.push_back({std::string(found.name), found.value, line});
  }

  void warn(int line, std::string_view name, std::string message, std::string mend) {
    into_.warnings.push_back(
        {into_.file, line, std::string(name), std::move(message), std::move(mend)});
  }

  // Asked in order of position only.
  int line_of(std::size_t at) {
    line_ += static_cast<int>(std::ranges::count(text_.substr(counted_, at - counted_), '\n'));
    counted_ = at;
    return line_;
  }

  std::string_view text_;
  EnvFile& into_;
  std::size_t counted_ = 0;
  int line_ = 1;
};

}  // namespace

EnvFile parse_env(std::string_view text, std::string file) {
  EnvFile env;
  env.file = std::move(file);
  const std::string lines = with_unix_lines(text);
  EnvReader(lines, env).read();
  return env;
}

}  // namespace falproxy::inline v0
