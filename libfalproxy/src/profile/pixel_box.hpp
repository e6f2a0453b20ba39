// pixel_box.hpp: which pixel sizes a model takes, and the one of them that is nearest to a wish.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "falproxy/schema.hpp"
#include "profile/size_terms.hpp"

namespace falproxy::inline v0::profile {

/// What one side may be: whole multiples of `step` from `low` to `high`, or one of `listed` where
/// there is a list.
struct Side {
  std::uint32_t low = 1;
  std::uint32_t high = 1'000'000;
  std::uint32_t step = 1;
  std::vector<std::uint32_t> listed = {};

  [[nodiscard]] bool takes(std::uint32_t pixels) const noexcept;
};

/// As read_whole_number() reads it, for a model whose `shape` takes numbers, or such text.
[[nodiscard]] Json write_side(const schema::Field& shape, std::uint32_t pixels);

/// The sizes that a model takes.
struct PixelBox {
  Side width, height;
  double min_area = 0, max_area = 1e12;
  double min_aspect = 0, max_aspect = 1e6;

  [[nodiscard]] bool takes(Pixels size) const noexcept;
  /// The size in the box that is nearest to width x height: the same shape, made larger or smaller
  /// until bounds and area allow it, each side on a neighbouring multiple, of 16 or 8 if the shape
  /// allows, or from its list; of these the nearest in shape, then in area. None: the box is empty.
  [[nodiscard]] std::optional<Pixels> nearest(double width, double height) const;
  /// The limits that `size` breaks, for a Note: "multiples of 32, at most 2048 wide".
  [[nodiscard]] std::string broken_limits(Pixels size) const;

 private:
  [[nodiscard]] std::optional<Pixels> nearest_of_steps(double wanted_width,
                                                       double wanted_height) const;
  [[nodiscard]] PixelBox on_its_side() const;
  [[nodiscard]] std::optional<Pixels> scan(double wanted_width, double wanted_height) const;
};

/// From the schemas of width and height and fal's own limits (`x-fal`). Limits that are only told
/// in prose are not known: a sentence that is misread would change sizes that the model takes.
[[nodiscard]] PixelBox pixel_box(const schema::Field& width, const schema::Field& height,
                                 const schema::FalLimits& limits);

}  // namespace falproxy::inline v0::profile
