#include "painter.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>

#include "falproxy/test_doubles.hpp"

namespace falsim {

using falproxy::testing::FixedRandom;

namespace {

constexpr Pixel opaque = 0xFF000000u;

constexpr Pixel pixel(std::uint8_t r, std::uint8_t g, std::uint8_t b) {
  return opaque | static_cast<Pixel>(b) << 16 | static_cast<Pixel>(g) << 8 | r;
}

std::uint8_t to_byte(double share) {
  return static_cast<std::uint8_t>(std::lround(std::clamp(share, 0.0, 1.0) * 255));
}

/// `hue` in turns; saturation and value from 0 to 1.
Pixel from_hsv(double hue, double saturation, double value) {
  const auto channel = [&](double offset) {
    const double k = std::fmod(offset + hue * 6, 6);
    return to_byte(value - value * saturation * std::clamp(std::min(k, 4 - k), 0.0, 1.0));
  };
  return pixel(channel(5), channel(3), channel(1));
}

Pixel mix(Pixel a, Pixel b, double share) {
  const auto channel = [&](std::uint8_t x, std::uint8_t y) {
    return to_byte((x + (y - x) * share) / 255);
  };
  return pixel(channel(red(a), red(b)), channel(green(a), green(b)), channel(blue(a), blue(b)));
}

/// The skyline of one range of hills: for each column its first row.
std::vector<std::uint32_t> skyline(std::uint32_t width, std::uint32_t height, double base,
                                   FixedRandom& dice) {
  std::vector<std::uint32_t> top;
  top.reserve(width);
  const std::array<double, 3> phase{dice(), dice(), dice()};
  const double waves = 1 + 2 * dice();
  for (std::uint32_t x = 0; x < width; ++x) {
    const double t = static_cast<double>(x) / width;
    double y = base;
    for (std::size_t i = 0; i < phase.size(); ++i) {
      const double octave = static_cast<double>(1u << i);
      y += 0.06 / octave * std::sin(2 * std::numbers::pi * (waves * octave * t + phase[i]));
    }
    top.push_back(static_cast<std::uint32_t>(y * height));
  }
  return top;
}

}  // namespace

Painter::Painter(const Picture& picture)
    : width_(picture.width),
      height_(picture.height),
      black_(picture.black),
      transparent_(picture.transparent) {
  FixedRandom dice(picture.variant);
  const double hue = dice();
  sky_top_ = from_hsv(hue, 0.55, 0.75);
  sky_bottom_ = from_hsv(std::fmod(hue + 0.12, 1.0), 0.25, 1.0);
  const double short_edge = std::min(width_, height_);
  discs_.push_back({(0.2 + 0.6 * dice()) * width_, (0.15 + 0.25 * dice()) * height_,
                    0.09 * short_edge, from_hsv(0.13, 0.35, 1.0)});
  const int balloons = 2 + static_cast<int>(dice() * 4);
  for (int i = 0; i < balloons; ++i) {
    const Pixel colour = from_hsv(dice(), 0.75, 0.9);
    const double x = dice() * width_;
    const double y = (0.1 + 0.6 * dice()) * height_;
    discs_.push_back({x, y, (0.02 + 0.04 * dice()) * short_edge, colour});
  }
  for (int layer = 0; layer < 4; ++layer) {
    const Pixel colour =
        from_hsv(std::fmod(hue + 0.35, 1.0), 0.35 + 0.1 * layer, 0.75 - 0.15 * layer);
    hills_.push_back({skyline(width_, height_, 0.58 + 0.1 * layer, dice), colour});
  }
}

void Painter::paint(std::uint32_t y, std::span<Pixel> row) const {
  if (black_) {
    std::ranges::fill(row, opaque);
    return;
  }
  const Pixel sky = mix(sky_top_, sky_bottom_, static_cast<double>(y) / height_);
  std::ranges::fill(row, transparent_ ? 0 : sky);
  for (const Disc& disc : discs_) {
    const double dy = y - disc.y;
    if (std::abs(dy) >= disc.radius) continue;
    const double half = std::sqrt(disc.radius * disc.radius - dy * dy);
    const auto from = static_cast<std::size_t>(std::clamp(disc.x - half, 0.0, 1.0 * width_));
    const auto to = static_cast<std::size_t>(std::clamp(disc.x + half, 0.0, 1.0 * width_));
    std::ranges::fill(row.subspan(from, to - from), disc.colour);
  }
  for (const Hill& hill : hills_) {
    for (std::size_t x = 0; x < row.size(); ++x) row[x] = y >= hill.top[x] ? hill.colour : row[x];
  }
}

}  // namespace falsim
