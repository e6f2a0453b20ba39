#include "falproxy/json.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include <fmt/format.h>

#include "json/access.hpp"

namespace falproxy {
namespace {

using Raw = nlohmann::json;

// Builds the tree through nlohmann's SAX interface, so that a limit ends the parse where it is passed.
class LimitedBuilder final : public nlohmann::json_sax<Raw> {
 public:
  LimitedBuilder(Raw& root, JsonLimits limits) : builder_(root, false), limits_(limits) {}

  bool null() override { return count() && builder_.null(); }
  bool boolean(bool value) override { return count() && builder_.boolean(value); }
  bool number_integer(number_integer_t value) override { return count() && builder_.number_integer(value); }
  bool number_unsigned(number_unsigned_t value) override { return count() && builder_.number_unsigned(value); }
  bool number_float(number_float_t value, const string_t& text) override {
    return count() && builder_.number_float(value, text);
  }
  bool string(string_t& value) override { return count() && builder_.string(value); }
  bool binary(binary_t& value) override { return count() && builder_.binary(value); }
  bool start_object(std::size_t) override { return count() && enter() && builder_.start_object(unknown_size); }
  bool key(string_t& name) override { return unique(name) && builder_.key(name); }
  bool end_object() override { return leave() && builder_.end_object(); }
  bool start_array(std::size_t) override { return count() && enter() && builder_.start_array(unknown_size); }
  bool end_array() override { return leave() && builder_.end_array(); }

  bool parse_error(std::size_t position, const std::string& token, const Raw::exception& fault) override {
    if (!message_.empty()) return false;
    std::string_view what = fault.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while ..."
    if (what.starts_with('[')) what.remove_prefix(std::min(what.find(']') + 2, what.size()));
    if (what.starts_with("parse error at")) what.remove_prefix(std::min(what.find(": ") + 2, what.size()));
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
  static constexpr std::size_t unknown_size = std::numeric_limits<std::size_t>::max();

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

  nlohmann::detail::json_sax_dom_parser<Raw> builder_;
  JsonLimits limits_;
  std::size_t values_ = 0;
  std::size_t depth_ = 0;
  std::vector<std::set<std::string>> names_;  // of each open object or array; kept for unique_names only
  std::string message_;
  std::string name_twice_;
};

}  // namespace

Result<Raw> parse_raw(std::string_view text, JsonLimits limits) {
  Raw root;
  LimitedBuilder builder(root, limits);
  if (!Raw::sax_parse(text.begin(), text.end(), &builder)) {
    // A number out of range stops nlohmann without a message of ours.
    return Error{ErrorKind::invalid_json, builder.message().empty() ? "a number is out of range" : builder.message(),
                 builder.name_twice()};
  }
  return root;
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
    case Raw::value_t::boolean: return Kind::boolean;
    case Raw::value_t::number_integer:
    case Raw::value_t::number_unsigned: return Kind::integer;
    case Raw::value_t::number_float: return Kind::number;
    case Raw::value_t::string: return Kind::string;
    case Raw::value_t::array: return Kind::array;
    case Raw::value_t::object: return Kind::object;
    case Raw::value_t::null:
    case Raw::value_t::binary:
    case Raw::value_t::discarded: break;
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
  const Raw& raw = Access::raw(*this);
  if (raw.is_number_unsigned()) {
    const auto value = raw.get<std::uint64_t>();
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
    return static_cast<std::int64_t>(value);
  }
  if (raw.is_number_integer()) return raw.get<std::int64_t>();
  if (!raw.is_number_float()) return std::nullopt;
  const auto value = raw.get<double>();
  constexpr double limit = 9007199254740992.0;  // 2^53: beyond it a double no longer tells integers apart
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

bool Json::operator==(const Json& other) const noexcept { return Access::raw(*this) == Access::raw(other); }

}  // namespace falproxy
