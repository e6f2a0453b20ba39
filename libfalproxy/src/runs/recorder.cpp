#include "runs/recorder.hpp"

#include <algorithm>
#include <utility>

#include "base/utf8.hpp"
#include "plan/beside.hpp"
#include "runs/live_runs.hpp"
#include "runs/lost.hpp"

namespace falproxy::inline v0::runs {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t longest_prompt = 6'000;
// A restart finds what could not be noted until then.
constexpr std::chrono::minutes longest_insisting{5};
// What a job takes of which nothing is known.
constexpr double usual_seconds = 60;
// Between two notes of how far a run has come.
constexpr int least_step = 10;
constexpr Milliseconds least_time = 1s;

RunId draw_id(const World& world, const Asked& asked, WallTime now) {
  // The time tells equal wishes apart if nobody gives random numbers.
  std::string seed(reinterpret_cast<const char*>(asked.digest.data()), asked.digest.size());
  seed += asked.owner + std::to_string(now.time_since_epoch().count());
  for (int i = 0; i < 4; ++i) seed += std::to_string(world.random() * 1e15);
  const Digest digest = world.parts.codecs.sha256(seed);
  RunId id;
  std::copy_n(digest.begin(), id.bytes.size(), id.bytes.begin());
  return id;
}

bool may_be_at_fal(const JobOutput& output) noexcept {
  return output.receipt.abandoned || output.error.submitted;
}

// Intent: nobody knows whether fal has the job.
RunState state_of(const JobOutput& output) noexcept {
  if (output.result != nullptr) return RunState::completed;
  if (output.error.kind == ErrorKind::result_expired) return RunState::failed;
  if (output.is_to_follow || (output.at_fal.has_value() && output.receipt.abandoned))
    return RunState::accepted;
  if (may_be_at_fal(output) && output.receipt.fal_request_id.empty()) return RunState::intent;
  return output.receipt.cancelled ? RunState::cancelled : RunState::failed;
}

void hold(RunJob& job, const JobOutput& output) {
  if (!output.reserved.has_value()) return;
  job.held = output.reserved->held;
  job.held_on = output.reserved->day;
  if (output.reserved->units)
    job.expected_units = static_cast<double>(output.reserved->units->nano) / 1e9;
}

}  // namespace

bool may_be_asked_for(const World& world, const Asked& asked) noexcept {
  return asked.key_hash.has_value() && world.parts.state != nullptr &&
         world.options.keyed_recovery.count() > 0;
}

void take_hold(RunRecord& record, const RunId& process) noexcept {
  constexpr int writes_of_one = 32;  // bits of a fence
  if (record.holder != RunId() && record.holder != process)
    record.fence = ((record.fence >> writes_of_one) + 1) << writes_of_one;
  record.holder = process;
}

Recorder::Recorder(const World& world, const Asked& asked, std::optional<RunRecord> earlier,
                   bool watches)
    : world_(world), store_(world.parts.state), asked_(asked), watches_(watches) {
  if (store_ == nullptr) return;
  if (earlier.has_value()) {
    record_ = *std::move(earlier);
    if (!record_.surface.empty()) pace_ = memo_of(record_).pace;
  } else {
    const WallTime now = world_.parts.clock.wall_now();
    record_.id = is_later() ? asked_.later->id : draw_id(world_, asked_, now);
    if (is_later()) {
      record_.surface = asked_.later->surface;
      record_.is_untold = asked_.later->tells_end;
    }
    record_.fence = 0;
    record_.owner = asked_.owner;
    record_.user = cut(asked_.user, 160);
    record_.digest = asked_.digest;
    record_.key_hash = asked_.key_hash;
    record_.promised = is_later() || may_be_asked_for(world_, asked_);
    record_.created = now;
  }
  if (world_.parts.peers != nullptr && !watches_) {
    absences_ = world_.parts.peers->absences();
    take_hold(record_, world_.parts.peers->self());
  }
  promised_ = record_.promised;
  record_.expires = std::max(record_.expires, record_.created + longest_run);
}

