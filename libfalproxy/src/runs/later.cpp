#include "runs/later.hpp"

#include <algorithm>
#include <utility>

#include "base/unix_time.hpp"
#include "runs/course.hpp"
#include "runs/lost.hpp"
#include "runs/memo.hpp"
#include "runs/pictures.hpp"
#include "runs/recovery.hpp"

namespace falproxy::inline v0::runs {
namespace {

using namespace std::chrono_literals;

// fal answers a cancel within this, or it is in trouble.
constexpr Milliseconds longest_cancel = 5s;
// After this nobody looks any more whether fal has what a process that is gone was submitting.
constexpr Milliseconds longest_search = 120s;
// Another process hears of it with its next heartbeat.
constexpr Milliseconds longest_cancel_elsewhere = 10s, between_looks = 100ms;
// How many open runs are looked through for those that are asked for by their id.
constexpr std::size_t open_page = 1000;
constexpr int most_open_pages = 10;

Error store_is_away() {
  return {.kind = ErrorKind::overloaded,
          .message = "What was noted of runs cannot be read now. Try again.",
          .retry_after = 1000ms};
}

Result<std::vector<RunRecord>> look_up(const World& world, const RunQuery& query) {
  if (world.parts.state == nullptr) return std::vector<RunRecord>();
  Result<std::vector<RunRecord>, StoreError> records = find_records(world, query);
  if (records) return *std::move(records);
  world.debug([&] { return "runs cannot be looked up: " + records.error().message; });
  return store_is_away();
}

RunPhase phase_of(const RunRecord& record, bool is_live, bool goes_on) {
  // Another model may take the place of the one that failed.
  if (goes_on && record.state == RunState::failed) return RunPhase::queued;
  switch (record.state) {
    case RunState::completed:
      // What a request was answered with itself is not noted, and fal is asked for it again.
      return record.fault.has_value() || (record.artifacts.empty() && !record.surface.empty())
                 ? RunPhase::failed
                 : RunPhase::completed;
    case RunState::cancelled:
      return RunPhase::cancelled;
    case RunState::failed:
      return RunPhase::failed;
    case RunState::intent:
      return is_live ? RunPhase::queued : RunPhase::failed;
    case RunState::accepted:
      break;
  }
  return RunPhase::queued;
}

Error error_of(const World& world, const RunRecord& record) {
  if (record.fault.has_value() && record.state != RunState::cancelled)
    return {.kind = record.fault->kind, .message = record.fault->message};
  if (record.state == RunState::cancelled)
    return {.kind = ErrorKind::cancelled, .message = "The run was cancelled."};
  for (const RunJob& job : record.jobs) {
    if (job.state == RunState::completed) continue;
    Error error = output_of(world, job).error;
    if (!error.message.empty()) return error;
  }
  return {.kind = ErrorKind::no_image,
          .message = "The model gave its files in the answer itself, and those are not kept."};
}

RunStatus status_of(const World& world, const Past& past, LiveRuns& live, RunRecord record) {
  const std::shared_ptr<LiveRun> run = live.find(record.owner, record.id);
  // Another server of the same store may be about to submit it.
  const bool is_live =
      run != nullptr || (!past.has(record) && is_open(record.state)) || past.is_searched(record.id);
  const bool is_left = past.has(record);
  RunStatus status{.record = std::move(record), .is_left = is_left};
  const Memo memo = memo_of(status.record);
  status.phase = phase_of(status.record, is_live, run != nullptr);
  status.response_format = memo.plan.response_format;
  status.details = memo.surface;
  status.size = memo.plan.size;
  status.seconds = memo.plan.seconds;
  if (status.phase == RunPhase::completed) {
    status.progress = 100;
    status.products = products_of(status.record, memo);
    status.left_out = memo.left_out;
    if (!status.products.empty()) {
      status.size = status.products.front().size;
      status.seconds = status.products.front().seconds;
    }
  } else if (status.phase != RunPhase::queued) {
    status.error = error_of(world, status.record);
    status.error->fal_request_id.clear();
  } else {
    if (memo.pace) status.progress = progress_at(*memo.pace, world.parts.clock.wall_now());
    // A live run may know that fal works on it before that is noted. After a take-over only the
    // record says so, until fal has been asked.
    if (memo.pace || (run != nullptr && run->is_running())) status.phase = RunPhase::in_progress;
    if (run != nullptr) {
      status.queue_position = run->queue_position();
      status.progress = run->tell_progress(status.progress);
    }
  }
  return status;
}

// The run that a request repeats. Errors: idempotency_key_reused.
Result<std::optional<RunId>> repeated(const World& world, Asked& asked) {
  const bool keyed = asked.key_hash.has_value();
  if (!keyed && asked.retry_count == 0) return std::optional<RunId>();
  RunQuery query = keyed ? RunQuery::of_key(asked.owner, *asked.key_hash)
                         : RunQuery::of_digest(asked.owner, asked.digest);
  query.limit = 20;
  const std::chrono::seconds window =
      keyed ? world.options.keyed_recovery : world.options.recovery_window;
  query.not_before = world.parts.clock.wall_now() - window;
  const Result<std::vector<RunRecord>> records = look_up(world, query);
  if (!records) return records.error();
  asked.known.clear();
  for (const RunRecord& record : *records) {
    asked.known.push_back(record.id);
    if (keyed && record.digest != asked.digest) return key_reused();
    if (!record.promised) continue;
    // What fal never took may be asked for again; what it may have taken, not.
    const bool is_uncertain = std::ranges::any_of(
        record.jobs, [](const RunJob& job) { return job.state == RunState::intent; });
    if (is_open(record.state) || is_uncertain || fal_has_some(record))
      return std::optional(record.id);
  }
  return std::optional<RunId>();
}

// Or will be: a process that is gone leaves its runs to the others.
bool is_followed_elsewhere(const World& world, const RunStatus& run) {
  const RunRecord& record = run.record;
  // Another process may ask fal for it just now.
  const bool is_searched = is_open(record.state) && is_uncertain(record) &&
                           world.parts.clock.wall_now() < record.changed + longest_search;
  const bool goes_on =
      run.phase == RunPhase::queued || run.phase == RunPhase::in_progress || is_searched;
  return world.parts.peers != nullptr && goes_on && !record.surface.empty() &&
         record.holder != RunId() && record.holder != world.parts.peers->self();
}

// Tells who asks here of the run, and through its record who asks elsewhere.
class Telling final : public Progress {
 public:
  Telling(LiveRun& run, Recorder& recorder, const LiveRuns& live)
      : run_(run), recorder_(recorder), live_(live) {}
  void accepted(const Underway& underway) override { run_.accepted(underway); }
  void queued(std::optional<int> position) override { run_.queued(position); }
  void running() override {
    run_.running();
    recorder_.running(live_);
  }

