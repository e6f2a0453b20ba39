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

void narrow_shared(std::shared_ptr<const Field>& mine, const std::shared_ptr<const Field>& more) {
  if (mine == nullptr) {
    mine = more;
  } else if (more != nullptr) {
    Field both = *mine;
    narrow(both, *more);
    mine = std::make_shared<const Field>(std::move(both));
  }
}

void narrow_limits(FalLimits& mine, FalLimits& more) {
  for (auto limit :
       {&FalLimits::min_width, &FalLimits::max_width, &FalLimits::min_height,
        &FalLimits::max_height, &FalLimits::min_area, &FalLimits::max_area, &FalLimits::multiple_of,
        &FalLimits::min_aspect_ratio, &FalLimits::max_aspect_ratio, &FalLimits::max_file_size}) {
    take(mine.*limit, more.*limit);
  }
}

// Alternatives of alternatives multiply. Beyond this, which only a hostile document reaches, fal is
// the one to refuse.
constexpr std::size_t most_ways = 64;

std::size_t ways_through(const Field& field) {
  if (field.branches.empty()) return 1;
  std::size_t ways = 0;
  for (const Field& branch : field.branches) ways += ways_through(branch);
  return ways;
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
  narrow_shared(field.additional, more.additional);
  narrow_shared(field.items, more.items);
  narrow_limits(field.limits, more.limits);
  if (!more.branches.empty()) narrow_to_one_of(field, more.branches);
}

void narrow_to_one_of(Field& field, const std::vector<Field>& alternatives) {
  if (field.branches.empty()) {
    field.branches = alternatives;
  } else if (ways_through(field) * alternatives.size() <= most_ways) {
    // One of these and one of those: each of these, narrowed to one of those.
    for (Field& branch : field.branches) narrow_to_one_of(branch, alternatives);
  }
}

}  // namespace falproxy::schema
