#include "runs/recovery.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <mutex>
#include <utility>
#include <vector>

#include "base/fmt.hpp"
#include "falproxy/plan.hpp"
#include "runs/answer_sinks.hpp"
#include "runs/gathering.hpp"
#include "runs/lost.hpp"
#include "runs/memo.hpp"
#include "runs/pictures.hpp"
#include "runs/side_by_side.hpp"
#include "runs/tab.hpp"

namespace falproxy::inline v0::runs {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t page = 1000, most_open = 100'000;
constexpr std::size_t most_followed = 5'000;  // at once; the others wait for their turn
constexpr Milliseconds longest_page{60s};
// fal is asked for those that were being submitted: the newest ones, so many at once. A request is
// in its list a moment after it was taken.
constexpr std::size_t most_looked_for = 100, looks_at_once = 4;
constexpr Milliseconds look_after[] = {0s, 5s, 25s};
// Before a run is looked at again of which fal does not tell.
constexpr Milliseconds first_pause{30s}, longest_pause{10min};

struct Listener final : Progress {
  Listener(LiveRun& run, std::function<void()> on_running)
      : run_(run), on_running_(std::move(on_running)) {}
  void queued(std::optional<int> position) override { run_.queued(position); }
  void running() override {
    run_.running();
    on_running_();
  }

 private:
  LiveRun& run_;
  const std::function<void()> on_running_;
};

// As it would be answered.
Result<std::vector<Product>> response_of(const World& world, const RunRecord& record,
                                         const std::vector<JobOutput>& outputs) {
  const Memo memo = memo_of(record);
  plan::Plan plan = memo.plan;
  plan.response_format = ResponseFormat::url;
  plan::Selection selection(plan, world.options.plan);
  std::vector<Product> products;
  std::optional<Error> reason;
  for (const JobOutput& output : outputs) {
    Result<plan::JobResult> result = output.result != nullptr
                                         ? plan::read_result(output.result, plan.places, plan.makes)
                                         : Result<plan::JobResult>(output.error);
    if (!result) {
      reason = std::move(result).error();
      continue;
    }
    for (const plan::ResultFile& file : selection.take(*std::move(result))) {
      products.push_back(product_of(plan, file, {.content = file.url}, world.unix_seconds()));
      products.back().fal_request_id = output.receipt.fal_request_id;
    }
  }
  if (products.empty()) return reason.has_value() ? *std::move(reason) : selection.nothing();
  return products;
}

bool is_of_own_app(const World& world, const std::string& model) {
  return std::ranges::any_of(world.parts.catalog.models(), [&](const CatalogModel& known) {
    return known.name == model && known.settings.own_app;
  });
}

// None: it is gone, or the store cannot be asked.
std::optional<RunRecord> look_up(const World& world, const RunId& id) {
  Result<std::vector<RunRecord>, StoreError> records = find_records(world, RunQuery::of_id(id));
  if (!records || records->empty()) return std::nullopt;
  return std::move(records->front());
}

// One run whose jobs fal has, until they end.
class Follower {
 public:
  Follower(const World& world, Past& past, const LiveRuns& others, RunRecord record,
           const std::stop_token& stop)
      : world_(world), past_(past), others_(others), record_(std::move(record)), stop_(stop) {}

  /// How the run stands in the end; accepted: fal does not tell what became of a job.
  RunState run(LiveRun& live) {
    constexpr int most_turns = 5;
    live.note();
    for (int turn = 1;; ++turn) {
      take_outputs();
      Recorder recorder(world_, {}, record_);
      follow(live, recorder);
      if (stop_.stop_requested()) return RunState::accepted;
      recorder.end(outputs_, response_of(world_, record_, outputs_));
      const bool is_noted = recorder.insist(stop_);
      if (is_noted) record_ = recorder.record();
      if (is_noted || turn == most_turns || !is_left_again()) return record_.state;
    }
  }
  /// As it was noted last.
  [[nodiscard]] const RunRecord& record() const noexcept { return record_; }
  /// The same run, as it is noted now.
  void go_on_with(RunRecord record) { record_ = std::move(record); }

