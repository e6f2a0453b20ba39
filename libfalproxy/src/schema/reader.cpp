#include "schema/reader.hpp"

#include <algorithm>
#include <memory>
#include <unordered_set>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "json/access.hpp"
#include "schema/keywords.hpp"
#include "schema/narrow.hpp"

namespace falproxy::inline v0::schema {
namespace {

using Raw = nlohmann::json;

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

// A name may be required away from its property: beside a $ref, or in another part of an allOf.
void require_names(Field& field) {
  std::erase_if(field.required_names, [&](const std::string& name) {
    const auto property = std::ranges::find(field.properties, name, &Field::name);
    if (property == field.properties.end()) return false;
    property->required = true;
    return true;
  });
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
  const Raw* value = member_of(*place.node, name);
  if (value == nullptr) return std::nullopt;
  return Place{value, step_into(place.pointer, name)};
}

std::optional<Place> Reader::follow(Place place) const {
  for (std::size_t hops = 0; hops <= limits_.max_nesting; ++hops) {
    const Raw* ref = member_of(*place.node, "$ref");
    if (ref == nullptr) return place;
    if (!ref->is_string()) return std::nullopt;
    const auto& address = ref->get_ref<const std::string&>();
    const Raw* target = resolve(document_, address);
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

Field Reader::schema(const Place& place) {
  const Raw& node = *place.node;
  spend(sizeof(Field), place.pointer);
  if (fault_) return {};
  if (node.is_boolean()) return with_rule(node, {});
  if (!node.is_object()) {
    fail(place.pointer, "a schema must be an object");
    return {};
  }
  if (depth_ == limits_.max_nesting) {
    fail(place.pointer, fmt::format("the schemas nest deeper than {} levels", limits_.max_nesting));
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
  require_names(field);
  --depth_;
  return with_rule(node, std::move(field));
}

Field Reader::with_rule(const Raw& node, Field field) {
  if (rules_ != nullptr) field.written = rules_->rule_of(node);
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
  const Raw* target = resolve(document_, address);
  if (target == nullptr) return {};
  open_.push_back({address, descents_});
  Field field = schema({target, std::string(address.substr(1))});
  field.title.clear();  // "ImageSize" is the name of fal's class, not of the value
  open_.pop_back();
  return field;
}

Field Reader::keywords(const Place& place) {
  spend(weight_of_keywords(*place.node), place.pointer);
  if (fault_) return {};
  Field field = read_keywords(*place.node);
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
  field.properties.reserve(properties->node->size());
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
  if (branches.empty() && field.nullable && !list->node->empty()) {
    field.allowed = {Json()};  // nothing but null
  } else if (branches.size() == 1) {
    // The words around the branch say more than its own, and win.
    narrow(branches[0], std::move(field));
    field = std::move(branches[0]);
  } else if (!branches.empty()) {
    Field either;
    either.branches = std::move(branches);
    narrow(field, std::move(either));
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

}  // namespace falproxy::inline v0::schema
