// lost.hpp: jobs that were being submitted when their process ended, looked for at fal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <vector>

#include "falproxy/http.hpp"
#include "runs/recorder.hpp"

namespace falproxy::inline v0::runs {

/// Tells inputs apart: RunJob::input_mark. 0: it is too long.
[[nodiscard]] std::uint64_t mark_of(const Body& input) noexcept;

/// Nobody noted whether fal has a job of it.
[[nodiscard]] bool is_uncertain(const RunRecord& record) noexcept;

/// Asks fal for the jobs of `record` that are uncertain, with each key that may; it takes some
/// seconds at most. A job is found if its account has as many requests of that input, and of that
/// time, as were being submitted: if there are more, nobody can say whose they are. The record with
/// what was found, which is noted, too; none: nothing was.
[[nodiscard]] std::optional<RunRecord> find_lost(const World& world, const RunRecord& record,
                                                 const std::stop_token& stop);

}  // namespace falproxy::inline v0::runs
