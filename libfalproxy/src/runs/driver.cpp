#include "runs/driver.hpp"

#include <algorithm>
#include <utility>

#include "base/fmt.hpp"
#include "fal/told_progress.hpp"
#include "runs/answer_sinks.hpp"
#include "runs/side_by_side.hpp"

namespace falproxy::inline v0::runs {
namespace {

using namespace std::chrono_literals;
using Kind = Action::Kind;

constexpr std::size_t max_queue_answer = 8u << 20;       // statuses may carry logs
constexpr std::chrono::microseconds between_looks{250};  // of all jobs together
constexpr Milliseconds longest_stream_silence = 30s;
constexpr Milliseconds longest_submit_silence = 30s;
// Of all events and comments of a stream: a job of an hour needs far less.
constexpr std::size_t longest_status_stream = 8u << 20;
constexpr std::size_t longest_told = 64u << 10;  // of an answer whose words reach a client or a log
constexpr Milliseconds longest_read_silence = 15s;  // reads are free: they are begun anew

// In a catch block.
std::string what_was_thrown() {
  try {
    throw;
  } catch (const std::exception& exception) {
    return exception.what();
  } catch (...) {
    return "something was thrown";
  }
}

// Tells a Progress what is new in a job's status.
class StatusTeller {
 public:
  explicit StatusTeller(Progress* progress) : progress_(progress) {}

  void tell(const fal::QueueStatus& status) noexcept {
    if (progress_ == nullptr) return;
    if (status.state == fal::QueueState::in_queue &&
        (!told_queued_ || status.queue_position != position_)) {
      told_queued_ = true;
      position_ = status.queue_position;
      call([&] { progress_->queued(position_); });
    } else if (status.state == fal::QueueState::in_progress && !told_running_) {
      told_running_ = true;
      call([&] { progress_->running(); });
    }
  }

 private:
  Progress* progress_;
  bool told_queued_ = false, told_running_ = false;
  std::optional<int> position_;
};

// One of several that do the same now.
class Counted {
 public:
  explicit Counted(std::atomic<int>& all) : all_(all), number_(all.fetch_add(1) + 1) {}
  ~Counted() { all_.fetch_sub(1); }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  /// How many they were then, this one included.
  [[nodiscard]] int number() const noexcept { return number_; }

 private:
  std::atomic<int>& all_;
  const int number_;
};

// One run of one job: the key it holds and the input that fal does not have yet.
class Run {
 public:
  Run(const World& world, Job& job, std::size_t index, Body input, const Patience& patience,
      Progress* progress, const OnPartial& on_partial, const JobWatch& watch, StageObserver* stage)
      : world_(world),
        clock_(world.parts.clock),
        job_(job),
        index_(index),
        input_(std::move(input)),
        patience_(patience),
        stop_(patience.stop()),
        teller_(progress),
        on_partial_(on_partial),
        watch_(watch),
        stage_(stage) {}

  void to_the_end() {
    Action action = step(event::Started{});
    while (true) {
      report(action);
      tell_part(action.kind);
      if (action.kind == Kind::finished) return;
      if (stop_.stop_requested()) {  // told once: from then on the job does what is left to do
        stop_ = std::stop_token();
        action = step(event::Stopped{patience_.leaves()});
      } else if (action.kind == Kind::hold) {
        action = hold(action.until);
      } else {
        action = step(perform([&] { return attempt(action); }));
        tell_status();
      }
    }
  }

 private:
  // Somebody may have begun to wait longer while the last action was done.
  Action step(const Event& event) {
    job_.extend(patience_.deadline());
    Action action = job_.step(event, clock_.now());
    if (job_.submitted().has_value() && !std::exchange(told_taken_, true) && watch_.taken)
      call([&] { watch_.taken(index_, *job_.submitted(), lease_->fingerprint()); });
    if (job_.receipt().accepted) tell_accepted(job_.receipt().fal_request_id);
    return action;
  }

  void tell_accepted(std::string_view fal_request_id) {
    if (told_accepted_ || fal_request_id.empty()) return;
    told_accepted_ = true;
    if (watch_.accepted) call([&] { watch_.accepted(fal_request_id); });
  }

  void tell_status() noexcept {
    teller_.tell(job_.status());
    if (job_.percent() <= told_percent_ || !watch_.worked) return;
    told_percent_ = job_.percent();
    call([&] { watch_.worked(index_, told_percent_); });
  }

