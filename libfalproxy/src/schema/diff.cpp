#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fmt.hpp"
#include "falproxy/schema.hpp"
#include "schema/words.hpp"

namespace falproxy::inline v0::schema {
namespace {

// What matters of one place in the input. Branches count for the place that they are branches of.
struct Facts {
  std::string types;
  bool required = false;
  bool nullable = false;
  bool free = false;  // takes what its list does not have
  std::vector<Json> allowed;
  std::map<std::string, std::string> limits;  // "maximum" -> "20"
};

using FactsByPlace = std::map<std::string, Facts>;

void add_limits(const Field& field, Facts& facts) {
  const auto add = [&](std::string_view name, std::optional<double> value) {
    if (value) facts.limits[std::string(name)] = number_text(*value);
  };
  const auto add_count = [&](std::string_view name, std::optional<std::size_t> value) {
    if (value) facts.limits[std::string(name)] = std::to_string(*value);
  };
  add("minimum", field.minimum);
  add("maximum", field.maximum);
  add("exclusive minimum", field.exclusive_minimum);
  add("exclusive maximum", field.exclusive_maximum);
  add("multiple of", field.multiple_of);
  add_count("least length", field.min_length);
  add_count("greatest length", field.max_length);
  add_count("least items", field.min_items);
  add_count("most items", field.max_items);
  add("least width", field.limits().min_width);
  add("greatest width", field.limits().max_width);
  add("least height", field.limits().min_height);
  add("greatest height", field.limits().max_height);
  add("least area", field.limits().min_area);
  add("greatest area", field.limits().max_area);
  add("pixels in multiples of", field.limits().multiple_of);
  add("least aspect ratio", field.limits().min_aspect_ratio);
  add("greatest aspect ratio", field.limits().max_aspect_ratio);
  add("greatest file size", field.limits().max_file_size);
  if (!field.pattern.empty()) facts.limits["pattern"] = field.pattern;
  if (field.default_value) facts.limits["default"] = value_text(*field.default_value);
}

void collect(const Field& field, const std::string& place, FactsByPlace& all);

void collect_below(const Field& field, const std::string& place, Facts& facts, FactsByPlace& all) {
  add_limits(field, facts);
  if (field.branches.empty() && field.allowed.empty()) facts.free = true;
  for (const Field& property : field.properties) {
    collect(property, place.empty() ? property.name : fmt::format("{}.{}", place, property.name),
            all);
  }
  if (field.items != nullptr) collect(*field.items, place + "[]", all);
  if (field.additional != nullptr) collect(*field.additional, place + ".*", all);
  for (const Field& branch : field.branches) collect_below(branch, place, facts, all);
}

void collect(const Field& field, const std::string& place, FactsByPlace& all) {
  Facts facts;
  facts.types = type_names(field.types);
  facts.required = field.required;
  facts.nullable = field.nullable;
  facts.allowed = choices(field);
  collect_below(field, place, facts, all);
  all.emplace(place, std::move(facts));
}

FactsByPlace facts_of(const ModelSchema& schema) {
  FactsByPlace all;
  for (const Field& input : schema.inputs) collect(input, input.name, all);
  return all;
}

std::string join(const std::vector<Json>& values) {
  std::string list;
  for (const Json& value : values)
    list += fmt::format("{}{}", list.empty() ? "" : ", ", value_text(value));
  return list;
}

std::vector<Json> missing_in(const std::vector<Json>& some, const std::vector<Json>& others) {
  std::vector<Json> missing;
  for (const Json& value : some) {
    if (std::ranges::find(others, value) == others.end()) missing.push_back(value);
  }
  return missing;
}

void compare_allowed(const std::string& place, const Facts& before, const Facts& after,
                     std::vector<std::string>& lines) {
  const bool listed_before = !before.allowed.empty() && !before.free;
  const bool listed_after = !after.allowed.empty() && !after.free;
  if (listed_before != listed_after) {
    lines.push_back(listed_after ? fmt::format("'{}': now one of {}", place, join(after.allowed))
                                 : fmt::format("'{}': no longer restricted to a list", place));
    return;
  }
  const auto gained = missing_in(after.allowed, before.allowed);
  const auto lost = missing_in(before.allowed, after.allowed);
  if (!gained.empty()) lines.push_back(fmt::format("'{}': {} now allowed", place, join(gained)));
  if (!lost.empty()) lines.push_back(fmt::format("'{}': {} no longer allowed", place, join(lost)));
}

void compare_limits(const std::string& place, const Facts& before, const Facts& after,
                    std::vector<std::string>& lines) {
  for (const auto& [name, value] : before.limits) {
    const auto now = after.limits.find(name);
    if (now == after.limits.end()) {
      lines.push_back(fmt::format("'{}': {} {} is gone", place, name, value));
    } else if (now->second != value) {
      lines.push_back(fmt::format("'{}': {} {} became {}", place, name, value, now->second));
    }
  }
  for (const auto& [name, value] : after.limits) {
    if (!before.limits.contains(name))
      lines.push_back(fmt::format("'{}': now has {} {}", place, name, value));
  }
}

void compare(const std::string& place, const Facts& before, const Facts& after,
             std::vector<std::string>& lines) {
  if (before.types != after.types) {
    lines.push_back(fmt::format("'{}': {} became {}", place, before.types, after.types));
  }
  if (before.required != after.required) {
    lines.push_back(
        fmt::format("'{}': {}", place, after.required ? "now required" : "no longer required"));
  }
  if (before.nullable != after.nullable) {
    lines.push_back(fmt::format("'{}': {}", place,
                                after.nullable ? "null now allowed" : "null no longer allowed"));
  }
  compare_allowed(place, before, after, lines);
  compare_limits(place, before, after, lines);
}

// A new object is one line, not one for each of its members.
bool has_outer(const FactsByPlace& facts, const FactsByPlace& others, const std::string& place) {
  for (std::size_t end = place.find_last_of(".["); end != std::string::npos && end > 0;
       end = place.find_last_of(".[", end - 1)) {
    const std::string outer = place.substr(0, end);
    if (facts.contains(outer) && !others.contains(outer)) return true;
  }
  return false;
}

std::string input_text(const std::string& place, const Facts& facts) {
  return fmt::format("input '{}' ({}{})", place, facts.required ? "required, " : "", facts.types);
}

// What `outputs` has and `others` has not.
void tell_outputs(const std::vector<Field>& outputs, const std::vector<Field>& others,
                  std::string_view verb, std::vector<std::string>& lines) {
  for (const Field& output : outputs) {
    if (std::ranges::find(others, output.name, &Field::name) == others.end())
      lines.push_back(fmt::format("the result {} '{}'", verb, output.name));
  }
}

}  // namespace

std::vector<std::string> diff(const ModelSchema& before, const ModelSchema& after) {
  const FactsByPlace old_facts = facts_of(before);
  const FactsByPlace new_facts = facts_of(after);
  std::vector<std::string> lines;
  for (const auto& [place, facts] : new_facts) {
    if (old_facts.contains(place) || has_outer(new_facts, old_facts, place)) continue;
    lines.push_back("added " + input_text(place, facts));
  }
  for (const auto& [place, facts] : old_facts) {
    if (new_facts.contains(place) || has_outer(old_facts, new_facts, place)) continue;
    lines.push_back("removed " + input_text(place, facts));
  }
  for (const auto& [place, facts] : old_facts) {
    const auto now = new_facts.find(place);
    if (now != new_facts.end()) compare(place, facts, now->second, lines);
  }
  tell_outputs(before.outputs, after.outputs, "no longer has", lines);
  tell_outputs(after.outputs, before.outputs, "now has", lines);
  return lines;
}

}  // namespace falproxy::inline v0::schema
