#include "runs/tab.hpp"

#include <utility>

namespace falproxy::inline v0::runs {
namespace {

using Cause = fal::Fault::Cause;

// fal takes nothing for what fails on its side, or has not begun. The same as of fal's own API
// (apps/falproxy/handlers/fal_native.cpp).
bool may_be_billed(Job& job) {
  const JobReceipt& receipt = job.receipt();
  const JobEnd& end = job.end();
  switch (end.fate) {
    case Fate::none:
      return false;
    case Fate::result:
    case Fate::abandoned:
      return true;
    case Fate::cancelled:
      return job.status().state != fal::QueueState::in_queue;
    case Fate::failed:
      break;
  }
  if (!receipt.accepted && !end.error.submitted) return false;
  if (!end.fault.has_value()) return true;
  // In a status stand fal's own faults alone, and that somebody cancelled.
  if (end.fault->status == 0) return end.fault->cause == Cause::cancelled;
  return end.fault->status < 500;
}

}  // namespace

Purse::Ended ended_job(Job& job) {
  return {.endpoint = job.receipt().endpoint,
          .units = job.receipt().billable_units,
          .may_be_billed = may_be_billed(job),
          .fal_request_id = job.receipt().fal_request_id};
}

Tab::~Tab() {
  if (begun_) return;
  for (const std::size_t place : made_)
    purse_->settle(payer_, *reserved_[place],
                   {.endpoint = {}, .units = {}, .may_be_billed = false});
}

Result<Done> Tab::reserve(const fal::EndpointId& endpoint, const plan::Plan& plan,
                          const Harvest* earlier) {
  if (purse_ == nullptr) return Done{};
  std::vector<Purse::Job> jobs;
  std::vector<std::size_t> places;
  for (std::size_t place = 0; place < plan.jobs.size(); ++place) {
    if (earlier != nullptr &&
        (earlier->outputs[place].is_to_follow || !earlier->outputs[place].is_open()))
      continue;
    jobs.push_back({std::string(endpoint.str()), plan::expected_of(plan, plan.jobs[place])});
    places.push_back(place);
  }
  if (jobs.empty()) return Done{};
  Result<std::vector<Reservation>> made = purse_->reserve(payer_, jobs);
  if (!made) return std::move(made).error();
  reserved_.resize(plan.jobs.size());
  for (std::size_t i = 0; i < places.size(); ++i) reserved_[places[i]] = std::move((*made)[i]);
  made_ = std::move(places);
  return Done{};
}

void Tab::begin(std::vector<JobOutput>& outputs) {
  begun_ = true;
  if (purse_ == nullptr) return;
  reserved_.resize(outputs.size());
  for (std::size_t place = 0; place < outputs.size(); ++place) {
    std::optional<Reservation>& reserved = reserved_[place];
    if (!reserved.has_value() && outputs[place].is_to_follow) reserved = outputs[place].reserved;
    outputs[place].reserved = reserved;
  }
}

void Tab::ended(std::size_t place, Job& job, JobOutput& output) {
  if (purse_ == nullptr || !reserved_[place].has_value()) return;
  const Reservation& reserved = *reserved_[place];
  output.reserved = reserved;
  output.receipt.estimate = reserved.estimate;
  if (output.is_to_follow) return;
  output.receipt.cost = purse_->settle(payer_, reserved, ended_job(job));
}

}  // namespace falproxy::inline v0::runs
