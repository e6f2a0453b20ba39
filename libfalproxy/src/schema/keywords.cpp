#include "schema/keywords.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <optional>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "base/text.hpp"
#include "json/access.hpp"

namespace falproxy::inline v0::schema {

using Raw = nlohmann::json;

bool flag(const Raw& node, std::string_view name) {
  const Raw* value = member_of(node, name);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

namespace {

std::optional<double> number(const Raw& node, std::string_view name) {
  const Raw* value = member_of(node, name);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  return value->get<double>();
}

// The first of the names that is there: pydantic's own words for a bound end up in documents too.
std::optional<double> number(const Raw& node, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    if (const auto value = number(node, name)) return value;
  }
  return std::nullopt;
}

// fal's descriptions are docstrings, indented as their source was.
std::string prose(const Raw& node, std::string_view name) {
  std::string words;
  bool gap = false;
  for (const char c : text_of(node, name)) {
    if (is_blank(c)) {
      gap = !words.empty();
    } else {
      if (gap) words += ' ';
      gap = false;
      words += c;
    }
  }
  return words;
}

// The bytes of a copy, roughly.
std::size_t weight(const Raw& value) {
  std::size_t bytes = sizeof(Raw);
  if (value.is_string()) bytes += value.get_ref<const std::string&>().size();
  if (value.is_structured()) {
    for (const Raw& part : value) bytes += weight(part);
  }
  return bytes;
}

void add_type(Field& field, std::string_view name) {
  if (name == "null") field.nullable = true;
  if (name == "boolean") field.types.boolean = true;
  if (name == "integer") field.types.integer = true;
  if (name == "number") field.types.number = true;
  if (name == "string" || name == "file") field.types.string = true;  // Swagger 2 has "file"
  if (name == "array") field.types.array = true;
  if (name == "object") field.types.object = true;
}

void add_type_of(Field& field, const Json& value) {
  switch (value.kind()) {
    case Json::Kind::null:
      break;
    case Json::Kind::boolean:
      field.types.boolean = true;
      break;
    case Json::Kind::integer:
      field.types.integer = true;
      break;
    case Json::Kind::number:
      field.types.number = true;
      break;
    case Json::Kind::string:
      field.types.string = true;
      break;
    case Json::Kind::array:
      field.types.array = true;
      break;
    case Json::Kind::object:
      field.types.object = true;
      break;
  }
}

// A list may hold null though the type beside it takes none: then it is not allowed.
void read_values(const Raw& node, Field& field) {
  const bool has_type = field.types.any();
  const Raw* list = member_of(node, "enum");
  if (list != nullptr && list->is_array() && !list->empty()) {
    field.allowed = values_in(*list);
    const auto nulls =
        std::erase_if(field.allowed, [](const Json& value) { return value.is_null(); });
    if (nulls > 0 && !has_type) field.nullable = true;
    if (field.allowed.empty()) field.allowed = {Json()};
  }
  // member_of() passes over null, which is a fine constant.
  if (const auto constant = node.find("const"); constant != node.end()) {
    field.allowed = {Json::Access::wrap(*constant)};
    if (constant->is_null() && !has_type) field.nullable = true;
  }
  if (!field.types.any()) {
    for (const Json& value : field.allowed) add_type_of(field, value);
  }
  if (const auto value = node.find("default"); value != node.end()) {
    field.default_value = Json::Access::wrap(*value);
  }
  if (const Raw* examples = member_of(node, "examples");
      examples != nullptr && examples->is_array()) {
    field.examples = values_in(*examples);
  } else if (const Raw* example = member_of(node, "example")) {
    field.examples = {Json::Access::wrap(*example)};
  }
}

// A bound of OpenAPI 3.0 is made exclusive by a flag, one of 3.1 has its own number.
void read_exclusive(const Raw& node, std::string_view name, std::string_view alias,
                    std::optional<double>& inclusive, std::optional<double>& exclusive) {
  exclusive = number(node, {name, alias});
  if (flag(node, name)) exclusive = std::exchange(inclusive, std::nullopt);
}

}  // namespace

std::optional<std::size_t> count_of(const Raw& node, std::string_view name) {
  const auto value = number(node, name);
  constexpr double most = 1e15;
  if (!value || !(*value >= 0 && *value <= most)) return std::nullopt;
  return static_cast<std::size_t>(std::ceil(*value));
}

std::vector<Json> values_in(const Raw& array) {
  const Json copy = Json::Access::wrap(array);
  std::vector<Json> all;
  all.reserve(copy.size());
  for (std::size_t i = 0; i < copy.size(); ++i) all.push_back(copy.at(i));
  return all;
}

void read_types(const Raw& node, Field& field) {
  const Raw* type = member_of(node, "type");
  if (type == nullptr) return;
  if (type->is_string()) add_type(field, type->get_ref<const std::string&>());
  if (type->is_array()) {
    for (const Raw& one : *type) {
      if (one.is_string()) add_type(field, one.get_ref<const std::string&>());
    }
  }
}

void read_bounds(const Raw& node, Field& field) {
  field.minimum = number(node, {"minimum", "ge", "min"});
  field.maximum = number(node, {"maximum", "le", "max"});
  read_exclusive(node, "exclusiveMinimum", "gt", field.minimum, field.exclusive_minimum);
  read_exclusive(node, "exclusiveMaximum", "lt", field.maximum, field.exclusive_maximum);
  field.multiple_of = number(node, "multipleOf");
  if (field.multiple_of && !(*field.multiple_of > 0)) field.multiple_of.reset();
  field.min_length = count_of(node, "minLength");
  field.max_length = count_of(node, "maxLength");
  field.min_items = count_of(node, "minItems");
  field.max_items = count_of(node, "maxItems");
}

namespace {

// Under x-fal, or directly on the property.
void read_limits(const Raw& node, FalLimits& limits) {
  static constexpr std::pair<std::string_view, std::optional<double> FalLimits::*> names[] = {
      {"min_width", &FalLimits::min_width},
      {"max_width", &FalLimits::max_width},
      {"min_height", &FalLimits::min_height},
      {"max_height", &FalLimits::max_height},
      {"min_area", &FalLimits::min_area},
      {"max_area", &FalLimits::max_area},
      {"min_pixels", &FalLimits::min_area},
      {"max_pixels", &FalLimits::max_area},
      {"multiple_of", &FalLimits::multiple_of},
      {"min_aspect_ratio", &FalLimits::min_aspect_ratio},
      {"max_aspect_ratio", &FalLimits::max_aspect_ratio},
      {"max_file_size", &FalLimits::max_file_size},
  };
  for (const auto& [name, limit] : names) {
    if (const auto value = number(node, name); value && *value > 0) limits.*limit = *value;
  }
  if (const Raw* inner = member_of(node, "x-fal")) read_limits(*inner, limits);
}

}  // namespace

std::size_t weight_of_keywords(const Raw& node) {
  std::size_t bytes = 0;
  for (const std::string_view copied : {"title", "description", "pattern", "format", "enum",
                                        "const", "default", "examples", "example"}) {
    if (const Raw* value = member_of(node, copied)) bytes += weight(*value);
  }
  return bytes;
}

Field read_keywords(const Raw& node) {
  Field field;
  field.nullable = flag(node, "nullable") || flag(node, "x-nullable");
  field.deprecated = flag(node, "deprecated");
  field.unique_items = flag(node, "uniqueItems");
  field.title = prose(node, "title");
  field.description = prose(node, "description");
  field.format = text_of(node, "format");
  field.pattern = text_of(node, "pattern");
  field.step = number(node, "step");
  for (const std::string_view name : names_in(node, "required"))
    field.required_names.emplace_back(name);
  read_types(node, field);
  if (field.nullable && !field.types.any() && member_of(node, "type") != nullptr)
    field.allowed = {Json()};  // nothing but null
  read_values(node, field);
  read_bounds(node, field);
  FalLimits limits;
  read_limits(node, limits);
  if (limits != FalLimits{}) field.fal_limits = std::make_shared<const FalLimits>(limits);
  return field;
}

std::vector<std::string_view> names_in(const Raw& node, std::string_view keyword) {
  std::vector<std::string_view> names;
  const Raw* list = member_of(node, keyword);
  if (list == nullptr || !list->is_array()) return names;
  for (const Raw& name : *list) {
    if (name.is_string()) names.push_back(name.get_ref<const std::string&>());
  }
  return names;
}

void put_in_order(std::vector<Field>& properties, const std::vector<std::string_view>& order) {
  std::unordered_map<std::string_view, std::size_t> ranks;
  for (const std::string_view name : order) ranks.emplace(name, ranks.size());
  const auto rank = [&](const Field& field) {
    const auto known = ranks.find(field.name);
    return std::make_tuple(known == ranks.end() ? ranks.size() : known->second, !field.required,
                           std::string_view(field.name));
  };
  std::ranges::sort(properties, {}, rank);
}

}  // namespace falproxy::inline v0::schema