Noted Recorder::intend(const Intention& intention, const std::vector<JobOutput>& outputs) {
  if (store_ == nullptr) return is_later() ? Noted::no : Noted::yes;
  const bool is_shared = world_.parts.peers != nullptr;
  bool claims = false;
  promised_ = record_.promised;
  {
    const std::lock_guard lock(mutex_);
    record_.requested_model = intention.requested_model;
    record_.served_model = intention.served_model;
    record_.chance = intention.chance;
    if (is_later()) {
      record_.details = to_details(intention.plan, intention.wanted, asked_.later->details);
      if (pace_) record_.details = with_pace(record_.details, *pace_);
      if (const auto& prompt = intention.wish.prompt; prompt && asked_.later->keeps_prompt)
        record_.prompt = cut(*prompt, longest_prompt);
    }
    record_.jobs.resize(outputs.size());
    worked_.clear();
    bool any_new = false;
    for (std::size_t place = 0; place < outputs.size(); ++place) {
      const JobOutput& output = outputs[place];
      RunJob& job = record_.jobs[place];
      if (output.is_to_follow) continue;  // the record has it
      if (output.is_open()) {
        job = {.endpoint = std::string(intention.endpoint.str()),
               .input_mark = mark_of(intention.inputs[place])};
        hold(job, output);
        any_new = true;
        continue;
      }
      job.state = state_of(output);
      job.endpoint = output.receipt.endpoint;
      job.request_id = output.receipt.fal_request_id;
      if (output.at_fal.has_value()) note(job, *output.at_fal);
    }
    record_.state = any_new ? RunState::intent : RunState::accepted;
    if (!any_new) return Noted::yes;
    if (watches_) return Noted::elsewhere;
    claims = is_shared && asked_.key_hash.has_value() && record_.fence == 0;
    if (!claims) write(Durability::durable);
  }
  if (claims) {
    const Noted noted = claim();
    if (noted == Noted::elsewhere || (noted == Noted::no && is_later())) return noted;
    promised_ = promised_ && noted == Noted::yes;
  }
  const std::optional<StoreError> fault = settled();
  if (is_later()) {
    if (fault.has_value()) return Noted::no;
    if (!std::exchange(told_, true) && asked_.later->noted) asked_.later->noted(record_.id);
    return Noted::yes;
  }
  if (!fault.has_value()) return Noted::yes;
  if (fault->fault != StoreFault::outdated) {
    // Nobody can be told of it later.
    promised_ = false;
    return Noted::yes;
  }
  // Somebody else has ended that record meanwhile, or goes on with it.
  if (is_shared) return Noted::elsewhere;
  begin_anew();
  return Noted::yes;
}

Noted Recorder::claim() {
  Clock& clock = world_.parts.clock;
  const TimePoint until = clock.now() + longest_store_wait;
  const Awaited<std::optional<RunId>> claimed;
  {
    const std::lock_guard lock(mutex_);
    stamp();
    store_->claim(record_, asked_.known, until, claimed.callback());
  }
  const Result<std::optional<RunId>, StoreError> other = claimed.wait(clock, until);
  if (other) return other->has_value() ? Noted::elsewhere : Noted::yes;
  world_.debug([&] { return "a run was not noted: " + other.error().message; });
  return Noted::no;
}

void Recorder::begin_anew() {
  const std::lock_guard lock(mutex_);
  record_.id = draw_id(world_, asked_, world_.parts.clock.wall_now());
  record_.fence = 0;
  write(Durability::durable);
}

void Recorder::note(RunJob& job, const TakenJob& taken) const {
  const fal::Submitted& submitted = taken.submitted;
  job.request_id = submitted.request_id;
  job.account = taken.key;
  const Result<fal::EndpointId> endpoint = fal::EndpointId::parse(job.endpoint);
  const std::optional<fal::Submitted> usual =
      endpoint ? fal::submitted_as(submitted.request_id, *endpoint, world_.options.fal.queue)
               : std::nullopt;
  const auto unless_usual = [&](const std::string& url, const std::string fal::Submitted::* of) {
    return usual.has_value() && url == (*usual).*of ? std::string() : url;
  };
  job.status_url = unless_usual(submitted.status_url, &fal::Submitted::status_url);
  job.response_url = unless_usual(submitted.response_url, &fal::Submitted::response_url);
  job.cancel_url = unless_usual(submitted.cancel_url, &fal::Submitted::cancel_url);
}

