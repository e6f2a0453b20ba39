// tab.hpp: what the jobs of one request may cost, from before they are submitted until that is
// known.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "falproxy/plan.hpp"
#include "falproxy/purse.hpp"
#include "runs/driver.hpp"
#include "runs/harvest.hpp"

namespace falproxy::inline v0::runs {

/// Of one request at one model. Without a Purse it does nothing. What was reserved is given back if
/// it goes before its jobs have begun.
class Tab {
 public:
  Tab(const World& world, Payer payer) : purse_(world.parts.purse), payer_(std::move(payer)) {}
  ~Tab();
  Tab(const Tab&) = delete;
  Tab& operator=(const Tab&) = delete;

  /// For the jobs of `plan` that are to be submitted: all, but for those of `earlier` that fal has,
  /// or that have ended. Errors: those of Purse::reserve().
  [[nodiscard]] Result<Done> reserve(const fal::EndpointId& endpoint, const plan::Plan& plan,
                                     const Harvest* earlier);
  /// The jobs begin. From now on each of them is settled by ended().
  void begin(std::vector<JobOutput>& outputs);
  /// They do not begin after all: what was reserved for them is given back, and nothing of jobs
  /// that fal runs.
  void withdraw() noexcept { begun_ = false; }
  /// Of a job that has ended: what it cost goes into its receipt, unless somebody will follow it.
  /// From several threads at once, for different places.
  void ended(std::size_t place, Job& job, JobOutput& output);

 private:
  Purse* const purse_;
  const Payer payer_;
  std::vector<std::optional<Reservation>> reserved_;  // by place
  std::vector<std::size_t> made_;                     // the places of those that reserve() made
  bool begun_ = false;
};

/// What became of a job, for who pays.
[[nodiscard]] Purse::Ended ended_job(Job& job);

}  // namespace falproxy::inline v0::runs
