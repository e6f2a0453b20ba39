// later.hpp: runs that are asked for by their id: how one begins, and how it stands.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "falproxy/run_status.hpp"
#include "runs/ledger.hpp"
#include "runs/live_runs.hpp"
#include "runs/recall.hpp"

namespace falproxy::inline v0::runs {

/// See CallContext::later, which is there.
[[nodiscard]] Outcome run_later(const World& world, Asked asked, LiveRuns& live, Wish wish,
                                const CallContext& context);

/// See Runner.
[[nodiscard]] Result<std::optional<RunStatus>> find_run(const World& world, const Past& past,
                                                        LiveRuns& live, const std::string& owner,
                                                        const RunId& id);
/// Asks fal for the products of a completed run that its record has no room for, for some seconds.
void read_left_out(const World& world, RunStatus& status);
[[nodiscard]] Result<std::vector<RunStatus>> list_runs(const World& world, const Past& past,
                                                       LiveRuns& live, const RunQuery& query);
[[nodiscard]] Result<std::vector<RunStatus>> list_open(const World& world, const Past& past,
                                                       LiveRuns& live, std::size_t limit);
[[nodiscard]] Result<std::optional<RunStatus>> cancel_run(const World& world, const Past& past,
                                                          LiveRuns& live, const std::string& owner,
                                                          const RunId& id);
[[nodiscard]] Result<bool> forget_run(const World& world, const Past& past, LiveRuns& live,
                                      const std::string& owner, const RunId& id);
[[nodiscard]] Result<std::vector<RunStatus>> untold_runs(const World& world, const Past& past,
                                                         LiveRuns& live);
void note_told(const World& world, const RunRecord& told);
[[nodiscard]] Result<std::vector<Product>> fetch_products(const World& world,
                                                          const RunStatus& status,
                                                          const CallContext& context);

}  // namespace falproxy::inline v0::runs
