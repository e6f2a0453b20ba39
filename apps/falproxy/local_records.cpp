#include "local_records.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

#include "falproxy/json.hpp"

namespace falproxy::app {
namespace {

// The fence of a local record is this + 64 * the run's + 16 * the stage + 8 if it was untold + the
// run's state.
constexpr std::uint64_t noted_mark = std::uint64_t{1} << 62;
// A posting stands among the runs: no client has that name.
constexpr const char* postings = "\x01postings";

Json json_of(const Posting& posting) {
  std::vector<Json> charges;
  for (const Charge& charge : posting.charges) {
    charges.push_back(Json::object({{"owner", charge.owner},
                                    {"day", std::int64_t{charge.day}},
                                    {"nano", charge.amount.nano}}));
  }
  const Spending& spent = posting.spending;
  return Json::object(
      {{"once", posting.once},
       {"takes_back", posting.takes_back},
       {"charges", Json::array(charges)},
       {"spending", Json::object({{"day", std::int64_t{spent.day}},
                                  {"key", spent.key},
                                  {"model", spent.model},
                                  {"user", spent.user},
                                  {"requests", static_cast<std::int64_t>(spent.requests)},
                                  {"failures", static_cast<std::int64_t>(spent.failures)},
                                  {"artifacts", static_cast<std::int64_t>(spent.artifacts)},
                                  {"unpriced", spent.unpriced},
                                  {"units", spent.units.nano},
                                  {"cost", spent.cost.nano},
                                  {"corrected", spent.corrected.nano}})}});
}

Posting posting_in(const Json& json) {
  const auto text = [](const Json& value) { return std::string(value.as_string().value_or("")); };
  const auto number = [](const Json& value) { return value.as_integer().value_or(0); };
  const auto count = [&](const Json& value) { return static_cast<std::uint64_t>(number(value)); };
  Posting posting{.once = text(json["once"])};
  posting.takes_back = json["takes_back"].as_boolean().value_or(false);
  for (const Json& row : json["charges"].elements()) {
    posting.charges.push_back(
        {text(row["owner"]), static_cast<Day>(number(row["day"])), Usd{number(row["nano"])}});
  }
  const Json spent = json["spending"];
  posting.spending = {.day = static_cast<Day>(number(spent["day"])),
                      .key = text(spent["key"]),
                      .model = text(spent["model"]),
                      .user = text(spent["user"]),
                      .requests = count(spent["requests"]),
                      .failures = count(spent["failures"]),
                      .artifacts = count(spent["artifacts"]),
                      .unpriced = number(spent["unpriced"]),
                      .units = Units{number(spent["units"])},
                      .cost = Usd{number(spent["cost"])},
                      .corrected = Usd{number(spent["corrected"])}};
  return posting;
}

}  // namespace

RunRecord as_noted(RunRecord record, Stage stage) {
  record.fence = noted_mark + 64 * record.fence + 16 * static_cast<std::uint64_t>(stage) +
                 (record.is_untold ? 8 : 0) + static_cast<std::uint64_t>(record.state);
  record.is_untold = stage == Stage::kept;
  if (stage != Stage::kept && is_open(record.state)) record.state = RunState::failed;
  return record;
}

RunRecord as_written(RunRecord noted) {
  if (noted.fence < noted_mark) return noted;
  noted.state = static_cast<RunState>(noted.fence % 8);
  noted.is_untold = (noted.fence & 8) != 0;
  noted.fence = (noted.fence - noted_mark) / 64;
  return noted;
}

bool is_kept(const RunRecord& noted) {
  if (noted.fence < noted_mark) return is_open(noted);
  return (noted.fence / 16) % 4 == static_cast<std::uint64_t>(Stage::kept);
}

RunRecord as_handed_over(const RunRecord& kept) {
  RunRecord record = as_noted(as_written(kept), Stage::handed_over);
  if (is_posting(record) || !record.promised) record.expires = record.created;
  return record;
}

RunRecord record_of(const Posting& posting, const RunId& id, WallTime created) {
  return as_noted({.id = id,
                   .state = RunState::accepted,
                   .owner = postings,
                   .created = created,
                   .changed = created,
                   .expires = WallTime(std::chrono::days(70 * 365)),
                   .details = json_of(posting).dump()},
                  Stage::kept);
}

bool is_posting(const RunRecord& noted) { return noted.owner == postings; }

Result<Posting> posting_of(const RunRecord& noted) {
  const Result<Json> details = Json::parse(noted.details);
  if (!details) return details.error();
  return posting_in(*details);
}

std::vector<RunRecord> runs_of(std::vector<RunRecord> noted, const RunQuery& query, bool all) {
  std::vector<RunRecord> runs;
  for (RunRecord& record : noted) {
    if (is_posting(record) || !(all || is_kept(record))) continue;
    // Another process may have settled its jobs, and after that time they would count again.
    if (!is_kept(record) && record.changed + posting_life < std::chrono::system_clock::now()) {
      for (RunJob& job : record.jobs) job.held.reset();
    }
    record = as_written(std::move(record));
    if (query.by != RunQuery::By::open || is_open(record)) runs.push_back(std::move(record));
  }
  return runs;
}

}  // namespace falproxy::app
