#include "profile/whole_numbers.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace falproxy::inline v0::profile {

double WholeNumbers::at_most(double wanted) const noexcept {
  const double below = std::floor(std::min(wanted, high) / step) * step;
  return std::max(below, std::ceil(low / step) * step);
}

double WholeNumbers::nearest(double wanted) const noexcept {
  const double below = at_most(wanted);
  const double above = below + step;
  return above <= high && above - wanted < wanted - below ? above : below;
}

std::optional<std::uint32_t> read_whole_number(const Json& value) noexcept {
  std::optional<std::int64_t> number = value.as_integer();
  if (const auto text = value.as_string()) {
    std::int64_t parsed = 0;
    const auto [end, fault] = std::from_chars(text->data(), text->data() + text->size(), parsed);
    if (fault == std::errc{} && end == text->data() + text->size()) number = parsed;
  }
  if (!number || *number < 1 || *number > 1'000'000) return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

WholeNumbers whole_numbers(const schema::Field& shape, double least, double most) noexcept {
  WholeNumbers numbers{least, most, 1};
  if (shape.minimum) numbers.low = std::max(numbers.low, std::ceil(*shape.minimum));
  if (shape.exclusive_minimum)
    numbers.low = std::max(numbers.low, std::floor(*shape.exclusive_minimum) + 1);
  if (shape.maximum) numbers.high = std::min(numbers.high, std::floor(*shape.maximum));
  if (shape.exclusive_maximum)
    numbers.high = std::min(numbers.high, std::ceil(*shape.exclusive_maximum) - 1);
  const double multiple = shape.multiple_of.value_or(1);
  if (multiple >= 1 && std::trunc(multiple) == multiple) numbers.step = multiple;
  numbers.low = std::clamp(numbers.low, -most_exact, most_exact);
  numbers.high = std::clamp(numbers.high, -most_exact, most_exact);
  numbers.step = std::min(numbers.step, most_exact);
  return numbers;
}

}  // namespace falproxy::inline v0::profile
