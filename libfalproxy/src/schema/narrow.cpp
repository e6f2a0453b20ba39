#include "schema/narrow.hpp"

#include <algorithm>
#include <utility>

namespace falproxy::schema {
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

void narrow_limits(FalLimits& mine, FalLimits& more) {
  for (auto limit :
       {&FalLimits::min_width, &FalLimits::max_width, &FalLimits::min_height,
        &FalLimits::max_height, &FalLimits::min_area, &FalLimits::max_area, &FalLimits::multiple_of,
        &FalLimits::min_aspect_ratio, &FalLimits::max_aspect_ratio, &FalLimits::max_file_size}) {
    take(mine.*limit, more.*limit);
  }
}

void narrow_properties(std::vector<Field>& mine, std::vector<Field> more) {
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
  take(field.multiple_of, more.multiple_of);
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
  take(field.additional, more.additional);
  take(field.items, more.items);
  narrow_limits(field.limits, more.limits);
  if (!more.branches.empty()) field.branches = std::move(more.branches);
}

}  // namespace falproxy::schema