  void tell_part(Kind next) noexcept {
    if (stage_ == nullptr || next == Kind::finished) return;
    std::string_view part = "submit";
    if (job_.submitted().has_value() || job_.receipt().accepted)
      part = job_.status().state == fal::QueueState::in_progress ? "inference" : "queue";
    if (next == Kind::fetch) part = "result";
    if (next == Kind::cancel) part = "cancel";
    // A result is fetched once more after a pause, and then nothing is waited for at fal.
    if (part == part_ || (part_ == "result" && next != Kind::cancel)) return;
    part_ = part;
    call([&] { stage_->part(part); });
  }

  void report(const Action& action) {
    if (action.report.has_value() && lease_.has_value())
      report_key(world_, *lease_, *action.report);
    if (job_.submitted().has_value()) input_ = Body();
  }

  // No memory, or a transport of somebody else's: the job still has to come to its end.
  Event perform(const std::function<Event()>& attempt) {
    try {
      return attempt();
    } catch (...) {
      return threw(what_was_thrown());
    }
  }
  event::Threw threw(std::string what) const {
    world_.tally.upstream_faults.fetch_add(1);
    if (lease_.has_value()) what = without_secret(std::move(what), lease_->key());
    world_.debug([&] { return "thrown in the middle of a job: " + what; });
    return {std::move(what)};
  }

  // Submits to the queue and cancels are not broken off when the caller leaves: only a submit's
  // answer says what is to be cancelled. A fetch is begun anew, with an end of its own.
  Event attempt(const Action& action) {
    const bool ends = action.kind == Kind::fetch || action.kind == Kind::cancel;
    if (ends && watch_.before_end) call([&] { watch_.before_end(); });
    switch (action.kind) {
      case Kind::acquire_key:
        return acquire_key(action.until, action.except);
      case Kind::submit:
        return submit(action.until);
      case Kind::look:
        return look(action.until);
      case Kind::fetch:
        return read(fal::result_request(*job_.submitted(), lease_->key()), action.until, stop_,
                    world_.options.max_result_bytes);
      case Kind::cancel:
        return send(fal::cancel_request(*job_.submitted(), lease_->key()), action.until, {},
                    max_queue_answer);
      case Kind::wait:
        wait(action.until);
        break;
      case Kind::hold:
      case Kind::keep_holding:
      case Kind::finished:
        break;
    }
    return event::Woken{};
  }

  // Thousands that poll would leave no time for those that submit: the more there are, the more
  // rarely each of them looks.
  void wait(TimePoint until) {
    std::optional<Counted> polling;
    if (job_.submitted().has_value()) {
      const TimePoint turn =
          clock_.now() + polling.emplace(world_.tally.polling).number() * between_looks;
      until = std::max(until, std::min(turn, job_.policy().deadline));
    }
    clock_.sleep_until(until, stop_);
  }

  Event acquire_key(TimePoint deadline, const std::vector<std::size_t>& except) {
    lease_.reset();
    const std::optional<TakenJob>& taken = job_.policy().taken;
    const bool is_counted = job_.policy().counted;
    Result<KeyLease> lease =
        taken.has_value() ? world_.parts.keys.acquire_again(taken->key, is_counted)
                          : world_.parts.keys.acquire_or_wait(
                                clock_, deadline, stop_, {.except = except, .counted = is_counted});
    if (!lease) return event::KeyDenied{std::move(lease).error()};
    lease_.emplace(std::move(*lease));
    return event::KeyGranted{lease_->slot()};
  }

  Event submit(TimePoint deadline) {
    const fal::Addresses& fal = world_.options.fal;
    const fal::EndpointId& endpoint = job_.policy().endpoint;
    switch (job_.policy().route) {
      case Route::run:
        return send(
            fal::run_request(fal, endpoint, lease_->key(), input_, job_.policy().preferences),
            deadline, stop_, world_.options.max_result_bytes);
      case Route::model_stream:
        return stream_model(
            fal::stream_request(fal, endpoint, lease_->key(), input_, job_.policy().preferences),
            deadline);
      case Route::queue_stream:
      case Route::queue_poll:
        break;
    }
    std::optional<double> left;
    if (job_.policy().deadline < no_deadline)
      left = std::chrono::duration<double>(job_.policy().deadline - clock_.now()).count();
    HttpRequest request = fal::submit_request(
        fal, endpoint, lease_->key(), input_,
        {.start_timeout_seconds = left, .preferences = job_.policy().preferences});
    request.max_silence = longest_submit_silence;
    return send(request, deadline, {}, max_queue_answer);
  }

