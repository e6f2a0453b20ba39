// painter.hpp: something to look at, row by row: hills, a sun and balloons that follow from a
// number.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "falproxy/picture_encoder.hpp"

namespace falsim {

using falproxy::testing::Picture;

/// Red, green, blue and opacity, from the lowest byte up.
using Pixel = std::uint32_t;
[[nodiscard]] constexpr std::uint8_t red(Pixel pixel) { return static_cast<std::uint8_t>(pixel); }
[[nodiscard]] constexpr std::uint8_t green(Pixel pixel) {
  return static_cast<std::uint8_t>(pixel >> 8);
}
[[nodiscard]] constexpr std::uint8_t blue(Pixel pixel) {
  return static_cast<std::uint8_t>(pixel >> 16);
}
[[nodiscard]] constexpr std::uint8_t opacity(Pixel pixel) {
  return static_cast<std::uint8_t>(pixel >> 24);
}

/// A picture of 14142 x 14142 needs no more memory than one row.
class Painter {
 public:
  explicit Painter(const Picture& picture);
  /// `row` holds as many pixels as the picture is wide.
  void paint(std::uint32_t y, std::span<Pixel> row) const;

 private:
  struct Disc {
    double x, y, radius;
    Pixel colour;
  };
  struct Hill {
    std::vector<std::uint32_t> top;  // the first row of the hill, for each column
    Pixel colour;
  };

  std::uint32_t width_;
  std::uint32_t height_;
  bool black_;
  bool transparent_;
  Pixel sky_top_ = 0;
  Pixel sky_bottom_ = 0;
  std::vector<Disc> discs_;
  std::vector<Hill> hills_;  // the farthest first
};

}  // namespace falsim
