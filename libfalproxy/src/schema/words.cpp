#include "schema/words.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/fmt.hpp"

namespace falproxy::schema {
namespace {

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

std::string object_text(const Field& field) {
  if (field.properties.empty()) return "an object";
  std::string text = "an object with ";
  for (std::size_t i = 0; i < std::min(field.properties.size(), most_listed); ++i) {
    if (i > 0) text += ", ";
    text += fmt::format("'{}'", field.properties[i].name);
  }
  return text;
}

void collect(const Field& field, std::vector<std::string>& texts) {
  if (!field.branches.empty()) {
    for (const Field& branch : field.branches) collect(branch, texts);
    return;
  }
  if (!field.allowed.empty()) return texts.push_back(listed(field.allowed));
  const Types& types = field.types;
  if (!types.any()) texts.emplace_back("any value");
  if (types.boolean) texts.emplace_back("true or false");
  if (types.number) texts.emplace_back("a number");
  if (types.integer && !types.number) texts.emplace_back("an integer");
  if (types.string) texts.emplace_back("a string");
  if (types.array)
    texts.emplace_back(field.items != nullptr && field.items->types.string ? "an array of strings"
                                                                           : "an array");
  if (types.object) texts.push_back(object_text(field));
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

std::string expectation(const Field& field) {
  std::vector<std::string> texts;
  collect(field, texts);
  if (field.nullable && std::ranges::find(texts, "null") == texts.end()) texts.emplace_back("null");
  std::string all;
  for (const std::string& text : texts) {
    if (!all.empty()) all += ", or ";
    all += text;
  }
  return all;
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

}  // namespace falproxy::schema
