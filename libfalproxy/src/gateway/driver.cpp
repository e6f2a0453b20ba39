#include "gateway/driver.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"

namespace falproxy::gateway {
namespace {

using namespace std::chrono_literals;
using Kind = Action::Kind;

constexpr std::size_t max_queue_answer = 8u << 20;       // statuses may carry logs
constexpr std::chrono::microseconds between_looks{250};  // of all jobs together
constexpr Milliseconds longest_stream_silence = 30s;
constexpr Milliseconds longest_submit_silence = 60s;
constexpr Milliseconds longest_read_silence = 15s;  // reads are free: they are begun anew

bool is_event_stream(const HttpHead& head) {
  const std::string_view type = head.headers.find("content-type").value_or("");
  return head.status >= 200 && head.status < 300 &&
         to_lower(type.substr(0, type.find(';'))).starts_with("text/event-stream");
}

// Tells a Progress what is new in a job's status.
class StatusTeller {
 public:
  explicit StatusTeller(Progress* progress) : progress_(progress) {}

  void tell(const fal::QueueStatus& status) {
    if (progress_ == nullptr) return;
    if (status.state == fal::QueueState::in_queue &&
        (!told_queued_ || status.queue_position != position_)) {
      told_queued_ = true;
      position_ = status.queue_position;
      progress_->queued(position_);
    } else if (status.state == fal::QueueState::in_progress && !told_running_) {
      told_running_ = true;
      progress_->running();
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

// Steps the job with each event of its status stream, until the job wants something else.
class StatusStreamSink final : public ResponseSink {
 public:
  using Step = std::function<Action(const Event&)>;
  StatusStreamSink(const Step& step, StatusTeller& teller) : step_(step), teller_(teller) {}

  bool head(HttpHead head) override { return is_event_stream(head); }
  bool data(std::string_view bytes) override {
    return reader_.feed(bytes, [this](std::string_view text) { return on_event(text); });
  }
  /// What the job wants now; none where the stream ended before it wanted anything else.
  [[nodiscard]] const std::optional<Action>& next() const noexcept { return next_; }

 private:
  bool on_event(std::string_view text) {
    const Result<fal::QueueStatus> status = fal::parse_status(text);
    if (!status) return true;
    teller_.tell(*status);
    const Action action = step_(event::StatusSaid{*status});
    if (action.kind == Kind::keep_holding) return true;
    next_ = action;
    return false;
  }

  const Step& step_;
  StatusTeller& teller_;
  fal::EventStreamReader reader_;
  std::optional<Action> next_;
};

// A model that fails in the middle of its stream, whose head is out by then, says so in an event of
// its own: the body that its answer would have had otherwise.
std::optional<int> status_told_by(std::string_view event) {
  constexpr std::size_t longest_failure = 64u << 10;
  if (event.size() > longest_failure) return std::nullopt;
  const Result<Json> json = Json::parse(event);
  if (!json) return std::nullopt;
  const std::optional<Json> detail = json->find("detail");
  if (!detail.has_value()) return std::nullopt;
  return detail->is_array() ? 422 : 500;
}

// A model's own stream: the last event is the result, those before it are partial pictures. An
// answer that is no stream is kept whole.
class ModelStreamSink final : public ResponseSink {
 public:
  ModelStreamSink(std::size_t max_bytes, const OnPartial& on_partial)
      : max_(max_bytes), reader_(max_bytes), on_partial_(on_partial) {}

  bool head(HttpHead head) override {
    head_ = std::move(head);
    is_stream_ = is_event_stream(head_);
    return true;
  }
  bool data(std::string_view bytes) override {
    if (!is_stream_) {
      too_large_ = bytes.size() > max_ - plain_.size();
      if (!too_large_) plain_.append(bytes);
      return !too_large_;
    }
    const bool goes_on = reader_.feed(bytes, [this](std::string_view event) {
      if (last_ != nullptr && on_partial_) on_partial_(std::move(last_));
      last_ = std::make_shared<const std::string>(event);
      return true;
    });
    too_large_ = !goes_on;
    return goes_on;
  }

  [[nodiscard]] bool too_large() const noexcept { return too_large_; }
  [[nodiscard]] event::Answered answer() {
    if (!is_stream_) last_ = std::make_shared<const std::string>(std::move(plain_));
    if (last_ == nullptr) last_ = std::make_shared<const std::string>();
    if (is_stream_) head_.status = status_told_by(*last_).value_or(head_.status);
    return {std::move(head_), std::move(last_)};
  }

 private:
  const std::size_t max_;
  fal::EventStreamReader reader_;
  const OnPartial& on_partial_;
  HttpHead head_;
  bool is_stream_ = false, too_large_ = false;
  std::string plain_;
  std::shared_ptr<const std::string> last_;
};

// One run of one job: the key it holds and the input that fal does not have yet.
class Run {
 public:
  Run(const World& world, Job& job, Body input, const Patience& patience, std::stop_token stop,
      Progress* progress, const OnPartial& on_partial)
      : world_(world),
        clock_(world.parts.clock),
        job_(job),
        input_(std::move(input)),
        patience_(patience),
        stop_(std::move(stop)),
        teller_(progress),
        on_partial_(on_partial) {}

  void to_the_end() {
    Action action = step(event::Started{});
    while (true) {
      report(action);
      if (action.kind == Kind::finished) return;
      if (stop_.stop_requested() && action.kind != Kind::cancel) {
        action = step(event::Stopped{});
      } else if (action.kind == Kind::hold) {
        action = hold(action.until);
      } else {
        const Event event = perform(action);
        action = step(event);
        teller_.tell(job_.status());
      }
    }
  }

 private:
  // Somebody may have begun to wait longer while the last action was done.
  Action step(const Event& event) {
    job_.extend(patience_.deadline());
    return job_.step(event, clock_.now());
  }

  void report(const Action& action) {
    if (action.report.has_value() && lease_.has_value())
      report_key(world_, *lease_, *action.report);
    if (job_.submitted().has_value()) input_ = Body();
  }

  Event perform(const Action& action) {
    switch (action.kind) {
      case Kind::acquire_key:
        return acquire_key(action.until, action.except);
      case Kind::submit:
        return submit(action.until);
      case Kind::look:
        return read(fal::status_request(*job_.submitted(), lease_->key()), action.until,
                    max_queue_answer);
      case Kind::fetch:
        return read(fal::result_request(*job_.submitted(), lease_->key()), action.until,
                    world_.options.max_result_bytes);
      case Kind::cancel:  // the caller may be gone; fal is told all the same
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
      until = std::min(std::max(until, turn), job_.policy().deadline);
    }
    clock_.sleep_until(until, stop_);
  }

  Event acquire_key(TimePoint deadline, const std::vector<std::size_t>& except) {
    lease_.reset();
    Result<KeyLease> lease = world_.parts.keys.acquire_or_wait(clock_, deadline, stop_, except);
    if (!lease) return event::KeyDenied{std::move(lease).error()};
    lease_.emplace(std::move(*lease));
    return event::KeyGranted{lease_->slot()};
  }

  // A submit to the queue is not broken off when the caller leaves: only its answer says what is to
  // be cancelled.
  Event submit(TimePoint deadline) {
    const fal::Addresses& fal = world_.options.fal;
    const fal::EndpointId& endpoint = job_.policy().endpoint;
    switch (job_.policy().route) {
      case Route::run:
        return send(fal::run_request(fal, endpoint, lease_->key(), input_), deadline, stop_,
                    world_.options.max_result_bytes);
      case Route::model_stream:
        return stream_model(fal::stream_request(fal, endpoint, lease_->key(), input_), deadline);
      case Route::queue_stream:
      case Route::queue_poll:
        break;
    }
    const std::chrono::duration<double> left = deadline - clock_.now();
    HttpRequest request = fal::submit_request(fal, endpoint, lease_->key(), input_,
                                              {.start_timeout_seconds = left.count()});
    request.max_silence = longest_submit_silence;
    return send(request, deadline, {}, max_queue_answer);
  }

  Action hold(TimePoint deadline) {
    std::optional<Counted> held(std::in_place, world_.tally.streams_held);
    // One that is denied must not take the room of another while it makes its next step.
    if (held->number() > world_.options.max_upstream_streams) {
      held.reset();
      return step(event::HoldDenied{});
    }
    HttpRequest request = fal::status_stream_request(*job_.submitted(), lease_->key());
    request.max_silence = longest_stream_silence;
    const StatusStreamSink::Step on_status = [this](const Event& event) { return step(event); };
    StatusStreamSink sink(on_status, teller_);
    const Result<Done, TransportError> ended =
        world_.parts.transport.send(request, deadline, stop_, sink);
    if (sink.next().has_value()) return *sink.next();
    if (!stop_.stop_requested()) {
      world_.tally.upstream_faults.fetch_add(1);
      world_.debug([&] {
        return fmt::format("GET {} ended before the job did: {}", request.url,
                           ended ? "closed" : ended.error().message);
      });
    }
    return step(event::HoldEnded{});
  }

  Event stream_model(const HttpRequest& request, TimePoint deadline) {
    ModelStreamSink sink(world_.options.max_result_bytes, on_partial_);
    Result<Done, TransportError> ended =
        world_.parts.transport.send(request, deadline, stop_, sink);
    if (sink.too_large()) return event::NoAnswer{{TransportFault::too_large, "too large", false}};
    if (!ended) return event::NoAnswer{std::move(ended).error()};
    return without_key(sink.answer());
  }

  // What fal says of a fault is told further; it may quote the key.
  [[nodiscard]] event::Answered without_key(event::Answered answer) const {
    if (answer.head.status >= 400)
      answer.body =
          std::make_shared<const std::string>(without_secret(*answer.body, lease_->key()));
    return answer;
  }

  Event read(HttpRequest request, TimePoint deadline, std::size_t max_bytes) {
    request.max_silence = longest_read_silence;
    return send(request, deadline, stop_, max_bytes);
  }

  Event send(const HttpRequest& request, TimePoint deadline, std::stop_token stop,
             std::size_t max_bytes) {
    Result<HttpResponse, TransportError> answer =
        exchange(world_, request, deadline, std::move(stop), max_bytes);
    if (!answer) return event::NoAnswer{std::move(answer).error()};
    return without_key(
        {std::move(answer->head), std::make_shared<const std::string>(std::move(answer->body))});
  }

  const World& world_;
  Clock& clock_;
  Job& job_;
  Body input_;
  const Patience& patience_;
  const std::stop_token stop_;
  StatusTeller teller_;
  const OnPartial& on_partial_;
  std::optional<KeyLease> lease_;
};

// Calls of several jobs' threads, one at a time.
class Serialized final : public Progress {
 public:
  explicit Serialized(Progress* inner) : inner_(inner) {}
  void queued(std::optional<int> position) override {
    const std::lock_guard lock(mutex_);
    if (inner_ != nullptr) inner_->queued(position);
  }
  void running() override {
    const std::lock_guard lock(mutex_);
    if (inner_ != nullptr) inner_->running();
  }
  void partial_image(const openai::ImageEvent& event) override {
    const std::lock_guard lock(mutex_);
    if (inner_ != nullptr) inner_->partial_image(event);
  }

 private:
  std::mutex mutex_;
  Progress* inner_;
};

}  // namespace

void Tally::add(const JobReceipt& receipt, Fate fate) noexcept {
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

ImageGateway::Counters Tally::read() const noexcept {
  return {.submits = submits.load(),
          .repeated = repeated.load(),
          .accepted = accepted.load(),
          .results = results.load(),
          .cancels = cancels.load(),
          .failures = failures.load(),
          .abandoned = abandoned.load(),
          .recovered = recovered.load(),
          .upstream_faults = upstream_faults.load(),
          .streams_held = streams_held.load()};
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
    line = fmt::format("the account of {} can be used again", key);
  } else if (report.outcome == KeyOutcome::refused) {
    line = fmt::format(
        "{} is out until the settings are loaded anew: fal refuses it ({}); "
        "take it out, or put the right one there",
        key, report.words);
  } else {
    line = fmt::format(
        "the account of {} is blocked, and tried again every 5 minutes: fal says {}; "
        "see fal.ai/dashboard/billing",
        key, report.words);
  }
  world.parts.log(usable ? LogLevel::info : LogLevel::warning, line);
}

Result<HttpResponse, TransportError> exchange(const World& world, const HttpRequest& request,
                                              TimePoint deadline, std::stop_token stop,
                                              std::size_t max_bytes) {
  Result<HttpResponse, TransportError> answer =
      fetch(world.parts.transport, request, deadline, std::move(stop), max_bytes);
  if (!answer || answer->head.status >= 400) world.tally.upstream_faults.fetch_add(1);
  world.debug([&] {
    return fmt::format("{} {} -> {}", request.method, request.url,
                       answer ? std::to_string(answer->head.status) : answer.error().message);
  });
  return answer;
}

void run_job(const World& world, Job& job, Body input, const Patience& patience,
             std::stop_token stop, Progress* progress, const OnPartial& on_partial) {
  Run(world, job, std::move(input), patience, std::move(stop), progress, on_partial).to_the_end();
  world.tally.add(job.receipt(), job.end().fate);
}

std::vector<std::unique_ptr<Job>> run_jobs(const World& world, const JobPolicy& policy,
                                           std::vector<Body> inputs, const Patience& patience,
                                           Progress* progress, const OnPartial& on_partial) {
  std::vector<std::unique_ptr<Job>> jobs;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    jobs.push_back(std::make_unique<Job>(policy, world.parts.random));
  }
  if (jobs.size() == 1) {
    run_job(world, *jobs[0], std::move(inputs[0]), patience, patience.stop(), progress, on_partial);
    return jobs;
  }

  std::stop_source stop;
  const std::stop_callback with_the_request(patience.stop(), [&stop] { stop.request_stop(); });
  Serialized serialized(progress);
  std::vector<std::function<void()>> tasks;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    // Only the first job's partial pictures are shown: their indexes count through one picture.
    tasks.emplace_back([&, i] {
      run_job(world, *jobs[i], std::move(inputs[i]), patience, stop.get_token(), &serialized,
              i == 0 ? on_partial : OnPartial());
      if (jobs[i]->end().result == nullptr) stop.request_stop();
    });
  }
  world.parts.executor.run_all(tasks);
  return jobs;
}

}  // namespace falproxy::gateway