void Recorder::taken(std::size_t place, const fal::Submitted& submitted, const std::string& key) {
  if (store_ == nullptr) return;
  const std::lock_guard lock(mutex_);
  RunJob& job = record_.jobs[place];
  if (job.state != RunState::intent) return;
  note(job, {submitted, key});
  job.state = RunState::accepted;
  job.submitted = world_.parts.clock.wall_now();
  record_.state = RunState::accepted;
  write(Durability::durable);
}

void Recorder::running(const LiveRuns& others) {
  if (store_ == nullptr || record_.surface.empty()) return;
  const std::lock_guard lock(mutex_);
  if (pace_ || record_.jobs.empty()) return;
  const std::string& endpoint = record_.jobs.front().endpoint;
  pace_ =
      Pace{world_.parts.clock.wall_now(), others.usual_seconds(endpoint).value_or(usual_seconds)};
  record_.details = with_pace(record_.details, *pace_);
  write(Durability::lazy);
}

void Recorder::worked(std::size_t place, int percent) {
  if (store_ == nullptr || record_.surface.empty()) return;
  const std::lock_guard lock(mutex_);
  if (!pace_ || place >= record_.jobs.size()) return;
  worked_.resize(record_.jobs.size());
  worked_[place] = percent;
  const int least = *std::ranges::min_element(worked_);
  const TimePoint now = world_.parts.clock.now();
  if (least == 0) return;
  if (pace_->percent && (least < *pace_->percent + least_step || now < worked_noted_ + least_time))
    return;
  // Until this is noted, others tell by the time.
  const WallTime then = world_.parts.clock.wall_now() + least_time;
  pace_->percent = std::max(least, progress_at(*pace_, then));
  worked_noted_ = now;
  record_.details = with_pace(record_.details, *pace_);
  write(Durability::lazy);
}

bool Recorder::paid(std::size_t place) {
  if (store_ == nullptr) return true;
  // A store that processes share settles a job once, whoever asks for it: see Posting::once.
  if (world_.parts.peers != nullptr) return watches_ || is_still_held();
  const std::lock_guard lock(mutex_);
  if (place >= record_.jobs.size() || !record_.jobs[place].held.has_value()) return true;
  record_.jobs[place].held.reset();
  write(Durability::lazy);
  return true;
}

bool Recorder::is_still_held() {
  Clock& clock = world_.parts.clock;
  const TimePoint until = clock.now() + longest_store_wait;
  const Awaited<Done> written;
  {
    const std::lock_guard lock(mutex_);
    const std::uint64_t now = world_.parts.peers->absences();
    if (is_lost_ || absences_ == now) return !is_lost_;
    absences_ = now;
    stamp();
    store_->write(record_, Durability::durable, until, written.callback());
  }
  const Result<Done, StoreError> done = written.wait(clock, until);
  const std::lock_guard lock(mutex_);
  is_lost_ = is_lost_ || (!done && done.error().fault == StoreFault::outdated);
  return !is_lost_;
}

bool Recorder::insist(const std::stop_token& stop) {
  Clock& clock = world_.parts.clock;
  const TimePoint until = clock.now() + longest_insisting;
  while (store_ != nullptr) {
    const std::optional<StoreError> fault = settled();
    const bool may_help = fault.has_value() && fault->fault != StoreFault::outdated &&
                          fault->fault != StoreFault::invalid &&
                          fault->fault != StoreFault::too_large;
    if (!may_help || stop.stop_requested() || clock.now() >= until)
      return !fault.has_value() || fault->fault != StoreFault::outdated;
    clock.sleep_until(clock.now() + 1s, stop);
    const std::lock_guard lock(mutex_);
    unsettled_.clear();
    write(Durability::durable);
  }
  return true;
}

RunRecord Recorder::record() {
  const std::lock_guard lock(mutex_);
  return record_;
}

std::optional<RunRecord> Recorder::left() {
  if (!is_promised() || is_later() || watches_) return std::nullopt;
  const std::optional<StoreError> fault = settled();
  const std::lock_guard lock(mutex_);
  const bool is_outdated = fault.has_value() && fault->fault == StoreFault::outdated;
  if (is_lost_ || is_outdated || record_.state != RunState::accepted) return std::nullopt;
  return record_;
}

void Recorder::settle() { static_cast<void>(settled()); }

