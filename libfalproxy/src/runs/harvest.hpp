// harvest.hpp: what fal answered to the jobs of one request. It is what was paid for, so it is what
// is kept for a repeat.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "falproxy/plan.hpp"
#include "falproxy/result.hpp"
#include "falproxy/runner.hpp"
#include "runs/job.hpp"

namespace falproxy::inline v0::runs {

/// What became of one job.
struct JobOutput {
  std::shared_ptr<const std::string> result = nullptr;  ///< null: it failed, or was stopped
  Error error = {};                                     ///< why there is no result
  JobReceipt receipt = {};
  std::optional<TakenJob> at_fal = std::nullopt;       ///< how the queue knows it, once it has it
  std::optional<Reservation> reserved = std::nullopt;  ///< before it was submitted
  bool is_to_follow = false;  ///< an earlier process has submitted it, and nobody follows it yet

  /// Nothing came of it, fal does not go on with it, and nothing says that a new job would fail.
  [[nodiscard]] bool is_open() const noexcept;
};

struct Harvest {
  /// What an answer needs of it; its inputs and mappings are let go.
  plan::Plan plan;
  std::optional<double> chance;    ///< what the plan was made with, see plan::make_plan()
  std::vector<JobOutput> outputs;  ///< one for each job, in the order of the plan
  Receipt receipt;                 ///< up to the end of the jobs
  bool restored = false;           ///< from a record: the plan is not there, and has to be made

  [[nodiscard]] bool has_result() const noexcept;
  /// Some jobs brought something, or fal has them, and a repeat may have the others made.
  [[nodiscard]] bool can_go_on() const noexcept;
  /// fal has jobs of it that are followed without it.
  [[nodiscard]] bool is_followed() const noexcept;
  /// No job brought anything, and one that fal took failed by itself.
  [[nodiscard]] bool is_failure() const noexcept;
  /// Memory that it holds, roughly.
  [[nodiscard]] std::size_t bytes() const noexcept;
};

}  // namespace falproxy::inline v0::runs
