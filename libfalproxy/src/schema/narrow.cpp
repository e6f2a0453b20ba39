#include "schema/narrow.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <numeric>
#include <utility>

namespace falproxy::inline v0::schema {
namespace {

template <class T>
void take(std::optional<T>& mine, std::optional<T>& more) {
  if (more) mine = std::move(more);
}

void take(std::string& mine, std::string& more) {
  if (!more.empty()) mine = std::move(more);
}

template <class T>
void raise(std::optional<T>& mine, const std::optional<T>& more) {
  if (more) mine = mine ? std::max(*mine, *more) : *more;
}

template <class T>
void lower(std::optional<T>& mine, const std::optional<T>& more) {
  if (more) mine = mine ? std::min(*mine, *more) : *more;
}

void narrow_values(std::vector<Json>& mine, std::vector<Json> more) {
  if (more.empty()) return;
  if (!mine.empty()) {
    std::erase_if(more,
                  [&](const Json& value) { return std::ranges::find(mine, value) == mine.end(); });
  }
  if (!more.empty()) mine = std::move(more);
}

void take(std::shared_ptr<const Field>& mine, std::shared_ptr<const Field>& more) {
  if (more != nullptr) mine = std::move(more);
}

// What is a multiple of 4 and of 6 is one of 12.
std::optional<double> common_multiple(std::optional<double> a, std::optional<double> b) {
  if (!a || !b) return a ? a : b;
  constexpr double most_exact = 1e6;
  const auto whole = [](double value) {
    return value >= 1 && value <= most_exact && std::trunc(value) == value;
  };
  if (!whole(*a) || !whole(*b)) return std::max(*a, *b);
  return static_cast<double>(
      std::lcm(static_cast<std::int64_t>(*a), static_cast<std::int64_t>(*b)));
}

void narrow_limits(std::shared_ptr<const FalLimits>& mine,
                   const std::shared_ptr<const FalLimits>& more) {
  if (mine == nullptr || more == nullptr) {
    if (more != nullptr) mine = more;
    return;
  }
  FalLimits both = *mine;
  for (auto limit :
       {&FalLimits::min_width, &FalLimits::max_width, &FalLimits::min_height,
        &FalLimits::max_height, &FalLimits::min_area, &FalLimits::max_area, &FalLimits::multiple_of,
        &FalLimits::min_aspect_ratio, &FalLimits::max_aspect_ratio, &FalLimits::max_file_size}) {
    if (const auto& value = (*more).*limit) both.*limit = value;
  }
  mine = std::make_shared<const FalLimits>(both);
}

void narrow_properties(std::vector<Field>& mine, std::vector<Field> more) {
  if (mine.empty()) {
    mine = std::move(more);
    return;
  }
  for (Field& property : more) {
    const auto same = std::ranges::find(mine, property.name, &Field::name);
    if (same == mine.end()) {
      mine.push_back(std::move(property));
    } else {
      const bool required = same->required || property.required;
      narrow(*same, std::move(property));
      same->required = required;
    }
  }
}

// A value must fit one of each: every pair of them is a branch, unless there are too many.
void narrow_branches(std::vector<Field>& mine, std::vector<Field> more) {
  constexpr std::size_t most = 16;
  if (mine.empty() || more.empty() || mine.size() * more.size() > most) {
    if (!more.empty()) mine = std::move(more);
    return;
  }
  std::vector<Field> pairs;
  for (const Field& one : mine) {
    for (const Field& other : more) narrow(pairs.emplace_back(one), other);
  }
  mine = std::move(pairs);
}

}  // namespace

Types common_types(const Types& a, const Types& b) {
  if (!a.any() || !b.any()) return a.any() ? a : b;
  Types both;
  both.boolean = a.boolean && b.boolean;
  both.number = a.number && b.number;
  both.integer = !both.number && (a.integer || a.number) && (b.integer || b.number);
  both.string = a.string && b.string;
  both.array = a.array && b.array;
  both.object = a.object && b.object;
  return both.any() ? both : b;
}

void narrow(Field& field, Field more) {
  field.types = common_types(field.types, more.types);
  field.nullable = field.nullable || more.nullable;
  field.deprecated = field.deprecated || more.deprecated;
  field.unique_items = field.unique_items || more.unique_items;
  field.closed = field.closed || more.closed;
  take(field.title, more.title);
  take(field.description, more.description);
  take(field.format, more.format);
  take(field.pattern, more.pattern);
  take(field.default_value, more.default_value);
  take(field.step, more.step);
  field.multiple_of = common_multiple(field.multiple_of, more.multiple_of);
  if (!more.examples.empty()) field.examples = std::move(more.examples);
  narrow_values(field.allowed, std::move(more.allowed));
  raise(field.minimum, more.minimum);
  lower(field.maximum, more.maximum);
  raise(field.exclusive_minimum, more.exclusive_minimum);
  lower(field.exclusive_maximum, more.exclusive_maximum);
  raise(field.min_length, more.min_length);
  lower(field.max_length, more.max_length);
  raise(field.min_items, more.min_items);
  lower(field.max_items, more.max_items);
  narrow_properties(field.properties, std::move(more.properties));
  std::ranges::move(more.required_names, std::back_inserter(field.required_names));
  take(field.additional, more.additional);
  take(field.items, more.items);
  narrow_limits(field.fal_limits, more.fal_limits);
  narrow_branches(field.branches, std::move(more.branches));
}

}  // namespace falproxy::inline v0::schema
