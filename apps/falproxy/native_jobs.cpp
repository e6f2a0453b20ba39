#include "native_jobs.hpp"

#include <charconv>
#include <utility>
#include <vector>

#include "base/finally.hpp"
#include "base/retry.hpp"
#include "falproxy/fal.hpp"
#include "serving/reactor.hpp"

namespace falproxy::app {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t longest_status = 1u << 20;
constexpr Milliseconds longest_answer = 30s;
// fal may know a job a moment later than it has said so.
constexpr Milliseconds unknown_for = 60s;
// Who cancels a job in the queue says so, and it costs nothing.
constexpr Milliseconds who_cancels_settles_within = 10s;
constexpr Milliseconds before_forgotten = 300s;
constexpr std::size_t most_left_at_once = 5'000;  // of earlier processes; the others wait
// At the latest so long after it noted a job begin() follows it.
constexpr Milliseconds begun_within = 60s;
// Fetches of a result, to read what it cost, and then the note of it.
constexpr RetryPolicy fetches{.first = 1s, .longest = 60s, .patience = 3600s};

serving::FiberClock& fiber_clock() {
  static serving::FiberClock clock;
  return clock;
}

// Of a success at most the first bytes are held.
class Answer final : public ResponseSink {
 public:
  bool head(HttpHead head) override {
    head_ = std::move(head);
    return true;
  }
  bool data(std::string_view bytes) override {
    body_.append(bytes.substr(0, longest_status - body_.size()));
    return true;
  }
  [[nodiscard]] int status() const noexcept { return head_ ? head_->status : 0; }
  [[nodiscard]] const std::optional<HttpHead>& seen() const noexcept { return head_; }
  [[nodiscard]] const std::string& body() const noexcept { return body_; }

 private:
  std::optional<HttpHead> head_;
  std::string body_;
};

// Whether it is whole. Nothing of a job is counted twice against its account.
bool ask(Runner& runner, const RunRecord& record, const std::string& url,
         const std::stop_token& stop, Answer& answer) {
  const ForwardedRequest request{.request = {.method = "GET", .url = url},
                                 .account = record.jobs.front().account,
                                 .counted = false};
  const CallContext context{.deadline = fiber_clock().now() + longest_answer, .stop = stop};
  return runner.forward(request, context, answer).has_value();
}

}  // namespace

std::optional<double> units_in(const HttpHead& head) {
  const std::string_view text = head.headers.find("x-fal-billable-units").value_or("");
  double units = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), units);
  if (text.empty() || fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return units;
}

std::optional<NativeJobs::End> NativeJobs::end_told_by(const HttpHead& result) {
  const std::optional<double> units = units_in(result);
  // The ingress, which knows nothing of the job, gives no id.
  const bool failed =
      result.status == 422 || (result.status >= 500 && result.headers.find("x-fal-request-id"));
  if (!units && result.status != 200 && !failed) return std::nullopt;
  return End{.units = units, .may_be_billed = may_be_billed(true, result.status)};
}

bool NativeJobs::begin(const std::string& client, RunRecord record,
                       std::shared_ptr<const KeyLease> place) {
  record.state = RunState::accepted;
  record.surface = native_surface;
  if (parts_.peers != nullptr) record.holder = parts_.peers->self();
  record.id = id_of(record.jobs.front().request_id);
  record.expires = fiber_clock().wall_now() + kept_for;
  if (!keepsakes_.keep(client, record.id, record, kept_for, Durability::durable)) return false;
  follow(client, std::move(record), std::move(place));
  return true;
}

Result<std::optional<RunRecord>> NativeJobs::find(const std::string& client,
                                                  const std::string& fal_request_id) const {
  Result<std::optional<RunRecord>> record = keepsakes_.find(client, id_of(fal_request_id));
  if (record && record->has_value() && (*record)->jobs.empty()) record->reset();
  return record;
}

