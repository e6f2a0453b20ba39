#include "falproxy/json.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "base/fmt.hpp"
#include "json/access.hpp"

namespace falproxy {
namespace {

using Raw = nlohmann::json;

// A text without what stands in its longer strings, where that is plain. nlohmann's lexer goes
// through a string byte by byte and keeps it twice before it is a value; here it is found with
// memchr() and copied once, from the text itself.
class Shortened {
 public:
  struct LeftOut {
    std::size_t ordinal;   // of the string among all strings of the text, names included
    std::size_t position;  // in the short text, where the content was
    std::string_view content;
  };

  explicit Shortened(std::string_view text) : text_(text) {
    std::size_t kept = 0;
    std::size_t begin = text.find('"');
    for (std::size_t ordinal = 0; begin != std::string_view::npos; ++ordinal) {
      const std::size_t end = find_string_end(text, ++begin);
      if (end == std::string_view::npos) break;
      if (const std::string_view content = text.substr(begin, end - begin);
          content.size() >= worth_leaving_out() && stands_for_itself(content)) {
        if (left_out_.empty()) {  // as much as most answers of fal's queue need
          left_out_.reserve(16);
          short_.reserve(std::min<std::size_t>(text.size(), 512));
        }
        short_.append(text.substr(kept, begin - kept));
        left_out_.push_back({ordinal, short_.size(), content});
        kept = end;
      }
      begin = text.find('"', end + 1);
    }
    if (left_out_.empty()) return;
    short_.append(text.substr(kept));
    text_ = short_;
  }
  Shortened(const Shortened&) = delete;
  Shortened& operator=(const Shortened&) = delete;

  [[nodiscard]] std::string_view text() const noexcept { return text_; }
  [[nodiscard]] const std::vector<LeftOut>& left_out() const noexcept { return left_out_; }

 private:
  // Short ones as long as there are few, so that a hostile text does not fill the memory with what
  // is kept of each.
  [[nodiscard]] std::size_t worth_leaving_out() const noexcept {
    constexpr std::size_t few = 4096;
    return left_out_.size() < few ? 6 : 64u << 10;
  }

  std::string_view text_;
  std::string short_;
  std::vector<LeftOut> left_out_;
};

// Builds the tree from nlohmann's SAX events, so that a limit ends the parse where it is passed.
class LimitedBuilder final : public nlohmann::json_sax<Raw> {
 public:
  LimitedBuilder(Raw& root, JsonLimits limits, const std::vector<Shortened::LeftOut>& left_out)
      : root_(root), limits_(limits), left_out_(left_out) {}

