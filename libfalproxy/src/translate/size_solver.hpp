// size_solver.hpp: from the size that is wanted to what the model is sent, with the least change.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "falproxy/openai.hpp"
#include "falproxy/schema.hpp"
#include "translate/size_terms.hpp"

namespace falproxy::translate {

struct SizeChoice {
  std::vector<std::pair<const schema::Field*, Json>> values;  ///< what is sent; empty: nothing
  std::optional<Pixels> pixels;  ///< what the picture will measure, where that is known beforehand
  std::string why;               ///< for explain
  std::string note;              ///< empty: the wish is met exactly
};

/// The rule, which README quotes: 1. exact pixels where the model takes them. 2. Else what it
/// lists: the nearest shape (on the logarithm of width / height), among equal shapes the nearest
/// area. 3. Where it also lists tiers (1K, 720p), the one nearest in area. Nothing is sent that the
/// document refuses; a wish for "auto" is left to the model. An input of `taken` has a value
/// already: another than a tier decides the size, and then nothing is chosen.
[[nodiscard]] SizeChoice choose_size(const openai::SizeWish& wish,
                                     const schema::ModelSchema& schema,
                                     const std::vector<const schema::Field*>& taken);

/// What a model's defaults make of a request that says nothing of a size.
[[nodiscard]] std::optional<Pixels> default_pixels(const schema::ModelSchema& schema);

/// "1024x768"; "16:9" of a ratio.
[[nodiscard]] std::string to_text(Pixels size);
[[nodiscard]] std::string to_text(const openai::SizeWish& wish);

}  // namespace falproxy::translate
