#include "profile/shapes.hpp"

#include "profile/vocabulary.hpp"

namespace falproxy::inline v0::profile {

using schema::Field;

const Json* find_listed(const Field& field, std::string_view word) {
  const Json* exact = nullptr;
  const Json* alike = nullptr;
  for_each_listed(field, [&](const Json& value) {
    const std::optional<std::string_view> text = value.as_string();
    if (!text) return;
    if (exact == nullptr && *text == word) exact = &value;
    if (alike == nullptr && same_word(*text, word)) alike = &value;
  });
  return exact != nullptr ? exact : alike;
}

bool takes_any_text(const Field& field) {
  if (!field.allowed.empty()) return false;
  bool any = false;
  for_each_shape(field, [&](const Field& shape) {
    any = any || (shape.allowed.empty() && (shape.types.string || !shape.types.any()));
  });
  return any;
}

const Field* array_of(const Field& field) noexcept {
  if (field.items != nullptr) return &field;
  for (const Field& branch : field.branches) {
    if (branch.items != nullptr) return &branch;
  }
  return nullptr;
}

const Field* elements_of(const Field& field) noexcept {
  const Field* array = array_of(field);
  return array == nullptr ? nullptr : array->items.get();
}

const Field* member_of(const Field& field, std::string_view name) noexcept {
  if (const Field* property = field.property(name)) return property;
  for (const Field& branch : field.branches) {
    if (const Field* property = member_of(branch, name)) return property;
  }
  return nullptr;
}

}  // namespace falproxy::inline v0::profile
