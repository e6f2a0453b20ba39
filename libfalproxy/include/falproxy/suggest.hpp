// suggest.hpp: "did you mean ...": the known name that is nearest to a mistyped one.
#pragma once

#include <span>
#include <string_view>

namespace falproxy::inline v0 {

/// The candidate that the fewest slips of the keyboard (a letter wrong, missing, too many, or two
/// swapped) turn into `text`, without regard to case; of equals the first. Empty if none is
/// near: more than a third of the letters would change. The view is one of `candidates`.
[[nodiscard]] std::string_view nearest(std::string_view text,
                                       std::span<const std::string_view> candidates);

}  // namespace falproxy::inline v0