  bool null() override { return count() && place(nullptr); }
  bool boolean(bool value) override { return count() && place(value); }
  bool number_integer(number_integer_t value) override { return count() && place(value); }
  bool number_unsigned(number_unsigned_t value) override { return count() && place(value); }
  bool number_float(number_float_t value, const string_t&) override {
    return count() && place(value);
  }
  bool string(string_t& value) override { return count() && place(whole(value)); }
  bool binary(binary_t&) override { return false; }  // JSON has none
  bool start_object(std::size_t) override { return count() && enter() && open(Raw::object()); }
  bool key(string_t& name) override {
    name = whole(name);
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
    position += left_out_before(position);
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

  // The string that comes next in the text.
  std::string whole(string_t& value) {
    const std::size_t ordinal = strings_++;
    if (next_left_out_ == left_out_.size() || left_out_[next_left_out_].ordinal != ordinal)
      return std::move(value);
    return std::string(left_out_[next_left_out_++].content);
  }

  [[nodiscard]] std::size_t left_out_before(std::size_t position) const noexcept {
    std::size_t bytes = 0;
    for (const Shortened::LeftOut& string : left_out_) {
      if (string.position < position) bytes += string.content.size();
    }
    return bytes;
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
    message_ = fmt::format("the name '{}' stands twice in one object", name);
    return false;
  }

  Raw& root_;
  std::vector<Raw*>
      open_;  // the objects and arrays around the next value; none moves while it is open
  Raw* member_ = nullptr;
  JsonLimits limits_;
  const std::vector<Shortened::LeftOut>& left_out_;
  std::size_t next_left_out_ = 0;
  std::size_t strings_ = 0;
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
  const Shortened shortened(text);
  LimitedBuilder builder(root, limits, shortened.left_out());
  const std::string_view read = shortened.text();
  if (!Raw::sax_parse(read.begin(), read.end(), &builder)) {
    // A number out of range stops nlohmann without a message of ours.
    return Error{ErrorKind::invalid_json,
                 builder.message().empty() ? "a number is out of range" : builder.message(),
                 builder.name_twice()};
  }
  return root;
}

const Raw* member_of(const Raw& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string text_of(const Raw& object, std::string_view name) {
  const Raw* member = member_of(object, name);
  return member != nullptr && member->is_string() ? member->get<std::string>() : std::string();
}

std::string json_string(std::string_view text) {
  if (!stands_for_itself(text)) return dump_raw(std::string(text));
  std::string literal;
  literal.reserve(text.size() + 2);
  return literal.append("\"").append(text).append("\"");
}

std::string dump_raw(const Raw& value, int indent) {
  return value.dump(indent, ' ', false, Raw::error_handler_t::replace);
}

Json::Json() noexcept = default;

Json Json::boolean(bool value) { return Access::wrap(value); }
Json Json::integer(std::int64_t value) { return Access::wrap(value); }
Json Json::number(double value) { return std::isfinite(value) ? Access::wrap(value) : Json(); }
Json Json::string(std::string_view value) { return Access::wrap(std::string(value)); }

Json Json::array(const std::vector<Json>& elements) {
  Raw raw = Raw::array();
  for (const Json& element : elements) raw.push_back(Access::raw(element));
  return Access::wrap(std::move(raw));
}

Json Json::object(const std::vector<std::pair<std::string, Json>>& members) {
  Raw raw = Raw::object();
  for (const auto& [name, value] : members) raw[name] = Access::raw(value);
  return Access::wrap(std::move(raw));
}

Result<Json> Json::parse(std::string_view text, JsonLimits limits) {
  Result<Raw> raw = parse_raw(text, limits);
  if (!raw) return std::move(raw).error();
  return Access::wrap(std::move(*raw));
}

Json::Kind Json::kind() const noexcept {
  switch (Access::raw(*this).type()) {
    case Raw::value_t::boolean:
      return Kind::boolean;
    case Raw::value_t::number_integer:
    case Raw::value_t::number_unsigned:
      return Kind::integer;
    case Raw::value_t::number_float:
      return Kind::number;
    case Raw::value_t::string:
      return Kind::string;
    case Raw::value_t::array:
      return Kind::array;
    case Raw::value_t::object:
      return Kind::object;
    case Raw::value_t::null:
    case Raw::value_t::binary:
    case Raw::value_t::discarded:
      break;
  }
  return Kind::null;
}

bool Json::is_numeric() const noexcept { return Access::raw(*this).is_number(); }

std::optional<bool> Json::as_boolean() const noexcept {
  const Raw& raw = Access::raw(*this);
  if (!raw.is_boolean()) return std::nullopt;
  return raw.get<bool>();
}

std::optional<std::int64_t> Json::as_integer() const noexcept {
  return falproxy::as_integer(Access::raw(*this));
}

std::optional<std::int64_t> as_integer(const Raw& raw) noexcept {
  if (raw.is_number_unsigned()) {
    const auto value = raw.get<std::uint64_t>();
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return std::nullopt;
    return static_cast<std::int64_t>(value);
  }
  if (raw.is_number_integer()) return raw.get<std::int64_t>();
  if (!raw.is_number_float()) return std::nullopt;
  const auto value = raw.get<double>();
  constexpr double limit =
      9007199254740992.0;  // 2^53: beyond it a double no longer tells integers apart
  if (!(std::abs(value) <= limit) || std::trunc(value) != value) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

std::optional<double> Json::as_number() const noexcept {
  const Raw& raw = Access::raw(*this);
  if (!raw.is_number()) return std::nullopt;
  return raw.get<double>();
}

std::optional<std::string_view> Json::as_string() const noexcept {
  const Raw& raw = Access::raw(*this);
  if (!raw.is_string()) return std::nullopt;
  return std::string_view(raw.get_ref<const std::string&>());
}

std::size_t Json::size() const noexcept {
  const Raw& raw = Access::raw(*this);
  return raw.is_structured() ? raw.size() : 0;
}

Json Json::at(std::size_t index) const noexcept {
  const Raw& raw = Access::raw(*this);
  if (!raw.is_array() || index >= raw.size()) return {};
  return Access::part(*this, raw[index]);
}

std::optional<Json> Json::find(std::string_view key) const noexcept {
  const Raw& raw = Access::raw(*this);
  if (!raw.is_object()) return std::nullopt;
  const auto found = raw.find(key);
  if (found == raw.end()) return std::nullopt;
  return Access::part(*this, *found);
}

std::vector<std::string_view> Json::keys() const {
  std::vector<std::string_view> names;
  const Raw& raw = Access::raw(*this);
  if (!raw.is_object()) return names;
  names.reserve(raw.size());
  for (auto member = raw.begin(); member != raw.end(); ++member) names.push_back(member.key());
  return names;
}

std::string Json::dump(int indent) const { return dump_raw(Access::raw(*this), indent); }

bool Json::operator==(const Json& other) const noexcept {
  return Access::raw(*this) == Access::raw(other);
}

}  // namespace falproxy