  Event look(TimePoint deadline) {
    HttpRequest request = fal::status_request(*job_.submitted(), lease_->key());
    if (!job_.policy().reads_logs)
      return read(std::move(request), deadline, stop_, max_queue_answer);
    return read(fal::with_logs(std::move(request)), deadline, stop_, fal::longest_logged_status);
  }

  Action hold(TimePoint deadline) {
    std::optional<Counted> held(std::in_place, world_.tally.streams_held);
    // One that is denied must not take the room of another while it makes its next step.
    if (held->number() > world_.options.max_upstream_streams) {
      held.reset();
      return step(event::HoldDenied{});
    }
    HttpRequest request = fal::status_stream_request(*job_.submitted(), lease_->key());
    if (job_.policy().reads_logs) request = fal::with_logs(std::move(request));
    request.max_silence = longest_stream_silence;
    const StatusStreamSink::Step on_status = [this](event::StatusSaid said) {
      for (std::optional<std::string>* text : {&said.status.error, &said.status.error_type})
        if (text->has_value()) **text = without_secret(std::move(**text), lease_->key());
      Action action = step(said);
      tell_part(action.kind);
      tell_status();
      return action;
    };
    StatusStreamSink sink(on_status, {clock_, deadline, longest_status_stream});
    const Event ended = perform([&]() -> Event { return hold(request, deadline, sink); });
    return sink.next().has_value() ? *sink.next() : step(ended);
  }

  Event hold(const HttpRequest& request, TimePoint deadline, StatusStreamSink& sink) {
    const Result<Done, TransportError> ended =
        world_.parts.transport.send(request, deadline, stop_, sink);
    if (!sink.next().has_value() && !stop_.stop_requested()) {
      world_.tally.upstream_faults.fetch_add(1);
      world_.debug([&] {
        return fmt::format("GET {} ended before the job did: {}", request.url,
                           ended ? "closed" : ended.error().message);
      });
    }
    return event::HoldEnded{};
  }

  Event stream_model(const HttpRequest& request, TimePoint deadline) {
    const std::size_t max_bytes = world_.options.max_result_bytes;
    ModelStreamSink sink(world_.parts.memory, {clock_, deadline, max_bytes}, max_bytes, on_partial_,
                         [this](const HttpHead& head) {
                           tell_accepted(head.headers.find("x-fal-request-id").value_or(""));
                         });
    Result<Done, TransportError> ended =
        world_.parts.transport.send(request, deadline, stop_, sink);
    if (!ended) return event::NoAnswer{sink.fault().value_or(std::move(ended).error())};
    return without_key(sink.answer());
  }

  // What fal says of a fault is told further; it may quote the key, or half of it.
  [[nodiscard]] event::Answered without_key(event::Answered answer) const {
    const bool is_fault = answer.head.status >= 400;
    const Secret& key = lease_->key();
    if ((is_fault || answer.body->size() <= longest_told) && shows_secret(*answer.body, key))
      answer.body = std::make_shared<const std::string>(without_secret(*answer.body, key));
    if (!is_fault) return answer;
    HttpHeaders headers;
    for (const auto& [name, value] : answer.head.headers)
      headers.add(name, without_secret(value, key));
    answer.head.headers = std::move(headers);
    return answer;
  }

  Event read(HttpRequest request, TimePoint deadline, std::stop_token stop, std::size_t max_bytes) {
    request.max_silence = longest_read_silence;
    return send(request, deadline, std::move(stop), max_bytes);
  }

  Event send(const HttpRequest& request, TimePoint deadline, std::stop_token stop,
             std::size_t max_bytes) {
    Result<event::Answered, event::NoAnswer> answer =
        exchange(world_, request, deadline, std::move(stop), max_bytes);
    if (!answer) return std::move(answer).error();
    return without_key(*std::move(answer));
  }

