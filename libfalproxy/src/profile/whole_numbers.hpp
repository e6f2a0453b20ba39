// whole_numbers.hpp: which whole numbers a schema's bounds allow.
#pragma once

#include <cstdint>
#include <optional>

#include "falproxy/schema.hpp"

namespace falproxy::inline v0::profile {

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

/// A count or a side as models write it, 1024 or "1024"; from 1 to 1,000,000.
[[nodiscard]] std::optional<std::uint32_t> read_whole_number(const Json& value) noexcept;

/// What `shape` allows between `least` and `most`.
[[nodiscard]] WholeNumbers whole_numbers(const schema::Field& shape, double least,
                                         double most) noexcept;

}  // namespace falproxy::inline v0::profile
