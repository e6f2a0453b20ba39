// values.hpp: what the store keeps, as Redis keeps it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/media_index.hpp"
#include "falproxy/spending_store.hpp"
#include "falproxy/state_store.hpp"
#include "reply.hpp"

namespace falproxy::inline v0::redis {

[[nodiscard]] std::string bytes_of(const RunId& id);
[[nodiscard]] RunId id_in(std::string_view bytes) noexcept;
/// A number in 20 digits, so that texts compare as numbers do.
[[nodiscard]] std::string places20(std::uint64_t number);
/// 0 if it is none.
[[nodiscard]] std::uint64_t number_in(std::string_view text) noexcept;
/// Nanoseconds in 20 digits; of what was before 1970: 0.
[[nodiscard]] std::string created20(WallTime time);
/// @{
/// Of Unix time, in whole ones, which Lua and scores are exact for.
[[nodiscard]] std::int64_t microseconds_up(WallTime time);
[[nodiscard]] std::int64_t microseconds_down(WallTime time);
/// @}

/// What never changes of a record, and what it is found by: see scripts.cpp.
[[nodiscard]] std::string stay_of(const RunRecord& record);
/// What it begins with: the same for equal ones.
inline constexpr std::size_t mark_size = 8;
/// From the whole value. Errors: damaged.
[[nodiscard]] Result<RunRecord, StoreError> record_in(std::string_view value);
/// The name of the sorted set that has the answers, without what all names begin with.
[[nodiscard]] std::string index_of(const RunQuery& query);

/// What the sum of the window that a day is in is called.
[[nodiscard]] std::string window_name(BudgetWindow window, Day day);
/// `amounts`: window_name() and nano-dollars in turn.
[[nodiscard]] Balance balance_in(const std::string& owner, const Reply& amounts, Day today);
[[nodiscard]] std::string names_of(const Spending& spending);
/// Beside the requests, which Redis counts.
[[nodiscard]] std::array<std::int64_t, 7> figures_of(const Spending& spending);
/// One figure of a day, as Redis keeps it: `field` is names_of() and the place of the figure,
/// from 1.
[[nodiscard]] Spending spending_in(std::string_view day, std::string_view field,
                                   std::string_view text);

/// What of a file never changes.
[[nodiscard]] std::string packed(const MediaRecord& record);
/// Five items from `place`; none if they cannot be read.
[[nodiscard]] std::optional<MediaRecord> media_in(const Reply& reply, std::size_t place);
[[nodiscard]] std::vector<MediaTotal> totals_in(const Reply& reply);

}  // namespace falproxy::inline v0::redis
