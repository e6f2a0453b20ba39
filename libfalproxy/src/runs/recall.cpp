#include "runs/recall.hpp"

#include <algorithm>
#include <utility>

#include "runs/lost.hpp"

namespace falproxy::inline v0::runs {
namespace {

constexpr std::size_t most_looked_at = 20;

// The newest first. An error: what is there cannot be told now.
Result<std::vector<RunRecord>> look_up(const World& world, RunQuery query) {
  query.limit = most_looked_at;
  Result<std::vector<RunRecord>, StoreError> records = find_records(world, query);
  if (records) return *std::move(records);
  world.debug([&] { return "earlier runs cannot be looked up: " + records.error().message; });
  // A store that is slow has the answer later; one that fails, never.
  const StoreFault fault = records.error().fault;
  if (fault != StoreFault::timed_out && fault != StoreFault::overloaded)
    return std::vector<RunRecord>();
  return Error{ErrorKind::overloaded,
               "Whether this request repeats an earlier one cannot be looked up now. Try again.",
               {},
               Milliseconds(1000)};
}

Error uncertain() {
  return {.kind = ErrorKind::job_uncertain,
          .message =
              "An equal request was being submitted when the server ended; whether fal has taken "
              "its job is not known, so it is not submitted again. Send it with a new "
              "'Idempotency-Key' to have it made in any case.",
          .submitted = true};
}

Error being_submitted() {
  return {ErrorKind::overloaded,
          "An equal request is being submitted. Try again.",
          {},
          Milliseconds(1000)};
}

}  // namespace

bool fal_has_some(const RunRecord& record) {
  return std::ranges::any_of(record.jobs, [](const RunJob& job) {
    return !job.request_id.empty() && job.state != RunState::cancelled;
  });
}

Error key_reused() {
  return {ErrorKind::idempotency_key_reused,
          "This 'Idempotency-Key' came with another request before. Send a new key with a new "
          "request.",
          "Idempotency-Key"};
}

JobOutput output_of(const World& world, const RunJob& job) {
  JobOutput output;
  output.receipt.endpoint = job.endpoint;
  output.receipt.fal_request_id = job.request_id;
  output.receipt.billable_units = job.billable_units;
  output.receipt.cost = job.cost;
  if (job.held)
    output.reserved = Reservation{
        .units = job.expected_units ? Units::nearest(*job.expected_units) : std::optional<Units>(),
        .held = *job.held,
        .day = job.held_on,
        .restored = true};
  output.receipt.accepted = job.state != RunState::intent && !job.request_id.empty();
  output.error = {.kind = ErrorKind::upstream_failed,
                  .message = "The server ended while the job ran.",
                  .submitted = output.receipt.accepted};
  switch (job.state) {
    case RunState::accepted:
    case RunState::completed:
      output.at_fal = taken_job(world, job);
      output.is_to_follow = output.at_fal.has_value();
      if (!output.is_to_follow) {
        output.error.kind = ErrorKind::result_expired;
        output.error.message = "The job was done before, and fal does not keep what it made.";
      }
      break;
    case RunState::intent:
      output.error = uncertain();
      break;
    case RunState::cancelled:
      output.error.kind = ErrorKind::cancelled;
      break;
    case RunState::failed:
      if (job.fault.has_value()) {
        output.error.kind = job.fault->kind;
        output.error.message = job.fault->message;
      }
      break;
  }
  output.error.fal_request_id = job.request_id;
  return output;
}

bool Past::may_look(const RunRecord& record) {
  constexpr int most_looks = 5;
  constexpr std::size_t most_remembered = 10'000;
  const std::lock_guard lock(mutex_);
  if (looks_.size() >= most_remembered && !looks_.contains(record.id)) return false;
  return looks_[record.id]++ < most_looks;
}

void Past::search(const RunId& id) {
  const std::lock_guard lock(mutex_);
  searched_.insert(id);
}

void Past::end_search(const RunId& id) {
  const std::lock_guard lock(mutex_);
  searched_.erase(id);
}

bool Past::is_searched(const RunId& id) const {
  const std::lock_guard lock(mutex_);
  return searched_.contains(id);
}

std::optional<Past::Hold> Past::hold(const RunRecord& record) {
  const bool is_left = has(record);
  const std::lock_guard lock(mutex_);
  if (!held_.insert(record.id).second) return std::nullopt;
  const auto hears = hear_.find(record.id);
  // The others are not followed.
  if (is_open(record.state) && (is_left || hears != hear_.end())) {
    claimed_.insert(record.id);
    if (hears != hear_.end()) hears->second();
  }
  return Hold(this, [id = record.id](Past* past) {
    const std::lock_guard guard(past->mutex_);
    past->held_.erase(id);
  });
}

bool Past::is_held(const RunId& id) const {
  const std::lock_guard lock(mutex_);
  return held_.contains(id);
}

Past::Claims::Claims(Past& past, const RunId& id, std::function<void()> heard)
    : past_(past), id_(id) {
  const std::lock_guard lock(past_.mutex_);
  if (past_.claimed_.contains(id_)) heard();
  past_.hear_.emplace(id_, std::move(heard));
}

Past::Claims::~Claims() {
  const std::lock_guard lock(past_.mutex_);
  past_.hear_.erase(id_);
  past_.claimed_.erase(id_);
}

std::optional<TakenJob> taken_job(const World& world, const RunJob& job) {
  const Result<fal::EndpointId> endpoint = fal::EndpointId::parse(job.endpoint);
  if (!endpoint) return std::nullopt;
  std::optional<fal::Submitted> submitted =
      fal::submitted_as(job.request_id, *endpoint, world.options.fal.queue);
  // One that did not go through the queue has no key noted: its result is nowhere.
  if (!submitted.has_value() || job.account.empty()) return std::nullopt;
  if (!job.status_url.empty()) submitted->status_url = job.status_url;
  if (!job.response_url.empty()) submitted->response_url = job.response_url;
  if (!job.cancel_url.empty()) submitted->cancel_url = job.cancel_url;
  return TakenJob{*std::move(submitted), job.account};
}

namespace {

// Whether it is young enough for who asks.
bool is_within(const World& world, const Asked& asked, const Past& past, const RunRecord& record) {
  const WallTime now = world.parts.clock.wall_now();
  const bool keyed = asked.key_hash.has_value();
  const std::chrono::seconds window =
      keyed ? world.options.keyed_recovery : world.options.recovery_window;
  if (keyed || asked.retry_count > 0) {
    if (window.count() == 0) return false;  // never
    if (keyed && is_open(record.state)) return true;
    // Who was cut by the end of the process asks again once it is back.
    const bool was_cut = is_open(record.state) && past.has(record);
    return now <= (was_cut ? std::max(record.changed, past.started()) : record.changed) + window;
  }
  return is_open(record.state) && past.has(record);
}

}  // namespace

namespace {

constexpr Milliseconds first_look_again{20}, longest_look_again{250};

// fal may have it in a moment.
bool is_being_submitted(const RunRecord& record) {
  return is_open(record.state) && is_uncertain(record);
}

// As far as another process has come with it. What that one submits it also settles, and what
// failed there is its own affair.
void leave_to_others(Harvest& harvest) {
  for (JobOutput& output : harvest.outputs) {
    output.reserved.reset();
    if (!output.is_to_follow) output.receipt.abandoned = true;
  }
}

std::optional<Recalled> go_on_with(const World& world, Past& past, RunRecord record) {
  // Two equal requests that were cut get a job each.
  std::optional<Past::Hold> hold = past.hold(record);
  if (!hold.has_value()) return std::nullopt;
  auto harvest = std::make_shared<Harvest>();
  harvest->restored = true;
  harvest->chance = record.chance;
  harvest->receipt.requested_model = record.requested_model;
  harvest->receipt.served_model = record.served_model;
  for (const RunJob& job : record.jobs) harvest->outputs.push_back(output_of(world, job));
  if (is_open(record.state) && past.is_elsewhere(record)) leave_to_others(*harvest);
  return Recalled{std::move(record), std::move(harvest), *std::move(hold)};
}

}  // namespace

Result<std::vector<RunRecord>, StoreError> find_records(const World& world, const RunQuery& query,
                                                        Milliseconds longest) {
  Clock& clock = world.parts.clock;
  const TimePoint until = clock.now() + longest;
  const Awaited<std::vector<RunRecord>> found;
  world.parts.state->find(query, until, found.callback());
  return found.wait(clock, until);
}

bool take_over(const World& world, RunRecord& record) {
  ++record.fence;
  take_hold(record, world.parts.peers->self());
  const TimePoint until = world.parts.clock.now() + longest_store_wait;
  const Awaited<Done> written;
  world.parts.state->write(record, Durability::durable, until, written.callback());
  return written.wait(world.parts.clock, until).has_value();
}

Result<std::optional<Recalled>> recall(const World& world, Asked& asked, Past& past,
                                       const Patience& patience) {
  Clock& clock = world.parts.clock;
  const bool keyed = asked.key_hash.has_value();
  const bool may_be_cut = clock.wall_now() < past.started() + cut_clients_return;
  if (!keyed && asked.retry_count == 0 && !may_be_cut) return std::optional<Recalled>();
  for (Milliseconds pause = first_look_again;; pause = std::min(2 * pause, longest_look_again)) {
    Result<std::vector<RunRecord>> records =
        look_up(world, keyed ? RunQuery::of_key(asked.owner, *asked.key_hash)
                             : RunQuery::of_digest(asked.owner, asked.digest));
    if (!records) return std::move(records).error();
    asked.known.clear();
    for (const RunRecord& record : *records) asked.known.push_back(record.id);
    std::erase_if(*records,
                  [&](const RunRecord& record) { return !is_within(world, asked, past, record); });
    // What has not ended is what its client misses.
    std::stable_partition(records->begin(), records->end(),
                          [](const RunRecord& record) { return is_open(record.state); });
    bool waits = false;
    for (RunRecord& record : *records) {
      if (keyed && record.digest != asked.digest) return key_reused();
      waits = is_being_submitted(record) && past.is_elsewhere(record);
      if (waits) break;
      if (!fal_has_some(record) && is_uncertain(record) && past.has(record) &&
          past.may_look(record)) {
        if (std::optional<RunRecord> found = find_lost(world, record, patience.stop()))
          record = *std::move(found);
      }
      if (!fal_has_some(record)) {
        // It has just been begun here, or it was refused.
        const bool is_begun_here = !past.has(record) && is_open(record.state);
        if (is_begun_here && !record.surface.empty()) return being_submitted();
        if (is_begun_here || !is_uncertain(record)) continue;
        return uncertain();
      }
      std::optional<Recalled> recalled = go_on_with(world, past, std::move(record));
      if (recalled.has_value()) return recalled;
    }
    if (!waits) return std::optional<Recalled>();
    if (clock.now() >= patience.deadline() || patience.stop().stop_requested())
      return being_submitted();
    clock.sleep_until(std::min(patience.deadline(), clock.now() + pause), patience.stop());
  }
}

}  // namespace falproxy::inline v0::runs
