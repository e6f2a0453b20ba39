// inputs.hpp: which input of a model plays which part, whatever it is called.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "falproxy/schema.hpp"

namespace falproxy::translate {

enum class Role : std::size_t {
  prompt,
  count,    ///< pictures of one job
  per_run,  ///< pictures of each of `count` runs: the job brings the product
  seed,
  format,
  compression,
  quality,
  style,
  background,
  transparency,  ///< a switch: true is a transparent background
  moderation,
  safety_switch,  ///< true: pictures are checked
  unsafe_switch,  ///< true: pictures are not checked
  tolerance,      ///< the higher, the more is let through
  fidelity,
  sync,  ///< true: pictures come as data URIs in the result
  user,
  end,
};

/// The inputs of one model by their parts. Pointers live as long as the schema.
class Inputs {
 public:
  explicit Inputs(const schema::ModelSchema& schema);
  /// Null: the model has none.
  [[nodiscard]] const schema::Field* operator[](Role role) const noexcept {
    return fields_[static_cast<std::size_t>(role)];
  }

 private:
  std::array<const schema::Field*, static_cast<std::size_t>(Role::end)> fields_{};
};

/// Every name by which an input is known to play a part; docs/mapping.md has them all.
[[nodiscard]] std::vector<std::string_view> known_input_names();

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
[[nodiscard]] bool same_word(std::string_view a, std::string_view b) noexcept;
/// Whether any string may be sent.
[[nodiscard]] bool takes_any_text(const schema::Field& field);

}  // namespace falproxy::translate
