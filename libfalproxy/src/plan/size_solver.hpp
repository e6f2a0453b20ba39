// size_solver.hpp: from the size that is wanted to what the model is sent, with the least change.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "falproxy/schema.hpp"
#include "falproxy/wish.hpp"
#include "profile/sizes.hpp"

namespace falproxy::inline v0::plan {

using profile::Pixels;

struct SizeChoice {
  std::vector<std::pair<const schema::Field*, Json>> values;  ///< what is sent; empty: nothing
  std::optional<Pixels> pixels;  ///< what the picture will measure, where that is known beforehand
  std::string why;               ///< for explain
  std::string note;              ///< empty: the wish is met exactly
};

/// The rule, which docs/mapping.md tells: 1. exact pixels where the model takes them. 2. Else what
/// it lists: the nearest shape (on the logarithm of width / height), among equal shapes the nearest
/// area. 3. Where it also lists tiers (1K, 720p), the one nearest in area. Nothing is sent that the
/// document refuses; a wish for "auto" is left to the model. An input of `taken` has a value
/// already: another than a tier decides the size, and then nothing is chosen. `area`, in pixels
/// squared, is what a wish without pixels has of it; `said` is what a Note calls the wish.
[[nodiscard]] SizeChoice choose_size(const SizeWish& wish, const profile::SizeControls& controls,
                                     const std::vector<const schema::Field*>& taken,
                                     std::optional<double> area = std::nullopt,
                                     std::string said = {});

/// The smallest of the tiers that `field` lists; empty: it lists none.
[[nodiscard]] SizeChoice smallest_tier(const profile::SizeControls& controls,
                                       const schema::Field& field);

/// A word that one of the controls lists; empty: none does.
[[nodiscard]] SizeChoice listed_size(std::string_view word, const profile::SizeControls& controls);

/// The ratio nearest to `aspect` of which no term is above `most`.
[[nodiscard]] profile::Pixels simple_ratio(double aspect, std::uint32_t most);

/// For a request that asks for no size, of a model whose default has another shape than the
/// `picture` it works on: the model's word for the picture's own, else that shape in about the area
/// of the default. Empty: the default is right, or the model's sizes do not allow for it.
[[nodiscard]] SizeChoice keep_shape(profile::Pixels picture, const profile::SizeControls& controls,
                                    const std::vector<const schema::Field*>& taken);

/// What a model's defaults make of a request that says nothing of a size.
[[nodiscard]] std::optional<Pixels> default_pixels(const profile::SizeControls& controls);

/// "1024x768"; "16:9" of a ratio.
[[nodiscard]] std::string to_text(Pixels size);
[[nodiscard]] std::string to_text(const SizeWish& wish);

}  // namespace falproxy::inline v0::plan