 private:
  // What this has followed to its end stays.
  void take_outputs() {
    outputs_.resize(record_.jobs.size());
    for (std::size_t place = 0; place < outputs_.size(); ++place) {
      const JobReceipt& receipt = outputs_[place].receipt;
      if (!receipt.resumed || receipt.abandoned)
        outputs_[place] = output_of(world_, record_.jobs[place]);
    }
  }

  // A request that repeated it meanwhile has written how far it came, and has ended.
  bool is_left_again() {
    std::optional<RunRecord> record = look_up(world_, record_.id);
    if (!record.has_value()) return false;
    record_ = *std::move(record);
    return is_open(record_.state) && !past_.is_elsewhere(record_);
  }

  void follow(LiveRun& live, Recorder& recorder) {
    Clock& clock = world_.parts.clock;
    const TimePoint now = clock.now();
    const TimePoint end = now + std::max(record_.expires - clock.wall_now(), WallTime::duration(0));
    // What has not begun costs nothing if it is cancelled. But a process that others hear nothing
    // of may live, and its client wait.
    const bool is_awaited = record_.promised || world_.parts.peers != nullptr ||
                            world_.options.on_disconnect == OnDisconnect::keep;
    std::stop_source give_up;
    Patience patience(is_awaited ? end : std::min(end, now + cut_clients_return),
                      give_up.get_token());
    const std::stop_callback on_stop(stop_, [&] {
      patience.leave();
      give_up.request_stop();
    });
    const Past::Claims claims(past_, record_.id, [&] { patience.extend(end); });
    const std::stop_callback on_cancel(live.cancelled(), [&] { give_up.request_stop(); });
    Listener listener(live, [&] {
      patience.extend(end);
      recorder.running(others_);
    });
    std::optional<fal::EndpointId> endpoint;
    std::vector<std::size_t> places;
    std::vector<JobStart> starts;
    for (std::size_t place = 0; place < outputs_.size(); ++place) {
      if (!outputs_[place].is_to_follow) continue;
      endpoint = *fal::EndpointId::parse(record_.jobs[place].endpoint);  // taken_job() has read it
      places.push_back(place);
      starts.push_back({Body(), outputs_[place].at_fal});
    }
    if (!endpoint.has_value()) return;
    const JobPolicy policy{
        .endpoint = *std::move(endpoint),
        .queue = world_.options.fal.queue,
        .route = Route::queue_poll,
        .counted = !is_of_own_app(world_, record_.served_model),
        .deadline = patience.deadline(),
        .reads_logs = !record_.surface.empty() && tells_its_steps(memo_of(record_).plan)};
    const auto worked = [&](std::size_t i, int percent) { recorder.worked(places[i], percent); };
    const JobWatch watch{.worked = worked, .ended = [&](std::size_t i, Job& job) {
                           JobOutput& output = outputs_[places[i]];
                           output.result = std::move(job.end().result);
                           output.error = std::move(job.end().error);
                           output.receipt = job.receipt();
                           // Who looks after it next settles it.
                           output.is_to_follow = output.receipt.abandoned &&
                                                 output.error.kind != ErrorKind::result_expired;
                           if (!output.is_to_follow) settle(places[i], job, recorder);
                         }};
    run_jobs(world_, policy, std::move(starts), patience, &listener, watch);
  }

  void settle(std::size_t place, Job& job, Recorder& recorder) {
    Purse* const purse = world_.parts.purse;
    JobOutput& output = outputs_[place];
    if (purse == nullptr || !output.reserved.has_value() || stop_.stop_requested()) return;
    if (!recorder.paid(place)) return;
    output.receipt.cost = purse->settle({record_.owner, record_.served_model, record_.user},
                                        *output.reserved, ended_job(job));
  }

  const World& world_;
  Past& past_;
  const LiveRuns& others_;
  RunRecord record_;
  const std::stop_token stop_;
  std::vector<JobOutput> outputs_;
};

// Of several that look for a run, here one follows it: null for the others.
LiveRuns::Place enter(const World& world, LiveRuns& live, const RunRecord& record) {
  return live.enter({.owner = record.owner, .digest = record.digest}, record.id, world.parts.clock)
      .place;
}

// All of them.
class Recovery {
 public:
  Recovery(const World& world, Past& past, LiveRuns& live, const std::stop_token& stop)
      : world_(world), past_(past), live_(live), stop_(stop) {}