 private:
  LiveRun& run_;
  Recorder& recorder_;
  const LiveRuns& live_;
};

Outcome answered_by(const RunId& id, const LaterRun& later) {
  if (later.noted) later.noted(id);
  Outcome outcome{Error{ErrorKind::cancelled, "An earlier request has begun this run."}, {}};
  outcome.receipt.recovered = true;
  return outcome;
}

}  // namespace

Outcome run_later(const World& given, Asked asked, LiveRuns& live, Wish wish,
                  const CallContext& context) {
  Runner::Options options = given.options;
  options.plan.data_uris = false;  // a record has room for addresses alone
  const World world{given.parts, options, given.tally};
  LiveRuns::Entry entry = live.enter(asked, context.later->id, world.parts.clock);
  while (entry.place == nullptr) {
    if (entry.equal == nullptr) return Outcome{key_reused(), {}};
    const RunId equal = entry.equal->id();
    if (entry.equal->wait_for_note()) return answered_by(equal, *context.later);
    // It ended before it was noted, so this one begins.
    entry = live.enter(asked, context.later->id, world.parts.clock);
  }
  const LiveRuns::Place& place = entry.place;
  const Result<std::optional<RunId>> earlier = repeated(world, asked);
  if (!earlier) return Outcome{earlier.error(), {}};
  if (earlier->has_value()) return answered_by(**earlier, *context.later);

  std::stop_source give_up;
  Patience patience(world.parts.clock.now() + longest_run, give_up.get_token());
  const std::stop_callback on_stop(context.stop, [&] {
    patience.leave();
    give_up.request_stop();
  });
  const std::stop_callback on_cancel(place->cancelled(), [&] { give_up.request_stop(); });
  LaterRun later = *context.later;
  later.noted = [&](const RunId& id) {
    place->note();
    if (context.later->noted) context.later->noted(id);
  };
  asked.later = &later;
  Recorder recorder(world, asked);
  Telling telling(*place, recorder, live);
  Served served = serve(world, wish, nullptr, patience, &telling, recorder);
  if (served.is_elsewhere) {
    // Another process was faster.
    const Result<std::optional<RunId>> faster = repeated(world, asked);
    if (!faster) return Outcome{faster.error(), {}};
    if (faster->has_value()) return answered_by(**faster, later);
  }
  for (const JobReceipt& job : served.outcome.receipt.jobs)
    live.note_duration(job.endpoint, job.inference);
  return std::move(served.outcome);
}

Result<std::optional<RunStatus>> find_run(const World& world, const Past& past, LiveRuns& live,
                                          const std::string& owner, const RunId& id) {
  Result<std::vector<RunRecord>> records = look_up(world, RunQuery::of_id(id, owner));
  if (!records) return std::move(records).error();
  if (records->empty()) return std::optional<RunStatus>();
  return std::optional(status_of(world, past, live, std::move(records->front())));
}

void read_left_out(const World& world, RunStatus& status) {
  if (status.left_out == 0) return;
  std::vector<Product> all = read_again(world, status.record);
  if (all.size() != status.products.size() + status.left_out) return;
  for (Product& product : all) product.created = unix_seconds(status.record.created);
  status.products = std::move(all);
  status.left_out = 0;
}

Result<std::vector<RunStatus>> list_runs(const World& world, const Past& past, LiveRuns& live,
                                         const RunQuery& query) {
  Result<std::vector<RunRecord>> records = look_up(world, query);
  if (!records) return std::move(records).error();
  std::vector<RunStatus> runs;
  for (RunRecord& record : *records)
    runs.push_back(status_of(world, past, live, std::move(record)));
  return runs;
}

Result<std::vector<RunStatus>> list_open(const World& world, const Past& past, LiveRuns& live,
                                         std::size_t limit) {
  std::vector<RunStatus> runs;
  RunQuery query = RunQuery::of_open(open_page);
  for (int page = 0; page < most_open_pages && runs.size() < limit; ++page) {
    Result<std::vector<RunRecord>> records = look_up(world, query);
    if (!records) return std::move(records).error();
    for (RunRecord& record : *records) {
      query.after = place_of(record);
      // The others have a client that waits, and end with it; or only their end is not told yet.
      if (!record.promised || !is_open(record.state) || runs.size() == limit) continue;
      if (record.surface == native_surface) continue;  // known by fal's own id
      runs.push_back(status_of(world, past, live, std::move(record)));
    }
    if (records->size() < open_page) break;
  }
  return runs;
}

Result<std::optional<RunStatus>> cancel_run(const World& world, const Past& past, LiveRuns& live,
                                            const std::string& owner, const RunId& id) {
  if (const std::shared_ptr<LiveRun> run = live.find(owner, id)) {
    // Its client waits for it again.
    if (past.is_held(id)) return find_run(world, past, live, owner, id);
    run->cancel();
    static_cast<void>(run->wait(world.parts.clock.now() + longest_cancel));
    return find_run(world, past, live, owner, id);
  }
  Clock& clock = world.parts.clock;
  const TimePoint until = clock.now() + longest_cancel_elsewhere;
  for (bool is_told = false;; is_told = true) {
    Result<std::optional<RunStatus>> status = find_run(world, past, live, owner, id);
    if (!status || !status->has_value() || !is_followed_elsewhere(world, **status) ||
        clock.now() >= until)
      return status;
    if (!is_told) world.parts.peers->cancel(id);
    clock.sleep_until(clock.now() + between_looks, {});
  }
}

Result<bool> forget_run(const World& world, const Past& past, LiveRuns& live,
                        const std::string& owner, const RunId& id) {
  const Result<std::optional<RunStatus>> status = cancel_run(world, past, live, owner, id);
  if (!status) return status.error();
  if (!status->has_value()) return false;
  Clock& clock = world.parts.clock;
  if (live.find(owner, id) != nullptr || is_followed_elsewhere(world, **status)) {
    return Error{.kind = ErrorKind::overloaded,
                 .message = "The run is still being cancelled. Try again.",
                 .retry_after = 1000ms};
  }
  const TimePoint until = clock.now() + longest_store_wait;
  const Awaited<Done> erased;
  world.parts.state->erase(id, until, erased.callback());
  if (!erased.wait(clock, until)) return store_is_away();
  return true;
}

Result<std::vector<RunStatus>> untold_runs(const World& world, const Past& past, LiveRuns& live) {
  if (world.parts.state == nullptr) return std::vector<RunStatus>();
  Result<std::vector<RunRecord>, StoreError> records = all_open(world, longest_store_wait);
  if (!records) return store_is_away();
  std::vector<RunStatus> runs;
  for (RunRecord& record : *records) {
    if (!record.is_untold || live.find(record.owner, record.id) != nullptr ||
        past.is_elsewhere(record))
      continue;
    RunStatus status = status_of(world, past, live, std::move(record));
    if (status.phase == RunPhase::queued || status.phase == RunPhase::in_progress) continue;
    const bool is_left = world.parts.peers != nullptr && past.has(status.record);
    if (!is_left || take_over(world, status.record)) runs.push_back(std::move(status));
  }
  return runs;
}

void note_told(const World& world, const RunRecord& told) {
  // It may have been forgotten meanwhile.
  Result<std::vector<RunRecord>> found = look_up(world, RunQuery::of_id(told.id, told.owner));
  if (!found || found->empty()) return;
  RunRecord& record = found->front();
  record.is_untold = false;
  ++record.fence;
  // Waited for: who looks next must not find it untold.
  const TimePoint until = world.parts.clock.now() + longest_store_wait;
  const Awaited<Done> written;
  world.parts.state->write(record, Durability::durable, until, written.callback());
  static_cast<void>(written.wait(world.parts.clock, until));
}

Result<std::vector<Product>> fetch_products(const World& world, const RunStatus& status,
                                            const CallContext& context) {
  if (status.response_format == ResponseFormat::url) return status.products;
  std::vector<plan::ResultFile> files;
  for (const Product& product : status.products) files.push_back({.url = product.content});
  const Patience patience(context.deadline, context.stop);
  std::vector<Result<Picture>> pictures =
      make_pictures(world, files, ResponseFormat::b64_json, patience);
  std::vector<Product> products = status.products;
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    if (!pictures[i]) return std::move(pictures[i]).error();
    products[i].content = pictures[i]->content;
    products[i].is_address = false;
  }
  return products;
}

}  // namespace falproxy::inline v0::runs
