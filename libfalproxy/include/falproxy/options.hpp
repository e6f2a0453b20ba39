// options.hpp: what settings mean to each part of the library.
#pragma once

#include "falproxy/catalog.hpp"
#include "falproxy/fal.hpp"
#include "falproxy/key_ring.hpp"
#include "falproxy/plan.hpp"
#include "falproxy/runner.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/wish.hpp"

namespace falproxy::inline v0 {

/// @{
/// Precondition: the settings are as read_settings() and parse_models_file() leave them.
[[nodiscard]] CatalogModel catalog_model(const ModelRoute& route, ModelSettings settings);
[[nodiscard]] fal::Addresses fal_addresses(const Settings& settings);
[[nodiscard]] Catalog::Options catalog_options(const Settings& settings);
[[nodiscard]] KeyRing::Options key_ring_options(const Settings& settings);
[[nodiscard]] plan::Options plan_options(const Settings& settings);
[[nodiscard]] RequestLimits request_limits(const Settings& settings);
[[nodiscard]] Runner::Options runner_options(const Settings& settings);
/// @}

}  // namespace falproxy::inline v0
