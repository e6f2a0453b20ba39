#include "schema/words.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/fmt.hpp"

namespace falproxy::inline v0::schema {
namespace {

using Kind = Rule::Combination::Kind;

// A list of styles can have a hundred entries, and an error is one line.
constexpr std::size_t most_listed = 24;

std::string listed(const std::vector<Json>& allowed) {
  std::string list = allowed.size() == 1 ? "" : "one of ";
  for (std::size_t i = 0; i < std::min(allowed.size(), most_listed); ++i) {
    if (i > 0) list += ", ";
    list += value_text(allowed[i]);
  }
  if (allowed.size() > most_listed) list += fmt::format(", ... ({} in all)", allowed.size());
  return list;
}

// The required ones first.
std::string object_text(const Rule& rule) {
  if (rule.object == nullptr || rule.object->properties.empty()) return "an object";
  std::vector<std::string_view> names;
  for (const auto& property : rule.object->properties) names.push_back(property.first);
  std::stable_partition(names.begin(), names.end(), [&](std::string_view name) {
    return std::ranges::find(rule.object->required, name) != rule.object->required.end();
  });
  std::string text = "an object with ";
  for (std::size_t i = 0; i < std::min(names.size(), most_listed); ++i)
    text += fmt::format("{}'{}'", i == 0 ? "" : ", ", names[i]);
  return text;
}

bool is_texts(Rule::Link rule) { return rule != nullptr && rule->type && rule->type->types.string; }

void collect_types(const Rule& rule, std::vector<std::string>& texts) {
  const Types& types = rule.type->types;
  if (types.boolean) texts.emplace_back("true or false");
  if (types.number) texts.emplace_back("a number");
  if (types.integer && !types.number) texts.emplace_back("an integer");
  if (types.string) texts.emplace_back("a string");
  if (types.array) {
    const bool of_texts = rule.array != nullptr && is_texts(rule.array->rest);
    texts.emplace_back(of_texts ? "an array of strings" : "an array");
  }
  if (types.object) texts.push_back(object_text(rule));
  if (rule.type->null) texts.emplace_back("null");
}

// A rule that says nothing of its own speaks by the rules it is made of; `depth` ends a circle.
void collect(const Rule& rule, std::vector<std::string>& texts, int depth) {
  constexpr int deepest = 8;
  const auto branches = std::ranges::find_if(rule.combinations, [](const auto& combination) {
    return combination.kind == Kind::any_of || combination.kind == Kind::one_of;
  });
  if (depth == deepest) {
    texts.emplace_back("any value");
    return;
  }
  if (branches != rule.combinations.end()) {
    for (const Rule::Link branch : branches->rules) collect(*branch, texts, depth + 1);
  } else if (rule.listed) {
    texts.push_back(listed(rule.allowed));
  } else if (rule.type) {
    collect_types(rule, texts);
  } else if (!rule.combinations.empty() && rule.combinations.front().kind == Kind::all_of) {
    collect(*rule.combinations.front().rules.front(), texts, depth + 1);
  } else {
    texts.emplace_back("any value");
  }
  if (rule.nullable) texts.emplace_back("null");
}

}  // namespace

std::string number_text(double value) {
  if (std::trunc(value) == value && std::abs(value) < 1e15) return fmt::format("{:.0f}", value);
  return fmt::format("{}", value);
}

std::string counted(std::size_t number, std::string_view noun) {
  return fmt::format("{} {}{}", number, noun, number == 1 ? "" : "s");
}

std::string value_text(const Json& value) {
  const auto text = value.as_string();
  return text ? fmt::format("'{}'", *text) : value.dump();
}

std::string expectation(const Rule& rule) {
  std::vector<std::string> texts;
  collect(rule, texts, 0);
  // null comes last, and once.
  if (std::erase(texts, "null") > 0) texts.emplace_back("null");
  std::string all;
  for (const std::string& text : texts) {
    if (!all.empty()) all += ", or ";
    all += text;
  }
  return all;
}

bool lists_values(const Rule& rule) {
  if (rule.listed) return true;
  return rule.combinations.size() == 1 && rule.combinations[0].kind == Kind::all_of &&
         rule.combinations[0].rules.size() == 1 && lists_values(*rule.combinations[0].rules[0]);
}

std::string type_names(const Types& types) {
  std::string names;
  const auto add = [&](bool has, std::string_view name) {
    if (has) names += fmt::format("{}{}", names.empty() ? "" : " or ", name);
  };
  add(types.boolean, "boolean");
  add(types.integer && !types.number, "integer");
  add(types.number, "number");
  add(types.string, "string");
  add(types.array, "array");
  add(types.object, "object");
  return names.empty() ? "any" : names;
}

std::vector<Json> choices(const Field& field) {
  std::vector<Json> all = field.allowed;
  for (const Field& branch : field.branches) {
    for (Json& value : choices(branch)) {
      if (std::ranges::find(all, value) == all.end()) all.push_back(std::move(value));
    }
  }
  return all;
}

}  // namespace falproxy::inline v0::schema