void NativeJobs::look_now(const std::string& fal_request_id) {
  const RunId id = id_of(fal_request_id);
  std::unique_lock lock(mutex_);
  const auto found = followed_.find(id);
  if (found == followed_.end()) return;
  std::stop_source wake = std::exchange(found->second, std::stop_source());
  lock.unlock();
  wake.request_stop();
}

void NativeJobs::settle(const std::string& client, RunRecord record, const End& end) {
  RunJob& job = record.jobs.front();
  if (!job.held) return;
  const Reservation reserved{.held = *job.held, .day = job.held_on};
  job.held.reset();
  job.state = record.state = RunState::completed;
  {
    const std::lock_guard lock(mutex_);
    if (!settling_.insert(record.id).second) return;
  }
  const auto over = std::make_shared<Finally<std::function<void()>>>([this, id = record.id] {
    const std::lock_guard lock(mutex_);
    settling_.erase(id);
  });
  // Of two that hear of it at once one writes something else, and is refused.
  record.details = '"' + draw_run_id().to_string() + '"';
  ++record.fence;
  record.changed = fiber_clock().wall_now();
  // False: nobody knows whether it was written, and the same may be tried again.
  const auto try_to = [this, client, record = std::move(record), reserved, end] {
    const Result<Done, StoreError> kept = keepsakes_.keep_again(record);
    if (!kept) return kept.error().fault == StoreFault::outdated;
    parts_.budgets.settle({.client = client, .model = record.served_model, .user = record.user},
                          reserved,
                          {.endpoint = record.jobs.front().endpoint,
                           .units = end.units,
                           .may_be_billed = end.may_be_billed,
                           .fal_request_id = record.jobs.front().request_id});
    return true;
  };
  if (try_to()) return;
  static_cast<void>(parts_.background.begin([try_to, over](const std::stop_token& stop) {
    serving::FiberClock& clock = fiber_clock();
    Retry retry(fetches, clock.now());
    do {
      const TimePoint now = clock.now();
      clock.sleep_until(retry.next(now).value_or(now + fetches.longest), stop);
    } while (!stop.stop_requested() && !try_to());
  }));
}

// If there is no room for one that follows it, it is settled when somebody fetches its result, or
// by the next process.
void NativeJobs::follow(const std::string& client, RunRecord record,
                        std::shared_ptr<const KeyLease> place) {
  {
    const std::lock_guard lock(mutex_);
    if (settling_.contains(record.id)) return;
    if (!followed_.emplace(record.id, std::stop_source()).second) return;
  }
  const RunId id = record.id;
  const auto over = std::make_shared<Finally<std::function<void()>>>([this, id] {
    const std::lock_guard lock(mutex_);
    followed_.erase(id);
  });
  static_cast<void>(
      parts_.background.begin([this, client, over, record = std::move(record),
                               place = std::move(place)](const std::stop_token& stop) mutable {
        const Standing standing = wait_for_end(record, stop);
        place.reset();
        if (!stop.stop_requested()) settle_when_known(client, record, standing, stop);
      }));
}

NativeJobs::Standing NativeJobs::look(const RunRecord& record, const std::stop_token& stop) const {
  const Result<fal::EndpointId> endpoint = fal::EndpointId::parse(record.jobs.front().endpoint);
  const std::optional<fal::Submitted> job =
      endpoint ? fal::submitted_as(record.jobs.front().request_id, *endpoint, parts_.queue_url())
               : std::nullopt;
  if (!job) return Standing::unknown;
  Answer answer;
  const bool is_whole = ask(parts_.runner, record, job->status_url, stop, answer);
  if (answer.status() == 404) return Standing::unknown;
  if (!is_whole || answer.status() < 200 || answer.status() >= 300) return Standing::runs;
  const Result<fal::QueueStatus> status = fal::parse_status(answer.body());
  if (!status || status->state != fal::QueueState::completed) return Standing::runs;
  const bool cancelled =
      status->error && fal::read_fault(*status).cause == fal::Fault::Cause::cancelled;
  return cancelled ? Standing::cancelled : Standing::ended;
}

