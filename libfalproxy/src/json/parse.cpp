#include <algorithm>
#include <charconv>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/decimal.hpp"
#include "base/fmt.hpp"
#include "base/utf8.hpp"
#include "json/access.hpp"

namespace falproxy::inline v0 {
namespace {

using Raw = nlohmann::json;

// Reads what is well formed and within the limits, in a fraction of the time that nlohmann's lexer
// takes (docs/decisions/0015). Strings that are more than plain ASCII, and numbers out of range, it
// leaves to nlohmann, and so what it does not understand.
class Reader {
 public:
  Reader(std::string_view text, JsonLimits limits) : rest_(text), limits_(limits) {}

  /// False: the text must be read otherwise, or is none. `root` is then of no meaning.
  bool read(Raw& root) {
    open_.reserve(8);
    Raw* place = &root;
    while (read_value(*place)) {
      if (opened_) {
        if (open_.size() == limits_.max_depth) return false;
        open_.push_back(place);
      }
      if (!next_place(place)) return false;
      if (place == nullptr) return rest_.empty();
    }
    return false;
  }

 private:
  char next() noexcept {
    while (!rest_.empty() &&
           (rest_[0] == ' ' || rest_[0] == '\n' || rest_[0] == '\r' || rest_[0] == '\t')) {
      rest_.remove_prefix(1);
    }
    return rest_.empty() ? '\0' : rest_[0];
  }
  bool take(char c) noexcept {
    if (next() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // A scalar, or the begin of an object or array.
  bool read_value(Raw& value) {
    opened_ = false;
    if (++values_ > limits_.max_values) return false;
    switch (next()) {
      case '{':
        value = Raw::object();
        break;
      case '[':
        value = Raw::array();
        break;
      case '"': {
        std::string text;
        if (!read_string(text)) return false;
        value = std::move(text);
        return true;
      }
      default:
        return read_word(value);
    }
    rest_.remove_prefix(1);
    opened_ = true;
    return true;
  }

  // Where the value after the one at `place` goes; null: the root is complete.
  bool next_place(Raw*& place) {
    bool first = std::exchange(opened_, false);
    while (!open_.empty()) {
      Raw& around = *open_.back();
      if (take(around.is_array() ? ']' : '}')) {
        open_.pop_back();
        first = false;
        continue;
      }
      if (!first && !take(',')) return false;
      if (around.is_array()) {
        place = &around.emplace_back();
        return true;
      }
      std::string name;
      if (next() != '"' || !read_string(name) || !take(':')) return false;
      const auto [member, is_new] = around.get_ref<Raw::object_t&>().try_emplace(std::move(name));
      place = &member->second;
      return is_new || !limits_.unique_names;
    }
    place = nullptr;
    next();
    return true;
  }

  bool read_string(std::string& to) {
    const std::size_t end = find_string_end(rest_, 1);
    if (end == std::string_view::npos) return false;
    const std::string_view literal = rest_.substr(0, end + 1);
    rest_.remove_prefix(end + 1);
    if (const std::string_view content = literal.substr(1, end - 1); stands_for_itself(content)) {
      to = content;
      return true;
    }
    Raw decoded;
    if (!read_by_nlohmann(literal, decoded)) return false;
    to = std::move(decoded.get_ref<std::string&>());
    return true;
  }

  // true, false, null or a number.
  bool read_word(Raw& value) {
    const std::size_t end = std::min(rest_.find_first_of(" \n\r\t,:]}"), rest_.size());
    const std::string_view word = rest_.substr(0, end);
    rest_.remove_prefix(end);
    if (word == "null") return value = nullptr, true;
    if (word == "true" || word == "false") return value = word == "true", true;
    if (!is_number(word)) return false;
    const bool in_range = word.find_first_of(".eE") != std::string_view::npos
                              ? read_number<Raw::number_float_t>(word, value)
                          : word[0] == '-' ? read_number<Raw::number_integer_t>(word, value)
                                           : read_number<Raw::number_unsigned_t>(word, value);
    return in_range || read_by_nlohmann(word, value);
  }

  // RFC 8259, 6.
  static bool is_number(std::string_view word) noexcept {
    const auto skip = [&word](std::string_view any_of) {
      const bool there = !word.empty() && any_of.find(word[0]) != std::string_view::npos;
      if (there) word.remove_prefix(1);
      return there;
    };
    const auto skip_digits = [&word] {
      const std::size_t n = std::min(word.find_first_not_of("0123456789"), word.size());
      word.remove_prefix(n);
      return n > 0;
    };
    skip("-");
    if (!skip("0") && !skip_digits()) return false;
    if (skip(".") && !skip_digits()) return false;
    if (skip("eE")) {
      skip("+-");
      if (!skip_digits()) return false;
    }
    return word.empty();
  }

  template <typename Number>
  static bool read_number(std::string_view word, Raw& value) {
    Number number{};
    const char* const end = word.data() + word.size();
    std::from_chars_result read;
    if constexpr (std::is_floating_point_v<Number>) {
      read = read_decimal(word.data(), end, number);
    } else {
      read = std::from_chars(word.data(), end, number);
    }
    if (read.ec != std::errc()) return false;
    value = number;
    return true;
  }

  static bool read_by_nlohmann(std::string_view text, Raw& value) {
    value = Raw::parse(text.begin(), text.end(), nullptr, false);
    return !value.is_discarded();
  }

  std::string_view rest_;
  const JsonLimits limits_;
  std::vector<Raw*> open_;  // the objects and arrays around; none moves while it is open
  bool opened_ = false;     // the value read last is an object or array that has begun
  std::size_t values_ = 0;
};

// Builds the tree from nlohmann's SAX events, so that a limit ends the parse where it is passed,
// and says what is wrong.
class LimitedBuilder final : public nlohmann::json_sax<Raw> {
 public:
  LimitedBuilder(Raw& root, JsonLimits limits) : root_(root), limits_(limits) {}

  bool null() override { return count() && place(nullptr); }
  bool boolean(bool value) override { return count() && place(value); }
  bool number_integer(number_integer_t value) override { return count() && place(value); }
  bool number_unsigned(number_unsigned_t value) override { return count() && place(value); }
  bool number_float(number_float_t value, const string_t&) override {
    return count() && place(value);
  }
  bool string(string_t& value) override { return count() && place(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // JSON has none
  bool start_object(std::size_t) override { return count() && enter() && open(Raw::object()); }
  bool key(string_t& name) override {
    if (!unique(name)) return false;
    member_ = &(*open_.back())[std::move(name)];
    return true;
  }
  bool end_object() override { return leave(); }
  bool start_array(std::size_t) override { return count() && enter() && open(Raw::array()); }
  bool end_array() override { return leave(); }

  bool parse_error(std::size_t position, const std::string& token,
                   const Raw::exception& fault) override {
    if (!message_.empty()) return false;
    std::string_view what = fault.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while ..."
    if (what.starts_with('[')) what.remove_prefix(std::min(what.find(']') + 2, what.size()));
    if (what.starts_with("parse error at"))
      what.remove_prefix(std::min(what.find(": ") + 2, what.size()));
    if (const std::size_t last = what.find("; last read"); last != std::string_view::npos) {
      const std::size_t expected = what.find("; expected", last);
      const std::string_view tail = expected == std::string_view::npos ? "" : what.substr(expected);
      message_ = fmt::format("at byte {}: {}{}", position, what.substr(0, last), tail);
    } else {
      message_ = fmt::format("at byte {}: {}", position, what);
    }
    (void)token;
    return false;
  }

  [[nodiscard]] const std::string& message() const noexcept { return message_; }
  [[nodiscard]] const std::string& name_twice() const noexcept { return name_twice_; }

 private:
  // The value's place: the root, the end of the open array, or the member that was named last.
  template <typename T>
  bool place(T&& value) {
    if (open_.empty()) {
      root_ = std::forward<T>(value);
    } else if (open_.back()->is_array()) {
      open_.back()->emplace_back(std::forward<T>(value));
    } else {
      *member_ = std::forward<T>(value);
    }
    return true;
  }
  bool open(Raw container) {
    place(std::move(container));
    open_.push_back(open_.empty()              ? &root_
                    : open_.back()->is_array() ? &open_.back()->back()
                                               : member_);
    return true;
  }

  bool count() {
    if (++values_ <= limits_.max_values) return true;
    message_ = fmt::format("more than {} values", limits_.max_values);
    return false;
  }
  bool enter() {
    if (++depth_ <= limits_.max_depth) {
      if (limits_.unique_names) names_.emplace_back();
      return true;
    }
    message_ = fmt::format("nested deeper than {} levels", limits_.max_depth);
    return false;
  }
  bool leave() {
    open_.pop_back();
    --depth_;
    if (limits_.unique_names) names_.pop_back();
    return true;
  }
  bool unique(const std::string& name) {
    if (!limits_.unique_names || names_.back().insert(name).second) return true;
    name_twice_ = name;
    message_ = fmt::format("the name '{}' stands twice in one object", cut(name, 100));
    return false;
  }

  Raw& root_;
  std::vector<Raw*>
      open_;  // the objects and arrays around the next value; none moves while it is open
  Raw* member_ = nullptr;
  JsonLimits limits_;
  std::size_t values_ = 0;
  std::size_t depth_ = 0;
  std::vector<std::set<std::string>>
      names_;  // of each open object or array; kept for unique_names only
  std::string message_;
  std::string name_twice_;
};

}  // namespace

// A quote behind an odd number of backslashes is none.
std::size_t find_string_end(std::string_view text, std::size_t begin) noexcept {
  for (std::size_t end = begin; (end = text.find('"', end)) != std::string_view::npos; ++end) {
    std::size_t first = end;
    while (first > begin && text[first - 1] == '\\') --first;
    if ((end - first) % 2 == 0) return end;
  }
  return std::string_view::npos;
}

// Without a branch for each byte, so that the compiler takes a block of them at once.
bool stands_for_itself(std::string_view text) noexcept {
  constexpr std::size_t block = 16;
  const auto odd = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return static_cast<unsigned char>((byte < ' ') | (byte >= 0x7f) | (byte == '"') |
                                      (byte == '\\'));
  };
  while (text.size() >= block) {
    unsigned char any = 0;
    for (std::size_t i = 0; i < block; ++i) any |= odd(text[i]);
    if (any != 0) return false;
    text.remove_prefix(block);
  }
  return std::ranges::none_of(text, odd);
}

Result<Raw> parse_raw(std::string_view text, JsonLimits limits) {
  Raw root;
  if (Reader(text, limits).read(root)) return root;
  root = nullptr;
  LimitedBuilder builder(root, limits);
  if (!Raw::sax_parse(text.begin(), text.end(), &builder)) {
    // A number out of range stops nlohmann without a message of ours.
    return Error{ErrorKind::invalid_json,
                 builder.message().empty() ? "a number is out of range" : builder.message(),
                 builder.name_twice()};
  }
  return root;
}

}  // namespace falproxy::inline v0