  void add(RunRecord record) {
    const bool any = std::ranges::any_of(record.jobs, [&](const RunJob& job) {
      return job.state == RunState::accepted && taken_job(world_, job).has_value();
    });
    if (any) {
      std::optional<Taken> taken = take(std::move(record));
      if (!taken) return;
      taken_.push_back(*std::move(taken));
    } else {
      if (!past_.is_news(record.id)) return;
      lost_.push_back(std::move(record));
    }
    ++recovered_.found;
  }

  Recovered run() {
    recovered_.uncertain = lost_.size();
    if (recovered_.found > 0 && world_.parts.log) {
      world_.parts.log(LogLevel::info,
                       fmt::format("an earlier process has left {} runs: {} at fal, which are "
                                   "followed, and {} that were being submitted",
                                   recovered_.found, taken_.size(), lost_.size()));
    }
    if (!world_.options.looks_for_lost_jobs) lost_.clear();
    lost_.resize(std::min(lost_.size(), most_looked_for));
    for (const RunRecord& record : lost_) past_.search(record.id);
    // The search is the first of those that run side by side.
    const std::size_t first = lost_.empty() ? 0 : 1;
    side_by_side(world_.parts.executor, taken_.size() + first, most_followed, [&](std::size_t i) {
      if (i < first) return search();
      follow(std::move(taken_[i - first]));
    });
    return recovered_;
  }

 private:
  struct Taken {
    RunRecord record;
    LiveRuns::Place place;
  };

  // Of several that look, here and elsewhere, one follows it.
  std::optional<Taken> take(RunRecord record) {
    LiveRuns::Place place = enter(world_, live_, record);
    if (place == nullptr) return std::nullopt;
    if (world_.parts.peers != nullptr && !take_over(world_, record)) return std::nullopt;
    return Taken{std::move(record), std::move(place)};
  }

  void follow(Taken taken) {
    Follower follower(world_, past_, live_, std::move(taken.record), stop_);
    const RunState state = follower.run(*taken.place);
    taken.place.reset();
    const bool is_left = is_open(state) && !stop_.stop_requested();
    if (is_left && world_.parts.unfollowed)
      call([&] { world_.parts.unfollowed(follower.record()); });
    const std::lock_guard lock(mutex_);
    switch (state) {
      case RunState::completed:
        ++recovered_.completed;
        break;
      case RunState::cancelled:
        ++recovered_.cancelled;
        break;
      case RunState::failed:
        ++recovered_.failed;
        break;
      case RunState::intent:
      case RunState::accepted:
        ++recovered_.left;
        break;
    }
  }

  void search() {
    Clock& clock = world_.parts.clock;
    const TimePoint began = clock.now();
    std::vector<RunRecord> found;
    for (const Milliseconds after : look_after) {
      if (!clock.sleep_until(began + after, stop_) || lost_.empty()) break;
      std::vector<RunRecord> left;
      side_by_side(world_.parts.executor, lost_.size(), looks_at_once, [&](std::size_t i) {
        std::optional<RunRecord> one = find_lost(world_, lost_[i], stop_);
        const std::lock_guard lock(mutex_);
        if (one) past_.end_search(one->id);
        one ? found.push_back(*std::move(one)) : left.push_back(std::move(lost_[i]));
      });
      lost_ = std::move(left);
    }
    for (const RunRecord& record : lost_) past_.end_search(record.id);
    recovered_.uncertain -= found.size();
    recovered_.found_at_fal = found.size();
    std::vector<Taken> taken;
    for (RunRecord& record : found) {
      if (std::optional<Taken> one = take(std::move(record))) taken.push_back(*std::move(one));
    }
    side_by_side(world_.parts.executor, taken.size(), taken.size(),
                 [&](std::size_t i) { follow(std::move(taken[i])); });
  }

