#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fmt.hpp"
#include "falproxy/schema.hpp"
#include "json/access.hpp"
#include "schema/pattern.hpp"
#include "schema/words.hpp"

namespace falproxy::schema {
namespace {

using Raw = nlohmann::json;
using Fault = std::optional<Error>;

// Where in the value the check is; put into words only where something is wrong.
struct Place {
  const Place* outer = nullptr;
  std::string_view name;
  std::optional<std::size_t> index = std::nullopt;

  [[nodiscard]] std::string text() const {
    if (outer == nullptr) return std::string(name);
    if (index) return fmt::format("{}[{}]", outer->text(), *index);
    return fmt::format("{}.{}", outer->text(), name);
  }
};

Error fault(ErrorKind kind, const Place& place, std::string_view must) {
  std::string path = place.text();
  std::string message = fmt::format("'{}' {}.", path, must);
  return Error{kind, std::move(message), std::move(path)};
}

Error wrong_value(const Place& place, std::string_view must) {
  return fault(ErrorKind::invalid_value, place, must);
}

bool is_whole(const Raw& value) {
  if (!value.is_number_float()) return value.is_number_integer();
  // What nlohmann read as a double because it is too long for an integer would arrive as another
  // number.
  return as_integer(value).has_value();
}

bool has_type(const Types& types, const Raw& value) {
  switch (value.type()) {
    case Raw::value_t::boolean:
      return types.boolean;
    case Raw::value_t::string:
      return types.string;
    case Raw::value_t::array:
      return types.array;
    case Raw::value_t::object:
      return types.object;
    case Raw::value_t::number_integer:
    case Raw::value_t::number_unsigned:
    case Raw::value_t::number_float:
      return types.number || (types.integer && is_whole(value));
    case Raw::value_t::null:
    case Raw::value_t::binary:
    case Raw::value_t::discarded:
      break;
  }
  return false;
}

bool is_listed(const std::vector<Json>& allowed, const Raw& value) {
  return std::ranges::any_of(allowed, [&](const Json& one) {
    // nlohmann counts true and 1 as different, and 1 and 1.0 as equal: so does JSON Schema.
    return Json::Access::raw(one) == value;
  });
}

// 0.3 is a multiple of 0.1 to a person, though not to a double.
bool is_multiple(double value, double step) {
  const double times = value / step;
  return std::abs(times - std::round(times)) <= 1e-9 * std::max(1.0, std::abs(times));
}

Fault check_number(const Field& field, double value, const Place& place) {
  const auto must_be = [&](std::string_view relation, double bound) {
    return wrong_value(place, fmt::format("must be {} {}", relation, number_text(bound)));
  };
  if (field.minimum && value < *field.minimum) return must_be("at least", *field.minimum);
  if (field.maximum && value > *field.maximum) return must_be("at most", *field.maximum);
  if (field.exclusive_minimum && value <= *field.exclusive_minimum)
    return must_be("greater than", *field.exclusive_minimum);
  if (field.exclusive_maximum && value >= *field.exclusive_maximum)
    return must_be("less than", *field.exclusive_maximum);
  if (field.multiple_of && !is_multiple(value, *field.multiple_of))
    return must_be("a multiple of", *field.multiple_of);
  return std::nullopt;
}

std::size_t count_code_points(std::string_view utf8) {
  return static_cast<std::size_t>(std::ranges::count_if(
      utf8, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

Fault check_string(const Field& field, std::string_view value, const Place& place) {
  if (field.min_length || field.max_length) {
    const std::size_t length = count_code_points(value);
    if (field.min_length && length < *field.min_length) {
      return wrong_value(place, fmt::format("must have at least {}, not {}",
                                            counted(*field.min_length, "character"), length));
    }
    if (field.max_length && length > *field.max_length) {
      return wrong_value(place, fmt::format("must have at most {}, not {}",
                                            counted(*field.max_length, "character"), length));
    }
  }
  if (!field.pattern.empty() && !matches_pattern(field.pattern, value)) {
    return wrong_value(place, fmt::format("must match the pattern {}", field.pattern));
  }
  return std::nullopt;
}

Fault check_value(const Field& field, const Raw& value, const Place& place);

Fault check_array(const Field& field, const Raw& value, const Place& place) {
  if (field.min_items && value.size() < *field.min_items) {
    return wrong_value(place, fmt::format("must have at least {}, not {}",
                                          counted(*field.min_items, "item"), value.size()));
  }
  if (field.max_items && value.size() > *field.max_items) {
    return wrong_value(place, fmt::format("must have at most {}, not {}",
                                          counted(*field.max_items, "item"), value.size()));
  }
  if (field.unique_items) {
    std::vector<Raw> sorted(value.begin(), value.end());
    std::ranges::sort(sorted);
    if (std::ranges::adjacent_find(sorted) != sorted.end())
      return wrong_value(place, "must not have the same item twice");
  }
  if (field.items == nullptr) return std::nullopt;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (auto found = check_value(*field.items, value[i], {&place, {}, i})) return found;
  }
  return std::nullopt;
}

Fault check_object(const Field& field, const Raw& value, const Place& place) {
  for (const Field& property : field.properties) {
    const auto member = value.find(property.name);
    if (member != value.end()) {
      if (auto found = check_value(property, *member, {&place, property.name})) return found;
    } else if (property.required) {
      return fault(ErrorKind::missing_parameter, {&place, property.name}, "is required");
    }
  }
  if (!field.closed && field.additional == nullptr) return std::nullopt;
  for (const auto& [name, member] : value.items()) {
    if (field.property(name) != nullptr) continue;
    const Place inner{&place, name};
    if (field.closed)
      return fault(ErrorKind::unknown_parameter, inner, "is not a field of this object");
    if (auto found = check_value(*field.additional, member, inner)) return found;
  }
  return std::nullopt;
}

// The fault of the one branch that the value was meant for, where its type tells which; else what
// all of them take.
Fault check_branches(const Field& field, const Raw& value, const Place& place) {
  const Field* meant = nullptr;
  Fault fault_of_meant;
  std::size_t candidates = 0;
  for (const Field& branch : field.branches) {
    const bool of_type = !branch.types.any() || has_type(branch.types, value);
    if (!of_type && !(value.is_null() && branch.nullable)) continue;
    Fault found = check_value(branch, value, place);
    if (!found) return std::nullopt;
    ++candidates;
    meant = &branch;
    fault_of_meant = std::move(found);
  }
  if (candidates == 1 && meant->allowed.empty()) return fault_of_meant;
  const auto kind = candidates == 0 ? ErrorKind::invalid_type : ErrorKind::invalid_value;
  return fault(kind, place, fmt::format("must be {}", expectation(field)));
}

Fault check_value(const Field& field, const Raw& value, const Place& place) {
  if (value.is_null() && field.nullable) return std::nullopt;
  if (field.types.any() && !has_type(field.types, value)) {
    return fault(ErrorKind::invalid_type, place, fmt::format("must be {}", expectation(field)));
  }
  if (!field.allowed.empty() && !is_listed(field.allowed, value)) {
    return wrong_value(place, fmt::format("must be {}", expectation(field)));
  }
  Fault found;
  if (value.is_number()) found = check_number(field, value.get<double>(), place);
  if (value.is_string()) found = check_string(field, value.get_ref<const std::string&>(), place);
  if (value.is_array()) found = check_array(field, value, place);
  if (value.is_object()) found = check_object(field, value, place);
  if (found || field.branches.empty()) return found;
  return check_branches(field, value, place);
}

}  // namespace

std::optional<Error> check(const Field& field, const Json& value, std::string_view path) {
  return check_value(field, Json::Access::raw(value), {nullptr, path});
}

}  // namespace falproxy::schema
