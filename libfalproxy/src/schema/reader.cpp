#include "schema/reader.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <initializer_list>
#include <memory>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "json/access.hpp"
#include "schema/narrow.hpp"

namespace falproxy::schema {
namespace {

using Raw = nlohmann::json;

const Raw* find(const Raw& node, std::string_view name) {
  if (!node.is_object()) return nullptr;
  const auto found = node.find(name);
  return found == node.end() || found->is_null() ? nullptr : &*found;
}

std::optional<double> number(const Raw& node, std::string_view name) {
  const Raw* value = find(node, name);
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

std::optional<std::size_t> count(const Raw& node, std::string_view name) {
  const auto value = number(node, name);
  constexpr double most = 1e15;
  if (!value || !(*value >= 0 && *value <= most)) return std::nullopt;
  return static_cast<std::size_t>(std::ceil(*value));
}

bool flag(const Raw& node, std::string_view name) {
  const Raw* value = find(node, name);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

std::string text(const Raw& node, std::string_view name) {
  const Raw* value = find(node, name);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

// fal's descriptions are docstrings, indented as their source was.
std::string prose(const Raw& node, std::string_view name) {
  std::string words;
  bool gap = false;
  for (const char c : text(node, name)) {
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

// The first of several schemas that are all the same.
std::optional<Place> common_element(const Place& list) {
  const Raw& schemas = *list.node;
  const auto same = [&](const Raw& schema) { return schema == schemas.front(); };
  if (schemas.empty() || !std::ranges::all_of(schemas, same)) return std::nullopt;
  return Place{&schemas.front(), step_into(list.pointer, "0")};
}

bool only_null(const Field& field) {
  return field.allowed.size() == 1 && field.allowed[0].is_null();
}

void read_types(const Raw& node, Field& field) {
  const Raw* type = find(node, "type");
  if (type == nullptr) return;
  if (type->is_string()) add_type(field, type->get_ref<const std::string&>());
  if (type->is_array()) {
    for (const Raw& one : *type) {
      if (one.is_string()) add_type(field, one.get_ref<const std::string&>());
    }
  }
  if (field.nullable && !field.types.any()) field.allowed = {Json()};  // nothing but null
}

// A copy, so that the schema does not keep the whole document alive.
std::vector<Json> values(const Raw& array) {
  const Json copy = Json::Access::wrap(array);
  std::vector<Json> all;
  all.reserve(copy.size());
  for (std::size_t i = 0; i < copy.size(); ++i) all.push_back(copy.at(i));
  return all;
}

void read_values(const Raw& node, Field& field) {
  const Raw* list = find(node, "enum");
  if (list != nullptr && list->is_array() && !list->empty()) {
    field.allowed = values(*list);
    const auto nulls =
        std::erase_if(field.allowed, [](const Json& value) { return value.is_null(); });
    if (nulls > 0) field.nullable = true;
    if (field.allowed.empty()) field.allowed = {Json()};
  }
  // find() passes over null, which is a fine constant.
  if (const auto constant = node.find("const"); constant != node.end()) {
    field.allowed = {Json::Access::wrap(*constant)};
    field.nullable = field.nullable || constant->is_null();
  }
  if (!field.types.any()) {
    for (const Json& value : field.allowed) add_type_of(field, value);
  }
  if (const auto value = node.find("default"); value != node.end()) {
    field.default_value = Json::Access::wrap(*value);
  }
  if (const Raw* examples = find(node, "examples"); examples != nullptr && examples->is_array()) {
    field.examples = values(*examples);
  } else if (const Raw* example = find(node, "example")) {
    field.examples = {Json::Access::wrap(*example)};
  }
}

// A bound of OpenAPI 3.0 is made exclusive by a flag, one of 3.1 has its own number.
void read_exclusive(const Raw& node, std::string_view name, std::string_view alias,
                    std::optional<double>& inclusive, std::optional<double>& exclusive) {
  exclusive = number(node, {name, alias});
  if (flag(node, name)) exclusive = std::exchange(inclusive, std::nullopt);
}

void read_bounds(const Raw& node, Field& field) {
  field.minimum = number(node, {"minimum", "ge", "min"});
  field.maximum = number(node, {"maximum", "le", "max"});
  read_exclusive(node, "exclusiveMinimum", "gt", field.minimum, field.exclusive_minimum);
  read_exclusive(node, "exclusiveMaximum", "lt", field.maximum, field.exclusive_maximum);
  field.multiple_of = number(node, "multipleOf");
  if (field.multiple_of && !(*field.multiple_of > 0)) field.multiple_of.reset();
  field.step = number(node, "step");
  field.min_length = count(node, "minLength");
  field.max_length = count(node, "maxLength");
  field.min_items = count(node, "minItems");
  field.max_items = count(node, "maxItems");
}

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
  if (const Raw* inner = find(node, "x-fal")) read_limits(*inner, limits);
}

std::vector<std::string_view> names_in(const Raw& node, std::string_view keyword) {
  std::vector<std::string_view> names;
  const Raw* list = find(node, keyword);
  if (list == nullptr || !list->is_array()) return names;
  for (const Raw& name : *list) {
    if (name.is_string()) names.push_back(name.get_ref<const std::string&>());
  }
  return names;
}

// x-fal-order-properties first, for the order of the keys is random between fetches; then the
// required ones, then by name.
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

std::string unescape(std::string_view step) {
  std::string plain;
  for (std::size_t i = 0; i < step.size(); ++i) {
    unsigned value = 0;
    if (step[i] == '%' && i + 2 < step.size() &&
        std::from_chars(&step[i] + 1, &step[i] + 3, value, 16).ptr == &step[i] + 3) {
      plain += static_cast<char>(value);
      i += 2;
    } else {
      plain += step[i];
    }
  }
  std::string name;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const bool escape =
        plain[i] == '~' && i + 1 < plain.size() && (plain[i + 1] == '0' || plain[i + 1] == '1');
    name += escape ? (plain[++i] == '1' ? '/' : '~') : plain[i];
  }
  return name;
}

}  // namespace

std::string step_into(std::string_view pointer, std::string_view step) {
  std::string longer(pointer);
  longer += '/';
  for (const char c : step) {
    if (c == '~') {
      longer += "~0";
    } else if (c == '/') {
      longer += "~1";
    } else {
      longer += c;
    }
  }
  return longer;
}

std::optional<Place> Reader::member(const Place& place, std::string_view name) {
  const Raw* value = find(*place.node, name);
  if (value == nullptr) return std::nullopt;
  return Place{value, step_into(place.pointer, name)};
}

std::optional<Place> Reader::follow(Place place) const {
  for (std::size_t hops = 0; hops <= limits_.max_depth; ++hops) {
    const Raw* ref = find(*place.node, "$ref");
    if (ref == nullptr) return place;
    if (!ref->is_string()) return std::nullopt;
    const auto& address = ref->get_ref<const std::string&>();
    const Raw* target = resolve(address);
    if (target == nullptr) return std::nullopt;
    place = Place{target, address.substr(1)};
  }
  return std::nullopt;
}

Result<Field> Reader::read(const Place& place) {
  Field field = schema(place);
  if (fault_) return *std::move(fault_);
  return field;
}

const Raw* Reader::resolve(std::string_view address) const {
  if (!address.starts_with('#')) return nullptr;
  address.remove_prefix(1);
  if (address.empty()) return &document_;
  if (address.front() != '/') return nullptr;
  address.remove_prefix(1);
  const Raw* node = &document_;
  for_each_part(address, '/', [&](std::string_view step) {
    if (node != nullptr) node = find(*node, unescape(step));
  });
  return node;
}

Field Reader::schema(const Place& place) {
  const Raw& node = *place.node;
  spend(sizeof(Field), place.pointer);
  if (fault_ || node.is_boolean()) return {};
  if (!node.is_object()) {
    fail(place.pointer, "a schema must be an object");
    return {};
  }
  if (depth_ == limits_.max_depth) {
    fail(place.pointer, fmt::format("the schemas nest deeper than {} levels", limits_.max_depth));
    return {};
  }
  ++depth_;
  Field field;
  if (const auto ref = member(place, "$ref")) field = reference(*ref);
  if (const auto parts = member(place, "allOf"); parts && parts->node->is_array()) {
    for (std::size_t i = 0; i < parts->node->size(); ++i) {
      narrow(field, schema({&(*parts->node)[i], step_into(parts->pointer, std::to_string(i))}));
    }
  }
  narrow(field, keywords(place));
  // Its order is that of all parts together.
  if (const auto order = names_in(node, "x-fal-order-properties"); !order.empty())
    put_in_order(field.properties, order);
  read_branches(place, "anyOf", field);
  read_branches(place, "oneOf", field);
  --depth_;
  return field;
}

Field Reader::child(const Place& place) {
  ++descents_;
  Field field = schema(place);
  --descents_;
  return field;
}

Field Reader::reference(const Place& ref) {
  if (!ref.node->is_string()) {
    fail(ref.pointer, "a reference must be a string");
    return {};
  }
  const std::string_view address = ref.node->get_ref<const std::string&>();
  const auto open = std::ranges::find(open_, address, &OpenReference::address);
  if (open != open_.end()) {
    if (open->descents == descents_)
      fail(ref.pointer, fmt::format("'{}' is defined by nothing but itself", address));
    return {};  // a value within a value of its own kind: any value
  }
  const Raw* target = resolve(address);
  if (target == nullptr) return {};
  open_.push_back({address, descents_});
  Field field = schema({target, std::string(address.substr(1))});
  field.title.clear();  // "ImageSize" is the name of fal's class, not of the value
  open_.pop_back();
  return field;
}

Field Reader::keywords(const Place& place) {
  const Raw& node = *place.node;
  for (const std::string_view copied : {"title", "description", "pattern", "format", "enum",
                                        "const", "default", "examples", "example"}) {
    if (const Raw* value = find(node, copied)) spend(weight(*value), place.pointer);
  }
  Field field;
  if (fault_) return field;
  field.nullable = flag(node, "nullable") || flag(node, "x-nullable");
  field.deprecated = flag(node, "deprecated");
  field.unique_items = flag(node, "uniqueItems");
  field.title = prose(node, "title");
  field.description = prose(node, "description");
  field.format = text(node, "format");
  field.pattern = text(node, "pattern");
  read_types(node, field);
  read_values(node, field);
  read_bounds(node, field);
  read_limits(node, field.limits);
  read_object(place, field);
  // Of a tuple all elements of one kind are read; of kinds that differ none is.
  for (const std::string_view keyword : {"items", "prefixItems"}) {
    auto items = member(place, keyword);
    if (items && items->node->is_array()) items = common_element(*items);
    if (items && items->node->is_object() && field.items == nullptr)
      field.items = std::make_shared<const Field>(child(*items));
  }
  return field;
}

void Reader::read_object(const Place& place, Field& field) {
  if (const auto additional = member(place, "additionalProperties")) {
    field.closed = *additional->node == false;
    if (additional->node->is_object() && !additional->node->empty()) {
      field.additional = std::make_shared<const Field>(child(*additional));
    }
  }
  const auto properties = member(place, "properties");
  if (!properties) return;
  if (!properties->node->is_object())
    return fail(properties->pointer, "'properties' must be an object");
  const auto listed = names_in(*place.node, "required");
  const std::unordered_set<std::string_view> required(listed.begin(), listed.end());
  for (const auto& [name, node] : properties->node->items()) {
    Field property = child({&node, step_into(properties->pointer, name)});
    if (fault_) return;
    property.name = name;
    property.required = flag(node, "required") || required.contains(name);
    field.properties.push_back(std::move(property));
  }
  put_in_order(field.properties, names_in(*place.node, "x-fal-order-properties"));
  if (!field.types.any()) field.types.object = true;
}

void Reader::read_branches(const Place& place, std::string_view keyword, Field& field) {
  const auto list = member(place, keyword);
  if (!list || !list->node->is_array()) return;
  std::vector<Field> branches;
  Types types;
  bool typed = true;
  for (std::size_t i = 0; i < list->node->size(); ++i) {
    Field branch = schema({&(*list->node)[i], step_into(list->pointer, std::to_string(i))});
    if (fault_) return;
    field.nullable = field.nullable || branch.nullable;
    if (only_null(branch)) continue;
    typed = typed && branch.types.any();
    types.boolean = types.boolean || branch.types.boolean;
    types.integer = types.integer || branch.types.integer;
    types.number = types.number || branch.types.number;
    types.string = types.string || branch.types.string;
    types.array = types.array || branch.types.array;
    types.object = types.object || branch.types.object;
    branches.push_back(std::move(branch));
  }
  if (branches.size() == 1) {
    // The words around the branch say more than its own, and win.
    narrow(branches[0], std::move(field));
    field = std::move(branches[0]);
  } else if (!branches.empty()) {
    field.branches = std::move(branches);
    if (typed) field.types = common_types(field.types, types);
  }
}

void Reader::spend(std::size_t bytes, const std::string& pointer) {
  unfolded_bytes_ += bytes;
  if (unfolded_bytes_ > limits_.max_unfolded_bytes) {
    fail(pointer,
         fmt::format("the schemas unfold to more than {} bytes", limits_.max_unfolded_bytes));
  }
}

void Reader::fail(const std::string& pointer, std::string message) {
  if (!fault_) fault_ = Error{ErrorKind::invalid_document, std::move(message), pointer};
}

}  // namespace falproxy::schema