  const World& world_;
  Past& past_;
  LiveRuns& live_;
  const std::stop_token stop_;
  std::vector<Taken> taken_;
  std::vector<RunRecord> lost_;
  std::mutex mutex_;
  Recovered recovered_;
};

}  // namespace

Result<std::vector<RunRecord>, StoreError> all_open(const World& world, Milliseconds longest) {
  std::vector<RunRecord> all;
  RunQuery query = RunQuery::of_open(page);
  for (bool more = true; more && all.size() < most_open;) {
    Result<std::vector<RunRecord>, StoreError> some = find_records(world, query, longest);
    if (!some) return std::move(some).error();
    more = some->size() == page;
    if (more) query.after = place_of(some->back());
    std::ranges::move(*some, std::back_inserter(all));
  }
  return all;
}

Result<Recovered, StoreError> recover(const World& world, Past& past, LiveRuns& live,
                                      const std::stop_token& stop) {
  if (world.parts.state == nullptr) return Recovered();
  Result<std::vector<RunRecord>, StoreError> open = all_open(world, longest_page);
  if (!open) return std::move(open).error();
  Recovery recovery(world, past, live, stop);
  for (RunRecord& record : *open) {
    if (past.has(record) && is_open(record.state) && record.surface != native_surface)
      recovery.add(std::move(record));
  }
  return recovery.run();
}

std::vector<Product> read_again(const World& world, const RunRecord& record) {
  constexpr Milliseconds longest{10s};
  std::vector<JobOutput> outputs;
  for (const RunJob& job : record.jobs) outputs.push_back(output_of(world, job));
  std::vector<std::size_t> places;
  std::vector<JobStart> starts;
  for (std::size_t place = 0; place < outputs.size(); ++place) {
    if (!outputs[place].is_to_follow) continue;
    places.push_back(place);
    starts.push_back({Body(), outputs[place].at_fal});
  }
  if (places.empty()) return {};
  const TimePoint until = world.parts.clock.now() + longest;
  const JobPolicy policy{.endpoint = *fal::EndpointId::parse(record.jobs[places.front()].endpoint),
                         .queue = world.options.fal.queue,
                         .route = Route::queue_poll,
                         .counted = false,
                         .deadline = until,
                         .longest_missing = Milliseconds(0),
                         .promised = true};
  const JobWatch watch{.ended = [&](std::size_t i, Job& job) {
    outputs[places[i]].result = std::move(job.end().result);
    outputs[places[i]].receipt = job.receipt();
  }};
  run_jobs(world, policy, std::move(starts), Patience(until, {}), nullptr, watch);
  return response_of(world, record, outputs).value_or(std::vector<Product>());
}

RunState follow(const World& world, Past& past, LiveRuns& live, RunRecord record,
                const std::stop_token& stop, const std::function<void()>& untold) {
  const LiveRuns::Place place = enter(world, live, record);
  if (place == nullptr) return RunState::accepted;
  Clock& clock = world.parts.clock;
  std::stop_source ends;
  const std::stop_callback on_stop(stop, [&] { ends.request_stop(); });
  const std::stop_callback on_cancel(place->cancelled(), [&] { ends.request_stop(); });
  Follower follower(world, past, live, std::move(record), stop);
  for (Milliseconds pause = first_pause;; pause = std::min(2 * pause, longest_pause)) {
    const bool was_cancelled = place->cancelled().stop_requested();
    const RunState state = follower.run(*place);
    if (!is_open(state) || stop.stop_requested() || past.is_elsewhere(follower.record()) ||
        clock.wall_now() >= follower.record().expires)
      return state;
    if (pause == first_pause && untold) call(untold);
    clock.sleep_until(clock.now() + pause, was_cancelled ? stop : ends.get_token());
    if (stop.stop_requested()) return state;
    // A repeat may have brought it to its end, or another process may follow it.
    if (std::optional<RunRecord> now = look_up(world, follower.record().id)) {
      if (!is_open(now->state) || past.is_elsewhere(*now)) return now->state;
      follower.go_on_with(*std::move(now));
    }
  }
}

}  // namespace falproxy::inline v0::runs