std::stop_source NativeJobs::waker_of(const RunId& id) {
  const std::lock_guard lock(mutex_);
  return followed_[id];
}

NativeJobs::Standing NativeJobs::wait_for_end(const RunRecord& record,
                                              const std::stop_token& stop) {
  serving::FiberClock& clock = fiber_clock();
  const Retry reads(retry_policies::read, clock.now());
  TimePoint known_at = clock.now();
  while (!stop.stop_requested() && clock.wall_now() < record.expires - before_forgotten) {
    std::stop_source wake = waker_of(record.id);
    {
      const std::stop_callback on_stop(stop, [&] { wake.request_stop(); });
      clock.sleep_until(clock.now() + reads.delay(clock.now()), wake.get_token());
    }
    const Standing standing = look(record, stop);
    if (standing == Standing::ended || standing == Standing::cancelled) return standing;
    if (standing != Standing::unknown) {
      known_at = clock.now();
    } else if (clock.now() >= known_at + unknown_for) {
      return standing;
    }
  }
  return Standing::unknown;
}

// Of two that settle it one is refused.
void NativeJobs::settle_when_known(const std::string& client, const RunRecord& followed,
                                   Standing standing, const std::stop_token& stop) {
  serving::FiberClock& clock = fiber_clock();
  if (standing == Standing::cancelled)
    clock.sleep_until(clock.now() + who_cancels_settles_within, stop);
  Retry retry(fetches, clock.now());
  while (!stop.stop_requested()) {
    Result<std::optional<RunRecord>> record = keepsakes_.find(client, followed.id);
    if (record && (!record->has_value() || !is_open((*record)->state))) return;
    if (record) {
      const bool is_told = standing == Standing::ended && !retry.exhausted(clock.now());
      const std::optional<End> end = is_told ? end_of(**record, stop) : End();
      if (end) return settle(client, **std::move(record), *end);
    }
    const TimePoint now = clock.now();
    clock.sleep_until(retry.next(now).value_or(now + fetches.longest), stop);
  }
}

std::optional<NativeJobs::End> NativeJobs::end_of(const RunRecord& record,
                                                  const std::stop_token& stop) const {
  const Result<fal::EndpointId> endpoint = fal::EndpointId::parse(record.jobs.front().endpoint);
  const auto job = fal::submitted_as(record.jobs.front().request_id, *endpoint, parts_.queue_url());
  Answer answer;
  static_cast<void>(ask(parts_.runner, record, job->response_url, stop, answer));
  return answer.seen() ? end_told_by(*answer.seen()) : std::nullopt;
}

void NativeJobs::resume(const std::stop_token& stop) {
  serving::FiberClock& clock = fiber_clock();
  Result<std::vector<RunRecord>, StoreError> open = keepsakes_.find_open();
  // Who shares the store looks again soon.
  while (!open && parts_.peers == nullptr && clock.sleep_until(clock.now() + 1s, stop))
    open = keepsakes_.find_open();
  if (!open) return;
  for (RunRecord& record : *open) {
    if (record.jobs.empty() || stop.stop_requested()) continue;
    if (parts_.peers != nullptr && !take_over(record)) continue;
    while (followed() >= most_left_at_once && clock.sleep_until(clock.now() + 1s, stop)) {
    }
    follow(keepsakes_.client_of(record), record, nullptr);
  }
}

// Its own, too: a take-over may have been written though its answer was lost. Those that begin() is
// about to follow are left to it.
bool NativeJobs::take_over(RunRecord& record) const {
  const WallTime now = fiber_clock().wall_now();
  if (record.holder == parts_.peers->self()) return record.created + begun_within < now;
  if (!parts_.peers->is_gone(record.holder)) return false;
  record.holder = parts_.peers->self();
  ++record.fence;
  record.changed = now;
  return keepsakes_.keep_again(record).has_value();
}

std::size_t NativeJobs::followed() const {
  const std::lock_guard lock(mutex_);
  return followed_.size();
}

}  // namespace falproxy::app