std::optional<StoreError> Recorder::settled() {
  std::vector<Awaited<Done>> unsettled;
  {
    const std::lock_guard lock(mutex_);
    unsettled = unsettled_;
  }
  Clock& clock = world_.parts.clock;
  const TimePoint until = clock.now() + longest_store_wait;
  std::optional<StoreError> fault;
  for (const Awaited<Done>& write : unsettled) {
    const Result<Done, StoreError> done = write.wait(clock, until);
    if (done) continue;
    world_.debug([&] { return "a run was not noted: " + done.error().message; });
    if (!fault.has_value()) fault = done.error();
  }
  return fault;
}

void Recorder::end(const std::vector<JobOutput>& outputs,
                   const Result<std::vector<Product>>& response) {
  if (store_ == nullptr) return;
  const std::lock_guard lock(mutex_);
  bool any_result = false, any_open = false, all_cancelled = true, any_refused = false;
  for (std::size_t place = 0; place < outputs.size() && place < record_.jobs.size(); ++place) {
    const JobOutput& output = outputs[place];
    RunJob& job = record_.jobs[place];
    const bool was_run = output.receipt.resumed || output.receipt.submits > 0;
    const RunState state = state_of(output);
    // What was done before stays done, though it could not be fetched now.
    const bool is_news = job.state != RunState::completed || state == RunState::failed;
    if ((was_run || job.state == RunState::intent) && is_news) {
      any_refused = any_refused || (job.state == RunState::intent && !is_open(state) &&
                                    state != RunState::completed);
      job.state = state;
      job.fault.reset();
      if (state == RunState::failed)
        job.fault = RunFault{output.error.kind, cut(output.error.message, 512)};
    }
    // What is followed later is settled then.
    if (output.is_to_follow) {
      hold(job, output);
    } else {
      job.held.reset();
    }
    if (output.receipt.billable_units) job.billable_units = output.receipt.billable_units;
    if (output.receipt.cost) job.cost = output.receipt.cost;
    // A refused submit has an id, too, but no job.
    const bool has_job = output.result != nullptr || may_be_at_fal(output);
    if (job.request_id.empty() && has_job) job.request_id = output.receipt.fal_request_id;
    any_result = any_result || job.state == RunState::completed;
    any_open = any_open || job.state == RunState::accepted;
    all_cancelled = all_cancelled && job.state == RunState::cancelled;
  }
  record_.state = any_open        ? RunState::accepted
                  : any_result    ? RunState::completed
                  : all_cancelled ? RunState::cancelled
                                  : RunState::failed;
  record_.fault.reset();
  if (response) {
    Artifacts artifacts = artifacts_of(*response, record_.jobs);
    record_.artifacts = std::move(artifacts.noted);
    if (artifacts.left_out > 0 || record_.details.find("\"left_out\"") != std::string::npos)
      record_.details = with_left_out(record_.details, artifacts.left_out);
    const bool is_video = !record_.surface.empty() && outputs.size() == 1 &&
                          memo_of(record_).plan.makes == Medium::video;
    if (is_video && outputs.front().result != nullptr) {
      record_.details =
          with_spritesheet(record_.details, plan::spritesheet_of(outputs.front().result));
    }
  } else if (!any_open) {
    const Error& error = response.error();
    record_.fault = RunFault{error.kind, cut(error.message, 512)};
  }
  // No request waits for it any more, or will soon.
  const bool is_followed = asked_.owner.empty() || (any_open && promised_);
  // A restart must not take what fal refused for what it may have.
  const bool is_durable = is_followed || any_refused || !record_.surface.empty();
  write(is_durable ? Durability::durable : Durability::lazy);
}

void Recorder::stamp() {
  ++record_.fence;
  record_.changed = world_.parts.clock.wall_now();
  if (!is_open(record_.state)) {
    const Runner::Options& options = world_.options;
    const std::chrono::seconds window =
        promised_ ? options.keyed_recovery : options.recovery_window;
    record_.expires =
        record_.changed +
        (record_.surface.empty() ? std::max<std::chrono::seconds>(60s, window) : longest_run);
  }
}

void Recorder::write(Durability durability) {
  if (watches_ || is_lost_) return;
  stamp();
  Clock& clock = world_.parts.clock;
  const Awaited<Done> written;
  store_->write(record_, durability, clock.now() + longest_store_wait, written.callback());
  if (durability == Durability::durable) unsettled_.push_back(written);
}

}  // namespace falproxy::inline v0::runs
