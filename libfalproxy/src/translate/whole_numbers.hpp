// whole_numbers.hpp: which whole numbers a schema's bounds allow.
#pragma once

#include "falproxy/schema.hpp"

namespace falproxy::translate {

/// Up to here, either way, a double tells whole numbers apart; whatever a document writes, bounds
/// are no further out.
inline constexpr double most_exact = 9007199254740992.0;

/// Multiples of `step` from `low` to `high`.
struct WholeNumbers {
  double low = 1;
  double high = 1;
  double step = 1;

  /// The greatest that is not above `wanted`; where all are above, the least.
  [[nodiscard]] double at_most(double wanted) const noexcept;
  [[nodiscard]] double nearest(double wanted) const noexcept;
};

/// What `shape` allows between `least` and `most`.
[[nodiscard]] WholeNumbers whole_numbers(const schema::Field& shape, double least,
                                         double most) noexcept;

}  // namespace falproxy::translate
