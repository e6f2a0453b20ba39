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
#include "schema/reader.hpp"
#include "schema/rule.hpp"
#include "schema/words.hpp"

namespace falproxy::inline v0::schema {
namespace {

using Raw = nlohmann::json;
using Faults = std::vector<Fault>;
using Bound = Rule::Bound;

// A document may refer to itself without end, or fan out; no document of fal's comes near these.
constexpr int deepest = 256;
constexpr int most_steps = 200'000;

// Where in the value the check is; put into words only where something is wrong.
struct At {
  const At* outer = nullptr;
  std::string_view name;
  std::optional<std::size_t> index = std::nullopt;

  [[nodiscard]] std::string path() const {
    if (outer == nullptr) return std::string(name);
    if (index) return fmt::format("{}[{}]", outer->path(), *index);
    return fmt::format("{}.{}", outer->path(), name);
  }
  [[nodiscard]] std::string pointer() const {
    if (outer == nullptr) return {};
    return step_into(outer->pointer(), index ? std::to_string(*index) : std::string(name));
  }
};

Fault fault(ErrorKind kind, const At& at, std::string_view must) {
  std::string path = at.path();
  std::string message = fmt::format("'{}' {}.", path, must);
  return {kind, at.pointer(), std::move(path), std::move(message)};
}

bool is_whole(const Raw& value) {
  if (!value.is_number_float()) return value.is_number_integer();
  // What nlohmann read as a double because it is too long for an integer would arrive as another
  // number.
  return as_integer(value).has_value();
}

bool has_type(const Rule::Type& type, const Raw& value) {
  switch (value.type()) {
    case Raw::value_t::null:
      return type.null;
    case Raw::value_t::boolean:
      return type.types.boolean;
    case Raw::value_t::string:
      return type.types.string;
    case Raw::value_t::array:
      return type.types.array;
    case Raw::value_t::object:
      return type.types.object;
    case Raw::value_t::number_integer:
    case Raw::value_t::number_unsigned:
    case Raw::value_t::number_float:
      return type.types.number || (type.types.integer && is_whole(value));
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

std::size_t count_code_points(std::string_view utf8) {
  return static_cast<std::size_t>(std::ranges::count_if(
      utf8, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// What a bound measures of a value, or none where it is about another type.
std::optional<double> measure(Bound::Of of, const Raw& value) {
  switch (of) {
    case Bound::Of::minimum:
    case Bound::Of::maximum:
    case Bound::Of::exclusive_minimum:
    case Bound::Of::exclusive_maximum:
    case Bound::Of::multiple_of:
      if (value.is_number()) return value.get<double>();
      break;
    case Bound::Of::min_length:
    case Bound::Of::max_length:
      if (value.is_string())
        return static_cast<double>(count_code_points(value.get_ref<const std::string&>()));
      break;
    case Bound::Of::min_items:
    case Bound::Of::max_items:
      if (value.is_array()) return static_cast<double>(value.size());
      break;
    case Bound::Of::min_properties:
    case Bound::Of::max_properties:
      if (value.is_object()) return static_cast<double>(value.size());
      break;
  }
  return std::nullopt;
}

bool keeps(const Bound& bound, double measured) {
  switch (bound.of) {
    case Bound::Of::maximum:
    case Bound::Of::max_length:
    case Bound::Of::max_items:
    case Bound::Of::max_properties:
      return measured <= bound.value;
    case Bound::Of::exclusive_minimum:
      return measured > bound.value;
    case Bound::Of::exclusive_maximum:
      return measured < bound.value;
    case Bound::Of::multiple_of:
      return is_multiple(measured, bound.value);
    case Bound::Of::minimum:
    case Bound::Of::min_length:
    case Bound::Of::min_items:
    case Bound::Of::min_properties:
      break;
  }
  return measured >= bound.value;
}

std::string demand(const Bound& bound, double measured) {
  const auto amount = [&](std::string_view relation, std::string_view noun) {
    return fmt::format("must have {} {}, not {}", relation,
                       counted(static_cast<std::size_t>(bound.value), noun), number_text(measured));
  };
  switch (bound.of) {
    case Bound::Of::minimum:
      break;
    case Bound::Of::maximum:
      return "must be at most " + number_text(bound.value);
    case Bound::Of::exclusive_minimum:
      return "must be greater than " + number_text(bound.value);
    case Bound::Of::exclusive_maximum:
      return "must be less than " + number_text(bound.value);
    case Bound::Of::multiple_of:
      return "must be a multiple of " + number_text(bound.value);
    case Bound::Of::min_length:
      return amount("at least", "character");
    case Bound::Of::max_length:
      return amount("at most", "character");
    case Bound::Of::min_items:
      return amount("at least", "item");
    case Bound::Of::max_items:
      return amount("at most", "item");
    case Bound::Of::min_properties:
      return amount("at least", "field");
    case Bound::Of::max_properties:
      return amount("at most", "field");
  }
  return "must be at least " + number_text(bound.value);
}

class Checker {
 public:
  Faults check(const Rule& rule, const Raw& value, const At& at) {
    Faults faults;
    // A check without an end finds nothing: fal is then the one to refuse.
    if (depth_ == deepest || ++steps_ > most_steps) return faults;
    ++depth_;
    check_all(rule, value, at, faults);
    --depth_;
    return faults;
  }

 private:
  void check_all(const Rule& rule, const Raw& value, const At& at, Faults& faults) {
    if (value.is_null() && rule.nullable) return;
    if (rule.never) return faults.push_back(fault(ErrorKind::invalid_value, at, "is not allowed"));
    if (rule.type && !has_type(*rule.type, value)) {
      const std::string must = fmt::format("must be {}", expectation(rule));
      return faults.push_back(fault(ErrorKind::invalid_type, at, must));
    }
    if (rule.listed && !is_listed(rule.allowed, value)) {
      const std::string must = fmt::format("must be {}", expectation(rule));
      return faults.push_back(fault(ErrorKind::invalid_value, at, must));
    }
    for (const Bound& bound : rule.bounds) {
      const std::optional<double> measured = measure(bound.of, value);
      if (measured && !keeps(bound, *measured))
        faults.push_back(fault(ErrorKind::invalid_value, at, demand(bound, *measured)));
    }
    if (value.is_string() && !rule.pattern.empty() &&
        matches_pattern(rule.pattern, value.get_ref<const std::string&>()) == false) {
      const std::string must = fmt::format("must match the pattern {}", rule.pattern);
      faults.push_back(fault(ErrorKind::invalid_value, at, must));
    }
    if (value.is_array()) check_array(rule, value, at, faults);
    if (value.is_object() && rule.object != nullptr) check_object(*rule.object, value, at, faults);
    for (const Rule::Combination& combination : rule.combinations)
      check_combination(rule, combination, value, at, faults);
    if (rule.condition != nullptr) {
      const bool holds = check(*rule.condition->condition, value, at).empty();
      take(holds ? rule.condition->then : rule.condition->otherwise, value, at, faults);
    }
  }

  void take(Rule::Link rule, const Raw& value, const At& at, Faults& faults) {
    if (rule == nullptr) return;
    for (Fault& found : check(*rule, value, at)) faults.push_back(std::move(found));
  }

  void check_array(const Rule& rule, const Raw& value, const At& at, Faults& faults) {
    if (rule.unique) {
      std::vector<Raw> sorted(value.begin(), value.end());
      std::ranges::sort(sorted);
      if (std::ranges::adjacent_find(sorted) != sorted.end())
        faults.push_back(fault(ErrorKind::invalid_value, at, "must not have the same item twice"));
    }
    if (rule.array == nullptr) return;
    const Rule::Array& array = *rule.array;
    double contained = 0;
    for (std::size_t i = 0; i < value.size(); ++i) {
      const At inner{&at, {}, i};
      take(i < array.first.size() ? array.first[i] : array.rest, value[i], inner, faults);
      if (array.contains != nullptr && check(*array.contains, value[i], inner).empty()) ++contained;
    }
    if (array.contains == nullptr) return;
    if (contained < array.min_contains || contained > array.max_contains.value_or(contained))
      faults.push_back(fault(
          ErrorKind::invalid_value, at,
          fmt::format("must hold {}, as often as the model says", expectation(*array.contains))));
  }

  void check_object(const Rule::Object& object, const Raw& value, const At& at, Faults& faults) {
    for (const auto& [name, rule] : object.properties) {
      const auto member = value.find(name);
      if (member != value.end()) take(rule, *member, {&at, name}, faults);
    }
    const auto require = [&](const std::string& name) {
      if (!value.contains(name))
        faults.push_back(fault(ErrorKind::missing_parameter, {&at, name}, "is required"));
    };
    for (const std::string& name : object.required) require(name);
    for (const auto& [name, others] : object.dependent_required) {
      if (value.contains(name)) std::ranges::for_each(others, require);
    }
    for (const auto& [name, rule] : object.dependent_rules) {
      if (value.contains(name)) take(rule, value, at, faults);
    }
    for (const auto& [name, member] : value.items()) check_member(object, name, member, at, faults);
  }

  // A member by its name alone: its patterns, and what holds for those that have no rule.
  void check_member(const Rule::Object& object, const std::string& name, const Raw& member,
                    const At& at, Faults& faults) {
    const At inner{&at, name};
    if (object.names != nullptr && !check(*object.names, Raw(name), inner).empty())
      faults.push_back(
          fault(ErrorKind::unknown_parameter, inner, "is not a name that may be used"));
    bool has_rule = std::ranges::binary_search(object.properties, name, {},
                                               [](const auto& property) { return property.first; });
    for (const auto& [pattern, rule] : object.patterns) {
      const std::optional<bool> matches = matches_pattern(pattern, name);
      has_rule = has_rule || matches.value_or(true);
      if (matches == true) take(rule, member, inner, faults);
    }
    if (has_rule || object.additional == nullptr) return;
    if (object.additional->never) {
      faults.push_back(fault(ErrorKind::unknown_parameter, inner, "is not a field of this object"));
    } else {
      take(object.additional, member, inner, faults);
    }
  }

  void check_combination(const Rule& rule, const Rule::Combination& combination, const Raw& value,
                         const At& at, Faults& faults) {
    switch (combination.kind) {
      case Rule::Combination::Kind::all_of:
        for (const Rule::Link part : combination.rules) take(part, value, at, faults);
        return;
      case Rule::Combination::Kind::none_of:
        if (check(*combination.rules.front(), value, at).empty())
          faults.push_back(fault(ErrorKind::invalid_value, at, "is a value that is ruled out"));
        return;
      case Rule::Combination::Kind::any_of:
      case Rule::Combination::Kind::one_of:
        return check_branches(rule, combination, value, at, faults);
    }
  }

  // Where no branch takes the value: the faults of the one that it was meant for, if its type tells
  // which; else what all of them take.
  void check_branches(const Rule& rule, const Rule::Combination& combination, const Raw& value,
                      const At& at, Faults& faults) {
    std::size_t takers = 0, candidates = 0;
    Rule::Link meant = nullptr;
    Faults of_meant;
    for (const Rule::Link branch : combination.rules) {
      Faults found = check(*branch, value, at);
      if (found.empty()) {
        ++takers;
        if (combination.kind == Rule::Combination::Kind::any_of) return;
        continue;
      }
      const bool other_type =
          found.front().kind == ErrorKind::invalid_type && found.front().pointer == at.pointer();
      if (other_type) continue;
      ++candidates;
      meant = branch;
      of_meant = std::move(found);
    }
    if (takers == 1) return;
    if (takers > 1) {
      faults.push_back(fault(ErrorKind::invalid_value, at,
                             "fits several of the shapes that exclude each other"));
    } else if (candidates == 1 && !lists_values(*meant)) {
      for (Fault& found : of_meant) faults.push_back(std::move(found));
    } else {
      const ErrorKind kind = candidates == 0 ? ErrorKind::invalid_type : ErrorKind::invalid_value;
      faults.push_back(fault(kind, at, fmt::format("must be {}", expectation(rule))));
    }
  }

  int depth_ = 0;
  int steps_ = 0;
};

}  // namespace

std::vector<Fault> find_faults(const Field& field, const Json& value, std::string_view path) {
  if (field.written == nullptr) return {};
  return Checker().check(*field.written, Json::Access::raw(value), {nullptr, path});
}

std::optional<Error> check(const Field& field, const Json& value, std::string_view path) {
  std::vector<Fault> faults = find_faults(field, value, path);
  if (faults.empty()) return std::nullopt;
  Fault& first = faults.front();
  return Error{first.kind, std::move(first.message), std::move(first.path)};
}

}  // namespace falproxy::inline v0::schema
