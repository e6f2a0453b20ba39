#include "schema/rule.hpp"

#include <charconv>

#include "base/text.hpp"
#include "json/access.hpp"
#include "schema/keywords.hpp"

namespace falproxy::inline v0::schema {
namespace {

using Raw = nlohmann::json;
using Bound = Rule::Bound;
using Kind = Rule::Combination::Kind;

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

const Raw* element_of(const Raw& array, std::string_view step) {
  std::size_t index = 0;
  const auto [end, fault] = std::from_chars(step.data(), step.data() + step.size(), index);
  const bool whole = fault == std::errc{} && end == step.data() + step.size();
  return whole && index < array.size() ? &array[index] : nullptr;
}

std::optional<Rule::Type> type_of(const Raw& schema) {
  Field field;
  read_types(schema, field);
  if (!field.types.any() && !field.nullable) return std::nullopt;
  return Rule::Type{field.types, field.nullable};
}

void fill_bounds(const Raw& schema, Rule& rule) {
  Field field;
  read_bounds(schema, field);
  const auto add = [&](Bound::Of of, const auto& value) {
    if (value) rule.bounds.push_back({of, static_cast<double>(*value)});
  };
  add(Bound::Of::minimum, field.minimum);
  add(Bound::Of::maximum, field.maximum);
  add(Bound::Of::exclusive_minimum, field.exclusive_minimum);
  add(Bound::Of::exclusive_maximum, field.exclusive_maximum);
  add(Bound::Of::multiple_of, field.multiple_of);
  add(Bound::Of::min_length, field.min_length);
  add(Bound::Of::max_length, field.max_length);
  add(Bound::Of::min_items, field.min_items);
  add(Bound::Of::max_items, field.max_items);
  add(Bound::Of::min_properties, count_of(schema, "minProperties"));
  add(Bound::Of::max_properties, count_of(schema, "maxProperties"));
}

std::vector<std::string> strings_in(const Raw& list) {
  std::vector<std::string> all;
  for (const Raw& one : list) {
    if (one.is_string()) all.push_back(one.get<std::string>());
  }
  return all;
}

bool hangs_on_others(const Raw& schema) {
  return schema.is_object() &&
         (schema.contains("unevaluatedProperties") || schema.contains("unevaluatedItems"));
}

bool is_schema(const Raw& node) { return node.is_object() || node.is_boolean(); }

}  // namespace

const Raw* resolve(const Raw& document, std::string_view address) {
  if (!address.starts_with('#')) return nullptr;
  address.remove_prefix(1);
  if (address.empty()) return &document;
  if (address.front() != '/') return nullptr;
  address.remove_prefix(1);
  const Raw* node = &document;
  for_each_part(address, '/', [&](std::string_view step) {
    if (node == nullptr) return;
    node = node->is_array() ? element_of(*node, step) : member_of(*node, unescape(step));
  });
  return node;
}

std::shared_ptr<const Rule> RuleBook::rule_of(const Raw& schema) {
  const Rule::Link rule = link(schema);
  // One after the other, so that a long chain of references needs no stack.
  while (!unread_.empty()) {
    const auto [node, unread] = unread_.back();
    unread_.pop_back();
    fill(*node, *unread);
  }
  return {rules_, rule};
}

std::shared_ptr<const Rule> RuleBook::either(const std::shared_ptr<const Rule>& a,
                                             const std::shared_ptr<const Rule>& b) {
  if (a == nullptr || b == nullptr) return nullptr;
  if (a == b) return a;
  Rule& rule = rules_->emplace_back();
  rule.combinations.push_back({Kind::any_of, {a.get(), b.get()}});
  return {rules_, &rule};
}

Rule::Link RuleBook::link(const Raw& schema) {
  const auto [known, is_new] = known_.emplace(&schema, nullptr);
  if (!is_new) return known->second;
  known->second = &rules_->emplace_back();
  unread_.emplace_back(&schema, known->second);
  return known->second;
}

Rule::Link RuleBook::link_of_member(const Raw& schema, std::string_view name) {
  const Raw* member = member_of(schema, name);
  return member != nullptr && is_schema(*member) ? link(*member) : nullptr;
}

std::vector<Rule::Link> RuleBook::links(const Raw& list) {
  std::vector<Rule::Link> all;
  for (const Raw& schema : list) all.push_back(link(schema));
  return all;
}

std::vector<std::pair<std::string, Rule::Link>> RuleBook::named_links(const Raw& schema,
                                                                      std::string_view name) {
  std::vector<std::pair<std::string, Rule::Link>> all;
  const Raw* members = member_of(schema, name);
  if (members == nullptr || !members->is_object()) return all;
  for (const auto& [member, node] : members->items()) {
    if (is_schema(node)) all.emplace_back(member, link(node));
  }
  return all;
}

void RuleBook::fill(const Raw& schema, Rule& rule) {
  rule.never = schema == false;
  if (!schema.is_object()) return;
  rule.nullable = flag(schema, "nullable") || flag(schema, "x-nullable");
  rule.unique = flag(schema, "uniqueItems");
  rule.pattern = text_of(schema, "pattern");
  rule.type = type_of(schema);
  if (const Raw* list = member_of(schema, "enum"); list != nullptr && list->is_array()) {
    rule.listed = true;
    rule.allowed = values_in(*list);
  }
  // member_of() passes over null, which is a fine constant.
  if (const auto constant = schema.find("const"); constant != schema.end()) {
    rule.listed = true;
    rule.allowed = {Json::Access::wrap(*constant)};
  }
  fill_bounds(schema, rule);
  fill_combinations(schema, rule);
  fill_array(schema, rule);
  fill_object(schema, rule);
}

void RuleBook::fill_combinations(const Raw& schema, Rule& rule) {
  if (const std::string address = text_of(schema, "$ref"); !address.empty()) {
    const Raw* target = resolve(document_, address);
    if (target != nullptr && is_schema(*target))
      rule.combinations.push_back({Kind::all_of, {link(*target)}});
  }
  constexpr std::pair<std::string_view, Kind> keywords[] = {
      {"allOf", Kind::all_of}, {"anyOf", Kind::any_of}, {"oneOf", Kind::one_of}};
  for (const auto& [keyword, kind] : keywords) {
    const Raw* list = member_of(schema, keyword);
    if (list != nullptr && list->is_array() && !list->empty())
      rule.combinations.push_back({kind, links(*list)});
  }
  // What refuses more than is known here would be ruled out too often.
  const Raw* inner = member_of(schema, "not");
  if (inner != nullptr && is_schema(*inner) && !hangs_on_others(*inner))
    rule.combinations.push_back({Kind::none_of, {link(*inner)}});
  if (const Rule::Link condition = link_of_member(schema, "if")) {
    rule.condition = std::make_unique<const Rule::Condition>(
        Rule::Condition{condition, link_of_member(schema, "then"), link_of_member(schema, "else")});
  }
}

void RuleBook::fill_array(const Raw& schema, Rule& rule) {
  Rule::Array array;
  // A list under `items` is a tuple as it was written before 2020.
  const Raw* tuple = member_of(schema, "prefixItems");
  const Raw* items = member_of(schema, "items");
  const bool older = tuple == nullptr && items != nullptr && items->is_array();
  if (older) tuple = items;
  if (tuple != nullptr && tuple->is_array()) array.first = links(*tuple);
  array.rest = link_of_member(schema, older ? "additionalItems" : "items");
  array.contains = link_of_member(schema, "contains");
  array.min_contains = static_cast<double>(count_of(schema, "minContains").value_or(1));
  if (const auto most = count_of(schema, "maxContains"))
    array.max_contains = static_cast<double>(*most);
  if (!array.first.empty() || array.rest != nullptr || array.contains != nullptr)
    rule.array = std::make_unique<const Rule::Array>(std::move(array));
}

void RuleBook::fill_object(const Raw& schema, Rule& rule) {
  Rule::Object object;
  object.properties = named_links(schema, "properties");
  object.patterns = named_links(schema, "patternProperties");
  object.additional = link_of_member(schema, "additionalProperties");
  object.names = link_of_member(schema, "propertyNames");
  for (const std::string_view name : names_in(schema, "required"))
    object.required.emplace_back(name);
  // `required: true` on the property itself, as documents before JSON Schema 4 have it.
  if (const Raw* properties = member_of(schema, "properties");
      properties != nullptr && properties->is_object()) {
    for (const auto& [name, node] : properties->items()) {
      if (flag(node, "required")) object.required.push_back(name);
    }
  }
  for (const std::string_view keyword : {"dependentRequired", "dependencies", "dependentSchemas"}) {
    const Raw* members = member_of(schema, keyword);
    if (members == nullptr || !members->is_object()) continue;
    for (const auto& [name, node] : members->items()) {
      if (node.is_array()) object.dependent_required.emplace_back(name, strings_in(node));
      if (is_schema(node)) object.dependent_rules.emplace_back(name, link(node));
    }
  }
  const bool says_nothing = object.properties.empty() && object.patterns.empty() &&
                            object.additional == nullptr && object.names == nullptr &&
                            object.required.empty() && object.dependent_required.empty() &&
                            object.dependent_rules.empty();
  if (!says_nothing) rule.object = std::make_unique<const Rule::Object>(std::move(object));
}

}  // namespace falproxy::inline v0::schema
