// recovery.hpp: follows the jobs that an earlier process, or a request that has ended, has left at
// fal.
#pragma once

#include <functional>
#include <stop_token>

#include "falproxy/runner.hpp"
#include "runs/live_runs.hpp"
#include "runs/recall.hpp"

namespace falproxy::inline v0::runs {

/// Records that are open (RunQuery::By::open), the newest first: all of them, page by page.
[[nodiscard]] Result<std::vector<RunRecord>, StoreError> all_open(const World& world,
                                                                  Milliseconds longest_page);

/// See Runner::recover().
[[nodiscard]] Result<Recovered, StoreError> recover(const World& world, Past& past, LiveRuns& live,
                                                    const std::stop_token& stop);

/// What a run that has ended would be answered with, by what its jobs brought: fal is asked for
/// that again, for some seconds. Nothing: fal does not tell it now.
[[nodiscard]] std::vector<Product> read_again(const World& world, const RunRecord& record);

/// See Runner::follow().
[[nodiscard]] RunState follow(const World& world, Past& past, LiveRuns& live, RunRecord record,
                              const std::stop_token& stop, const std::function<void()>& untold);

}  // namespace falproxy::inline v0::runs
