// routes.hpp: what the server answers to, from top to bottom.
#pragma once

#include <span>

#include "door.hpp"

namespace falproxy::app {

/// On HOST and PORT.
[[nodiscard]] std::span<const RouteRow> api_routes() noexcept;
/// On METRICS_PORT.
[[nodiscard]] std::span<const RouteRow> metrics_routes() noexcept;

}  // namespace falproxy::app