  const World& world_;
  Clock& clock_;
  Job& job_;
  const std::size_t index_;
  Body input_;
  const Patience& patience_;
  std::stop_token stop_;  // none once the job has been told
  StatusTeller teller_;
  const OnPartial& on_partial_;
  const JobWatch& watch_;
  StageObserver* const stage_;  // null: nobody watches
  std::string_view part_;       // that it was told of last
  bool told_accepted_ = false, told_taken_ = false;
  int told_percent_ = 0;
  std::optional<KeyLease> lease_;
};

}  // namespace

void Tally::add(const JobReceipt& receipt, Fate fate) noexcept {
  if (receipt.resumed) {
    resumed.fetch_add(1);
    return;
  }
  submits.fetch_add(static_cast<std::uint64_t>(receipt.submits));
  if (receipt.submits > 0) repeated.fetch_add(static_cast<std::uint64_t>(receipt.submits - 1));
  if (receipt.accepted) accepted.fetch_add(1);
  switch (fate) {
    case Fate::none:
      break;
    case Fate::result:
      results.fetch_add(1);
      break;
    case Fate::cancelled:
      cancels.fetch_add(1);
      break;
    case Fate::failed:
      failures.fetch_add(1);
      break;
    case Fate::abandoned:
      abandoned.fetch_add(1);
      break;
  }
}

Runner::Counters Tally::read() const noexcept {
  return {.submits = submits.load(),
          .repeated = repeated.load(),
          .accepted = accepted.load(),
          .results = results.load(),
          .cancels = cancels.load(),
          .failures = failures.load(),
          .abandoned = abandoned.load(),
          .resumed = resumed.load(),
          .recovered = recovered.load(),
          .upstream_faults = upstream_faults.load(),
          .streams_held = streams_held.load()};
}

std::unique_ptr<StageObserver> World::begin_stage(std::string_view name,
                                                  std::string_view endpoint) const noexcept {
  std::unique_ptr<StageObserver> stage;
  if (parts.observer != nullptr) call([&] { stage = parts.observer->begin(name, endpoint); });
  return stage;
}

void Patience::extend(TimePoint deadline) noexcept {
  TimePoint now = deadline_.load();
  while (now < deadline && !deadline_.compare_exchange_weak(now, deadline)) {
  }
}

void report_key(const World& world, KeyLease& lease, const KeyReport& report) {
  const bool changed = lease.report(report.outcome, world.parts.clock.now(), report.retry_after);
  if (!changed || !world.parts.log) return;
  const std::string key = fmt::format("key {} of AI_KEYS", lease.slot() + 1);
  const bool usable = report.outcome == KeyOutcome::accepted;
  std::string line;
  if (usable) {
    line = fmt::format("{} can be used again", key);
  } else if (report.outcome == KeyOutcome::refused) {
    line = fmt::format(
        "{} is left out, and tried again in 5 minutes: fal refuses it ({}); take it out, or put "
        "the right one there",
        key, report.words);
  } else {
    line = fmt::format(
        "the account of {} is blocked, and tried again every 5 minutes: fal says {}; "
        "see fal.ai/dashboard/billing",
        key, report.words);
  }
  world.parts.log(usable ? LogLevel::info : LogLevel::warning, line);
  if (report.outcome == KeyOutcome::account_blocked && world.parts.account_locked)
    world.parts.account_locked(line);
}

Result<event::Answered, event::NoAnswer> exchange(const World& world, const HttpRequest& request,
                                                  TimePoint deadline, std::stop_token stop,
                                                  std::size_t max_bytes) {
  AnswerSink sink(world.parts.memory, max_bytes);
  Result<Done, TransportError> sent =
      world.parts.transport.send(request, deadline, std::move(stop), sink);
  if (sink.too_large()) sent = TransportError{TransportFault::too_large, "the answer is too large"};
  HttpHead head = sink.take_head();
  if (!sent || head.status >= 400) world.tally.upstream_faults.fetch_add(1);
  world.debug([&] {
    return fmt::format("{} {} -> {}", request.method, request.url,
                       sent ? std::to_string(head.status) : sent.error().message);
  });
  if (!sent) return event::NoAnswer{std::move(sent).error(), std::move(head)};
  return event::Answered{std::move(head), sink.take_body()};
}

void run_jobs(const World& world, const JobPolicy& policy, std::vector<JobStart> starts,
              const Patience& patience, Progress* progress, const JobWatch& watch) {
  const std::function<double()> random = [&world] { return world.random(); };  // jobs refer to it
  side_by_side(world.parts.executor, starts.size(), starts.size(), [&](std::size_t i) {
    JobPolicy own = policy;
    own.taken = std::move(starts[i].taken);
    Job job(std::move(own), random);
    std::unique_ptr<StageObserver> stage = world.begin_stage("job", policy.endpoint.str());
    const OnPartial on_partial = i == 0 ? watch.partial : OnPartial();
    try {
      Run(world, job, i, std::move(starts[i].input), patience, progress, on_partial, watch,
          stage.get())
          .to_the_end();
    } catch (...) {
      job.abandon();
    }
    if (stage != nullptr) call([&] { stage->ended(job.receipt()); });
    stage = nullptr;
    world.tally.add(job.receipt(), job.end().fate);
    if (watch.ended) watch.ended(i, job);
  });
}

}  // namespace falproxy::inline v0::runs
