// query.hpp: what all stores have to say of a query.
#pragma once

#include <optional>

#include "falproxy/state_store.hpp"

namespace falproxy::inline v0 {

inline constexpr std::size_t max_found = 1000;

/// `invalid`, if no store can answer it.
[[nodiscard]] std::optional<StoreError> fault_of(const RunQuery& query);

/// The error of a write whose fence is not high enough.
[[nodiscard]] StoreError outdated(std::uint64_t written, std::uint64_t stored);

/// The error of a write that changes what never changes.
[[nodiscard]] StoreError other_run();

/// The error of what was not begun in time.
[[nodiscard]] StoreError too_late();

}  // namespace falproxy::inline v0
