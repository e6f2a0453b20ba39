// size_terms.hpp: what the words mean by which fal's documents name sizes: presets, WxH, ratios,
// tiers, "auto".
#pragma once

#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>

#include "falproxy/json.hpp"

namespace falproxy::inline v0::profile {

struct Pixels {
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  bool operator==(const Pixels&) const = default;
};

/// What is known of one word. All empty: it says nothing about a size.
struct SizeTerm {
  bool automatic = false;        ///< the model chooses: "auto", "match_input"
  std::optional<Pixels> pixels;  ///< known exactly: "1024x768", "square_hd"
  std::optional<double> aspect;  ///< width / height: "16:9", and whatever has pixels
  std::optional<double> area;    ///< pixels squared: "2K", "720p", and whatever has pixels
  std::optional<double> lines;   ///< the short side of a video: "720p", "4K"
  bool vague = false;            ///< `aspect` is a guess: "landscape"

  [[nodiscard]] bool says_nothing() const noexcept { return !automatic && !aspect && !area; }
};

/// Understood: fal's presets ("square", "square_hd", "portrait_16_9", "landscape_3_2", ...) and
/// labels that begin with such a word ("Portrait (9:16)", "wide");
/// "1024x768" with x, X, * or the multiplication sign; "16:9", "19.5:9", "16/9", "16_9"; "2K",
/// "720p", "4MP", "1024"; "auto", "auto_2K", "match_input".
[[nodiscard]] SizeTerm read_size_term(std::string_view word) noexcept;
/// A word, a number ("1024": the edge of a square), an object {width, height} or an array [width,
/// height].
[[nodiscard]] SizeTerm read_size_term(const Json& value) noexcept;

/// The area of a video of so many lines.
[[nodiscard]] inline double area_of_lines(double lines, double aspect) noexcept {
  return lines * lines * (aspect < 1 ? 1 / aspect : aspect);
}
/// The sides of such a video, which are even.
[[nodiscard]] Pixels pixels_of_lines(double lines, double aspect) noexcept;

/// How far two sizes are apart: in shape first, then in area.
struct SizeDistance {
  double aspect = 0;
  double area = 0;

  /// Differences below what rounding of doubles can make do not count.
  [[nodiscard]] bool less_than(const SizeDistance& other) const noexcept {
    constexpr double noise = 1e-9;
    if (std::abs(aspect - other.aspect) > noise) return aspect < other.aspect;
    return area < other.area - noise;
  }
};
[[nodiscard]] inline double log_distance(double a, double b) noexcept {
  return std::abs(std::log(a / b));
}

}  // namespace falproxy::inline v0::profile
