#include "profile/pixel_box.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/fmt.hpp"
#include "profile/shapes.hpp"
#include "profile/whole_numbers.hpp"

namespace falproxy::inline v0::profile {
namespace {

constexpr double largest_side = 1'000'000;

std::uint32_t whole(double value) noexcept {
  return static_cast<std::uint32_t>(std::clamp(value, 1.0, largest_side));
}

Side side_of(const schema::Field& field, const std::optional<double>& fal_min,
             const std::optional<double>& fal_max, const std::optional<double>& fal_multiple) {
  const WholeNumbers numbers = whole_numbers(field, 1, largest_side);
  const double low = std::max(numbers.low, std::ceil(fal_min.value_or(0)));
  const double high = std::min(numbers.high, std::floor(fal_max.value_or(largest_side)));
  Side side;
  for (const std::optional<double>& multiple : {std::optional(numbers.step), fal_multiple}) {
    if (multiple && *multiple >= 1 && *multiple <= 4096 && std::trunc(*multiple) == *multiple) {
      side.step = std::lcm(side.step, static_cast<std::uint32_t>(*multiple));
    }
  }
  side.low = whole(std::ceil(low / side.step) * side.step);
  side.high = high < 1 ? 0 : whole(std::floor(high / side.step) * side.step);
  std::vector<std::uint32_t> listed;
  for (const Json& value : field.allowed) {
    if (const auto pixels = read_whole_number(value); pixels && side.takes(*pixels))
      listed.push_back(*pixels);
  }
  if (!field.allowed.empty() && listed.empty()) side.high = 0;
  side.listed = std::move(listed);
  return side;
}

// The values of one side that may be nearest to `target`: those of the list, or multiples around
// it.
std::vector<std::uint32_t> neighbours(const Side& side, double target, int reach) {
  if (!side.listed.empty()) return side.listed;
  std::vector<std::uint32_t> found;
  const double below = std::floor(target / side.step);
  for (int k = 1 - reach; k <= reach; ++k) {
    const double pixels = (below + k) * side.step;
    if (pixels >= side.low && pixels <= side.high)
      found.push_back(static_cast<std::uint32_t>(pixels));
  }
  if (found.empty() && side.low <= side.high)
    found.push_back(target < side.low ? side.low : side.high);
  return found;
}

double low_of(const Side& side) noexcept {
  return side.listed.empty() ? side.low : *std::ranges::min_element(side.listed);
}
double high_of(const Side& side) noexcept {
  return side.listed.empty() ? side.high : *std::ranges::max_element(side.listed);
}

}  // namespace

Json write_side(const schema::Field& shape, std::uint32_t pixels) {
  for (const Json& value : shape.allowed) {
    if (read_whole_number(value) == pixels) return value;
  }
  return takes_number(shape) ? Json::integer(pixels) : Json::string(std::to_string(pixels));
}

bool Side::takes(std::uint32_t pixels) const noexcept {
  if (!listed.empty() && std::ranges::find(listed, pixels) == listed.end()) return false;
  return pixels >= low && pixels <= high && pixels % step == 0;
}

bool PixelBox::takes(Pixels size) const noexcept {
  if (!width.takes(size.width) || !height.takes(size.height)) return false;
  const double area = static_cast<double>(size.width) * size.height;
  const double aspect = static_cast<double>(size.width) / size.height;
  constexpr double noise = 1e-9;  // 1/3 as a decimal fraction is not 512/1536
  return area >= min_area && area <= max_area && aspect >= min_aspect * (1 - noise) &&
         aspect <= max_aspect * (1 + noise);
}

std::optional<Pixels> PixelBox::nearest(double wanted_width, double wanted_height) const {
  // A size that is changed anyway becomes one that every model can make, if that costs no shape.
  constexpr double little = 0.05;
  const Pixels wanted{whole(wanted_width), whole(wanted_height)};
  if (wanted.width == wanted_width && wanted.height == wanted_height && takes(wanted))
    return wanted;
  if (!height.listed.empty() && width.listed.empty()) {
    const std::optional<Pixels> size = on_its_side().scan(wanted_height, wanted_width);
    return size ? std::optional(Pixels{size->height, size->width}) : std::nullopt;
  }
  if (!width.listed.empty()) return scan(wanted_width, wanted_height);
  for (const std::uint32_t multiple : {16U, 8U}) {
    if (width.step != 1 || height.step != 1) break;
    PixelBox coarse = *this;
    for (Side* side : {&coarse.width, &coarse.height}) {
      side->step = std::lcm(side->step, multiple);
      side->low = (side->low + side->step - 1) / side->step * side->step;
      side->high = side->high / side->step * side->step;
    }
    const std::optional<Pixels> size = coarse.nearest_of_steps(wanted_width, wanted_height);
    if (size && log_distance(static_cast<double>(size->width) / size->height,
                             wanted_width / wanted_height) < little)
      return size;
  }
  return nearest_of_steps(wanted_width, wanted_height);
}

PixelBox PixelBox::on_its_side() const {
  return {height, width, min_area, max_area, 1 / max_aspect, 1 / std::max(min_aspect, 1e-6)};
}

// Each width with the height that the limits leave for it.
std::optional<Pixels> PixelBox::scan(double wanted_width, double wanted_height) const {
  constexpr std::uint32_t most = 20'000;
  const double aspect = wanted_width / wanted_height;
  std::optional<Pixels> best;
  SizeDistance best_distance;
  const auto offer = [&](Pixels size) {
    if (!takes(size)) return;
    const double area = static_cast<double>(size.width) * size.height;
    const SizeDistance distance{log_distance(static_cast<double>(size.width) / size.height, aspect),
                                log_distance(area, wanted_width * wanted_height)};
    if (best && !distance.less_than(best_distance)) return;
    best = size;
    best_distance = distance;
  };
  const auto try_width = [&](std::uint32_t w) {
    const double least = std::max({low_of(height), min_area / w, w / max_aspect});
    const double greatest =
        std::min({high_of(height), max_area / w, w / std::max(min_aspect, 1e-9)});
    if (least > greatest) return;
    for (const double target : {std::clamp(w / aspect, least, greatest), least, greatest}) {
      for (const std::uint32_t h : neighbours(height, target, 1)) offer({w, h});
    }
  };
  if (!width.listed.empty()) {
    for (const std::uint32_t w : width.listed) try_width(w);
    return best;
  }
  if (width.low > width.high) return std::nullopt;
  const std::uint32_t steps = (width.high - width.low) / width.step;
  const std::uint32_t stride = std::max(1U, steps / most) * width.step;
  for (std::uint64_t w = width.low; w <= width.high; w += stride)
    try_width(static_cast<std::uint32_t>(w));
  return best;
}

std::optional<Pixels> PixelBox::nearest_of_steps(double wanted_width, double wanted_height) const {
  const double wanted_aspect = wanted_width / wanted_height;
  const double wanted_area = wanted_width * wanted_height;
  if (low_of(width) > high_of(width) || low_of(height) > high_of(height)) return std::nullopt;

  // The shape first, then the one scale nearest to 1 at which every bound holds.
  const double aspect =
      std::clamp(wanted_aspect, std::max(min_aspect, low_of(width) / high_of(height)),
                 std::max(std::max(min_aspect, low_of(width) / high_of(height)),
                          std::min(max_aspect, high_of(width) / low_of(height))));
  const double base_width = std::sqrt(wanted_area * aspect);
  const double base_height = std::sqrt(wanted_area / aspect);
  const double smallest = std::max({low_of(width) / base_width, low_of(height) / base_height,
                                    std::sqrt(min_area / wanted_area)});
  const double largest = std::min({high_of(width) / base_width, high_of(height) / base_height,
                                   std::sqrt(max_area / wanted_area)});
  const double scale = smallest > largest ? smallest : std::clamp(1.0, smallest, largest);

  // A first look at the neighbouring multiples; a wider one where limits of area or aspect refuse
  // all of them.
  for (const int reach : {1, 2, 4, 16}) {
    std::optional<Pixels> best;
    SizeDistance best_distance;
    const std::vector<std::uint32_t> heights = neighbours(height, base_height * scale, reach);
    for (const std::uint32_t w : neighbours(width, base_width * scale, reach)) {
      for (const std::uint32_t h : heights) {
        if (!takes({w, h})) continue;
        const SizeDistance distance{log_distance(static_cast<double>(w) / h, wanted_aspect),
                                    log_distance(static_cast<double>(w) * h, wanted_area)};
        if (!best || distance.less_than(best_distance)) {
          best = Pixels{w, h};
          best_distance = distance;
        }
      }
    }
    if (best) return best;
  }
  return scan(wanted_width, wanted_height);
}

std::string PixelBox::broken_limits(Pixels size) const {
  std::string text;
  const auto add = [&](const std::string& limit) {
    if (!text.empty()) text += ", ";
    text += limit;
  };
  const double area = static_cast<double>(size.width) * size.height;
  const double aspect = static_cast<double>(size.width) / size.height;
  if (size.width % width.step != 0 || size.height % height.step != 0) {
    add(fmt::format("multiples of {}", std::max(width.step, height.step)));
  }
  if (size.width < width.low) add(fmt::format("at least {} wide", width.low));
  if (size.height < height.low) add(fmt::format("at least {} high", height.low));
  if (size.width > width.high) add(fmt::format("at most {} wide", width.high));
  if (size.height > height.high) add(fmt::format("at most {} high", height.high));
  if (area < min_area) add(fmt::format("at least {:.0f} pixels", min_area));
  if (area > max_area) add(fmt::format("at most {:.0f} pixels", max_area));
  if (aspect < min_aspect)
    add(fmt::format("a width of at least {:.4g} times the height", min_aspect));
  if (aspect > max_aspect)
    add(fmt::format("a width of at most {:.4g} times the height", max_aspect));
  if (text.empty()) text = "the sides that the model lists";
  return text;
}

PixelBox pixel_box(const schema::Field& width, const schema::Field& height,
                   const schema::FalLimits& limits) {
  PixelBox box;
  box.width = side_of(width, limits.min_width, limits.max_width, limits.multiple_of);
  box.height = side_of(height, limits.min_height, limits.max_height, limits.multiple_of);
  box.min_area = limits.min_area.value_or(box.min_area);
  box.max_area = limits.max_area.value_or(box.max_area);
  box.min_aspect = limits.min_aspect_ratio.value_or(box.min_aspect);
  box.max_aspect = limits.max_aspect_ratio.value_or(box.max_aspect);
  return box;
}

}  // namespace falproxy::inline v0::profile
