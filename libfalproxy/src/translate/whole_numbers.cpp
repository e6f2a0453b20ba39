#include "translate/whole_numbers.hpp"

#include <algorithm>
#include <cmath>

namespace falproxy::translate {

double WholeNumbers::at_most(double wanted) const noexcept {
  const double below = std::floor(std::min(wanted, high) / step) * step;
  return std::max(below, std::ceil(low / step) * step);
}

double WholeNumbers::nearest(double wanted) const noexcept {
  const double below = at_most(wanted);
  const double above = below + step;
  return above <= high && above - wanted < wanted - below ? above : below;
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

}  // namespace falproxy::translate
