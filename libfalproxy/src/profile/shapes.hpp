// shapes.hpp: what a field takes, whichever of its branches says so.
#pragma once

#include <optional>
#include <string_view>

#include "falproxy/schema.hpp"

namespace falproxy::inline v0::profile {

/// Calls `f(shape)` for the field itself, or for each of its branches where it has some.
template <class F>
void for_each_shape(const schema::Field& field, F&& f) {
  if (field.branches.empty()) {
    f(field);
    return;
  }
  for (const schema::Field& branch : field.branches) for_each_shape(branch, f);
}

/// Calls `f(value)` for each value that an enum lists.
template <class F>
void for_each_listed(const schema::Field& field, F&& f) {
  for (const Json& value : field.allowed) f(value);
  for (const schema::Field& branch : field.branches) for_each_listed(branch, f);
}

/// The listed value that says `word`: the same, or the same but for case and "-", "_", " ".
[[nodiscard]] const Json* find_listed(const schema::Field& field, std::string_view word);
/// Whether any string may be sent.
[[nodiscard]] bool takes_any_text(const schema::Field& field);
[[nodiscard]] inline bool takes_number(const schema::Field& shape) noexcept {
  return shape.types.integer || shape.types.number;
}
/// The field or the one of its branches that is an array; null: none is an array of which anything
/// is known.
[[nodiscard]] const schema::Field* array_of(const schema::Field& field) noexcept;
/// The elements of array_of(); null: there is none.
[[nodiscard]] const schema::Field* elements_of(const schema::Field& field) noexcept;
/// A member of an object, or of a branch that is one; null: there is none.
[[nodiscard]] const schema::Field* member_of(const schema::Field& field,
                                             std::string_view name) noexcept;

}  // namespace falproxy::inline v0::profile
