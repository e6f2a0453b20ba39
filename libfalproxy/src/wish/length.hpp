// length.hpp: how long something is to be, as clients and documents write it.
#pragma once

#include <optional>

#include "falproxy/json.hpp"

namespace falproxy::inline v0 {

/// 8, "8", "8s" or "8 seconds"; none: no length.
[[nodiscard]] std::optional<double> read_length(const Json& value);

}  // namespace falproxy::inline v0
