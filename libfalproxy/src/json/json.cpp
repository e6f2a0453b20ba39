#include "falproxy/json.hpp"

#include <cmath>
#include <limits>
#include <ostream>
#include <vector>

#include "base/enum_names.hpp"
#include "json/access.hpp"

namespace falproxy::inline v0 {
namespace {

using Raw = nlohmann::json;

}  // namespace

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
Json::Json(std::nullptr_t) noexcept {}

Json Json::boolean(bool value) { return Access::wrap(value); }
Json Json::integer(std::int64_t value) { return Access::wrap(value); }
Json Json::unsigned_integer(std::uint64_t value) { return Access::wrap(value); }
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

Json Json::operator[](std::string_view key) const noexcept { return find(key).value_or(Json()); }

std::vector<Json> Json::elements() const {
  std::vector<Json> all;
  const Raw& raw = Access::raw(*this);
  if (!raw.is_array()) return all;
  all.reserve(raw.size());
  for (const Raw& element : raw) all.push_back(Access::part(*this, element));
  return all;
}

std::vector<std::pair<std::string_view, Json>> Json::members() const {
  std::vector<std::pair<std::string_view, Json>> all;
  const Raw& raw = Access::raw(*this);
  if (!raw.is_object()) return all;
  all.reserve(raw.size());
  for (auto member = raw.begin(); member != raw.end(); ++member)
    all.emplace_back(member.key(), Access::part(*this, *member));
  return all;
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

std::string_view name_of(Json::Kind kind) noexcept {
  constexpr std::string_view names[] = {"null",   "boolean", "integer", "number",
                                        "string", "array",   "object"};
  return name_at(names, kind);
}

std::ostream& operator<<(std::ostream& out, const Json& json) { return out << json.dump(); }

}  // namespace falproxy::inline v0
