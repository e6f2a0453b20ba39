#include "gateway/job.hpp"

#include <algorithm>
#include <utility>

#include "base/text.hpp"
#include "gateway/faults.hpp"

namespace falproxy::gateway {
namespace {

using namespace std::chrono_literals;
using Cause = fal::Fault::Cause;
using Microseconds = std::chrono::microseconds;
using Kind = Action::Kind;

// A key that is back this soon is waited for; else the client is told when to come again.
constexpr Milliseconds longest_key_rest = 2s;
// A job whose status or result is refused this long without a break will not become readable.
constexpr Milliseconds longest_unreadable = 30s;
constexpr Milliseconds cancel_time = 5s;
constexpr int max_cancel_attempts = 2;
// After so many 403 in a row a look at the result tells whether the job has ended meanwhile.
constexpr int looks_before_probe = 3;

bool is_success(int status) noexcept { return status >= 200 && status < 300; }

fal::Fault fault_of(const event::Answered& answer) {
  if (answer.head.status >= 400) return fal::read_fault(answer.head, *answer.body);
  fal::Fault fault;  // a redirect, which is never followed
  fault.status = answer.head.status;
  return fault;
}

bool looks_like_json(std::string_view body) {
  body = trim(body.substr(0, 64));
  return body.starts_with('{') || body.starts_with('[');
}

Microseconds time_between(TimePoint from, TimePoint to) noexcept {
  return std::chrono::duration_cast<Microseconds>(std::max(to - from, TimePoint::duration::zero()));
}

}  // namespace

Milliseconds poll_delay(TimePoint::duration elapsed) noexcept {
  const auto tenth = std::chrono::duration_cast<Milliseconds>(elapsed / 10);
  return std::clamp<Milliseconds>(tenth, 50ms, 2s);
}

Milliseconds submit_backoff(int failed, double random) noexcept {
  const int doublings = std::clamp(failed - 1, 0, 5);
  const double base = 250.0 * (1 << doublings);
  return Milliseconds(static_cast<Milliseconds::rep>(base * (0.75 + random / 2)));
}

void Job::extend(TimePoint deadline) noexcept {
  policy_.deadline = std::max(policy_.deadline, deadline);
}

Action Job::step(const Event& event, TimePoint now) {
  if (phase_ == Phase::fresh) {
    started_ = now;
    receipt_.endpoint = policy_.endpoint.str();
  }
  if (std::holds_alternative<event::Stopped>(event) && phase_ != Phase::cancelling) {
    return give_up(cancelled_error(), now);
  }
  Action action = react(event, now);
  const bool goes_on = phase_ != Phase::over && phase_ != Phase::cancelling;
  if (goes_on && now >= policy_.deadline) {
    const std::optional<KeyReport> report = action.report;
    action = give_up(timed_out_error(), now);
    action.report = report;
  }
  return action;
}

Action Job::react(const Event& event, TimePoint now) {
  switch (phase_) {
    case Phase::fresh:
    case Phase::resting_for_key:
      return acquire_key(now);
    case Phase::acquiring:
      if (const auto* denied = std::get_if<event::KeyDenied>(&event)) {
        return on_key_denied(denied->error, now);
      }
      return on_key_granted(std::get<event::KeyGranted>(event).slot, now);
    case Phase::submitting:
      if (const auto* lost = std::get_if<event::NoAnswer>(&event)) {
        return on_submit_lost(lost->error, now);
      }
      return on_submit_answer(std::get<event::Answered>(event), now);
    case Phase::backing_off:
      return submit();
    case Phase::holding:
      if (const auto* said = std::get_if<event::StatusSaid>(&event)) {
        return on_status(said->status, now);
      }
      hold_ended_ = std::holds_alternative<event::HoldEnded>(event);
      return look();
    case Phase::looking:
      return on_look(event, now);
    case Phase::pausing:
      return hold_or_look();
    case Phase::fetching:
      return on_fetch(event, now);
    case Phase::pausing_to_fetch:
      return fetch();
    case Phase::cancelling:
      return on_cancel(event, now);
    case Phase::over:
      break;
  }
  return {};
}

// ---- Until fal has the job: the one table of what is repeated.

Action Job::acquire_key(TimePoint now, std::optional<KeyReport> report) {
  phase_ = Phase::acquiring;
  if (!asked_for_key_.has_value()) asked_for_key_ = now;
  Action action{.kind = Kind::acquire_key,
                .until = policy_.deadline,
                .report = std::move(report),
                .except = forbidden_slots_};
  action.except.insert(action.except.end(), busy_slots_.begin(), busy_slots_.end());
  return action;
}

Action Job::on_key_denied(const Error& error, TimePoint now) {
  const bool back_soon = error.kind == ErrorKind::keys_resting && error.retry_after.has_value() &&
                         *error.retry_after <= longest_key_rest &&
                         now + *error.retry_after < policy_.deadline;
  if (back_soon && failed_attempts_ + 1 < policy_.max_submit_attempts) {
    ++failed_attempts_;
    busy_slots_.clear();
    phase_ = Phase::resting_for_key;
    return {.kind = Kind::wait, .until = now + std::max<Milliseconds>(*error.retry_after, 1ms)};
  }
  // No other key is left: what fal said of the last one is the reason.
  if (error.kind == ErrorKind::keys_out && refusal_.has_value()) {
    return finish_with_fault(*std::move(refusal_), now);
  }
  return finish_with(Fate::failed, error, now);
}

Action Job::on_key_granted(std::size_t slot, TimePoint now) {
  waited_for_key_ += time_between(asked_for_key_.value_or(now), now);
  asked_for_key_.reset();
  receipt_.key_slot = slot;
  return submit();
}

Action Job::submit() {
  phase_ = Phase::submitting;
  ++receipt_.submits;
  return {.kind = Kind::submit, .until = policy_.deadline};
}

Action Job::on_submit_answer(const event::Answered& answer, TimePoint now) {
  if (!is_success(answer.head.status)) return on_submit_refused(fault_of(answer), now);
  if (policy_.route == Route::run || policy_.route == Route::model_stream) {
    receipt_.accepted = true;
    accepted_ = running_.emplace(started_);
    Action end = finish_with_result(answer.body, answer.head, now);
    end.report = KeyReport{KeyOutcome::accepted};
    return end;
  }
  Result<fal::Submitted> submitted =
      fal::parse_submitted(*answer.body, policy_.endpoint, policy_.queue);
  if (submitted) return on_accepted(std::move(*submitted), now);
  Error error = std::move(submitted).error();
  error.submitted = true;
  return finish_with(Fate::abandoned, std::move(error), now);
}

Action Job::on_accepted(fal::Submitted submitted, TimePoint now) {
  receipt_.accepted = true;
  receipt_.fal_request_id = submitted.request_id;
  accepted_ = now;
  trouble_.clear();
  status_.state = fal::QueueState::in_queue;
  status_.queue_position = submitted.queue_position;
  submitted_ = std::move(submitted);
  Action next = hold_or_look();
  next.report = KeyReport{KeyOutcome::accepted};
  return next;
}

Action Job::on_submit_refused(fal::Fault fault, TimePoint now) {
  trouble_ = words_of(fault);
  switch (fault.cause) {
    case Cause::key_refused:
      return acquire_key(now, KeyReport{KeyOutcome::refused, {}, trouble_});
    case Cause::account_blocked:
      return acquire_key(now, KeyReport{KeyOutcome::account_blocked, {}, trouble_});
    case Cause::busy: {
      const KeyReport report{KeyOutcome::rate_limited, fault.retry_after, {}};
      busy_slots_.push_back(receipt_.key_slot);
      refusal_ = std::move(fault);
      return acquire_key(now, report);
    }
    case Cause::forbidden:
      // No fault of the account: this key may not use this endpoint, another one may.
      forbidden_slots_.push_back(receipt_.key_slot);
      refusal_ = std::move(fault);
      return acquire_key(now);
    case Cause::ingress: {
      Error error = error_of(fault, policy_.endpoint);
      return back_off(now, std::move(error), std::move(fault));
    }
    case Cause::invalid_input:
    case Cause::content_policy:
    case Cause::no_media:
    case Cause::not_found:
    case Cause::request_timeout:
    case Cause::cancelled:
    case Cause::model_failed:
    case Cause::not_fal:
      break;
  }
  return finish_with_fault(std::move(fault), now);
}

void Job::note_trouble(const TransportError& error) {
  if (error.fault != TransportFault::cancelled) trouble_ = error.message;
}

Action Job::on_submit_lost(const TransportError& error, TimePoint now) {
  note_trouble(error);
  const bool nothing_sent = error.nothing_sent || error.fault == TransportFault::unreachable;
  if (nothing_sent) {
    return back_off(now, Error{ErrorKind::upstream_unreachable, "fal could not be reached."},
                    std::nullopt);
  }
  // It may have arrived, and may be billed: never again.
  if (error.fault == TransportFault::too_large) {
    Error too_large{ErrorKind::upstream_failed, "fal's answer is too large."};
    too_large.submitted = true;
    return finish_with(Fate::failed, std::move(too_large), now);
  }
  Error lost{
      ErrorKind::upstream_failed,
      "The connection to fal ended before it answered; whether it took the job is not known."};
  if (now >= policy_.deadline) lost = timed_out_error();
  if (error.fault == TransportFault::cancelled) lost = cancelled_error();
  lost.submitted = true;
  return finish_with(Fate::abandoned, std::move(lost), now);
}

Action Job::back_off(TimePoint now, Error if_out_of_attempts, std::optional<fal::Fault> fault) {
  if (++failed_attempts_ >= policy_.max_submit_attempts) {
    return finish_with(Fate::failed, std::move(if_out_of_attempts), now, std::move(fault));
  }
  phase_ = Phase::backing_off;
  const TimePoint until = now + submit_backoff(failed_attempts_, random_());
  return {.kind = Kind::wait, .until = std::min(until, policy_.deadline)};
}

// ---- While fal has the job: reads are free and are repeated until the deadline.

// Where there was no room for its stream, a job asks for it again before each look.
Action Job::hold_or_look() {
  const bool healthy = refused_looks_ == 0 && !unreadable_since_.has_value();
  if (policy_.route != Route::queue_stream || hold_ended_ || !healthy) return look();
  phase_ = Phase::holding;
  return {.kind = Kind::hold, .until = policy_.deadline};
}

Action Job::look() {
  phase_ = Phase::looking;
  return {.kind = Kind::look, .until = policy_.deadline};
}

Action Job::pause(TimePoint now) {
  phase_ = probing_ || !completed_.has_value() ? Phase::pausing : Phase::pausing_to_fetch;
  const TimePoint since = completed_.value_or(accepted_);
  return {.kind = Kind::wait, .until = std::min(now + poll_delay(now - since), policy_.deadline)};
}

Action Job::fetch() {
  phase_ = Phase::fetching;
  return {.kind = Kind::fetch, .until = policy_.deadline};
}

Action Job::on_status(const fal::QueueStatus& status, TimePoint now) {
  status_ = status;
  trouble_.clear();
  unreadable_since_.reset();
  refused_looks_ = 0;
  probing_ = false;
  if (status.state == fal::QueueState::in_progress && !running_.has_value()) running_ = now;
  if (status.state == fal::QueueState::completed) {
    completed_ = now;
    if (status.error.has_value()) return finish_with_fault(fal::read_fault(status), now);
    return fetch();
  }
  if (phase_ == Phase::holding) return {.kind = Kind::keep_holding, .until = policy_.deadline};
  return pause(now);
}

Action Job::on_look(const Event& event, TimePoint now) {
  const auto* answer = std::get_if<event::Answered>(&event);
  if (answer == nullptr) {
    if (const auto* lost = std::get_if<event::NoAnswer>(&event)) note_trouble(lost->error);
    return pause(now);
  }
  if (is_success(answer->head.status)) {
    const Result<fal::QueueStatus> status = fal::parse_status(*answer->body);
    if (status) return on_status(*status, now);
    return on_unreadable({}, now);
  }
  fal::Fault fault = fault_of(*answer);
  if (answer->head.status != 403) return on_unreadable(std::move(fault), now);
  // Seen on accepted jobs whose account is locked meanwhile: no proof that the job failed.
  if (++refused_looks_ % looks_before_probe != 0) return pause(now);
  probing_ = true;
  return fetch();
}

Action Job::on_fetch(const Event& event, TimePoint now) {
  const auto* answer = std::get_if<event::Answered>(&event);
  if (answer == nullptr) {
    const auto* lost = std::get_if<event::NoAnswer>(&event);
    if (lost != nullptr) note_trouble(lost->error);
    if (lost != nullptr && lost->error.fault == TransportFault::too_large) {
      return finish_with(Fate::failed,
                         Error{ErrorKind::upstream_failed, "fal's result is too large."}, now);
    }
    return pause(now);
  }
  if (is_success(answer->head.status)) {
    // A page of an ingress that is being mended is not the result, which is paid for and still
    // there.
    if (!looks_like_json(*answer->body)) return on_unreadable({}, now);
    if (!completed_.has_value()) completed_ = now;
    return finish_with_result(answer->body, answer->head, now);
  }
  fal::Fault fault = fault_of(*answer);
  const bool of_the_input = fault.cause == Cause::content_policy ||
                            fault.cause == Cause::no_media ||
                            (fault.cause == Cause::invalid_input && fault.status == 422);
  if (probing_ && !of_the_input) return pause(now);
  return on_unreadable(std::move(fault), now);
}

// An answer to a read that is neither a status nor a result.
Action Job::on_unreadable(fal::Fault fault, TimePoint now) {
  const bool reading_status = phase_ == Phase::looking;
  trouble_ = words_of(fault);
  switch (fault.cause) {
    case Cause::ingress:
    case Cause::busy:
      unreadable_since_.reset();
      return pause(now);
    case Cause::key_refused:
    case Cause::account_blocked:
    case Cause::forbidden:
    case Cause::not_found:
    case Cause::not_fal:
      break;
    case Cause::invalid_input:
    case Cause::content_policy:
    case Cause::no_media:
    case Cause::request_timeout:
    case Cause::cancelled:
    case Cause::model_failed:
      // Of the status it says nothing of the job; of the result it is the model's own answer.
      if (reading_status) break;
      return finish_with_fault(std::move(fault), now);
  }
  if (fault.status >= 500) return pause(now);
  if (!unreadable_since_.has_value()) unreadable_since_ = now;
  if (now - *unreadable_since_ < longest_unreadable) return pause(now);
  Error error{ErrorKind::upstream_failed,
              reading_status ? "fal no longer tells the state of the job that it had taken."
                             : "fal does not hand out the result of the job that it has finished."};
  return finish_with(reading_status ? Fate::abandoned : Fate::failed, std::move(error), now);
}

// ---- The end.

// Stopped, or out of time, instead of doing what the last action said.
Action Job::give_up(Error error, TimePoint now) {
  if (submitted_.has_value()) {
    end_.error = std::move(error);
    phase_ = Phase::cancelling;
    return {.kind = Kind::cancel, .until = now + cancel_time};
  }
  if (phase_ == Phase::submitting) --receipt_.submits;
  return finish_with(Fate::failed, std::move(error), now);
}

Action Job::on_cancel(const Event& event, TimePoint now) {
  const auto* answer = std::get_if<event::Answered>(&event);
  receipt_.cancelled = true;
  if (answer != nullptr && answer->head.status < 500) {
    return finish_with(Fate::cancelled, std::move(end_.error), now);
  }
  if (++cancel_attempts_ < max_cancel_attempts) {
    return {.kind = Kind::cancel, .until = now + cancel_time};
  }
  return finish_with(Fate::abandoned, std::move(end_.error), now);
}

Action Job::finish_with_result(std::shared_ptr<const std::string> body, const HttpHead& head,
                               TimePoint now) {
  phase_ = Phase::over;
  end_.fate = Fate::result;
  end_.result = std::move(body);
  if (const auto units = head.headers.find("x-fal-billable-units")) {
    const Result<Json> number = Json::parse(*units);
    if (number) receipt_.billable_units = number->as_number();
  }
  if (receipt_.fal_request_id.empty()) {
    receipt_.fal_request_id = std::string(head.headers.find("x-fal-request-id").value_or(""));
  }
  if (!completed_.has_value()) completed_ = now;
  note_times(now);
  return {.kind = Kind::finished};
}

Action Job::finish_with_fault(fal::Fault fault, TimePoint now) {
  // What fal.run answers comes after the model has run.
  const bool has_run = policy_.route == Route::run || policy_.route == Route::model_stream;
  Error error = error_of(fault, policy_.endpoint);
  error.submitted =
      has_run && (fault.cause == Cause::model_failed || fault.cause == Cause::no_media ||
                  fault.cause == Cause::request_timeout);
  return finish_with(Fate::failed, std::move(error), now, std::move(fault));
}

Action Job::finish_with(Fate fate, Error error, TimePoint now, std::optional<fal::Fault> fault) {
  phase_ = Phase::over;
  end_.fate = receipt_.submits == 0 ? Fate::none : fate;
  receipt_.abandoned = end_.fate == Fate::abandoned;
  if (receipt_.fal_request_id.empty() && fault.has_value()) {
    receipt_.fal_request_id = fault->request_id;
  }
  // Who stopped it knows why.
  if (error.kind != ErrorKind::cancelled)
    receipt_.fault = fault.has_value() ? words_of(*fault) : std::move(trouble_);
  error.submitted = error.submitted || receipt_.accepted;
  if (error.fal_request_id.empty()) error.fal_request_id = receipt_.fal_request_id;
  if (receipt_.fal_request_id.empty()) receipt_.fal_request_id = error.fal_request_id;
  end_.error = std::move(error);
  end_.fault = std::move(fault);
  note_times(now);
  return {.kind = Kind::finished};
}

void Job::note_times(TimePoint now) {
  // Waiting here for a key is waiting in a queue as much as waiting at fal is.
  const TimePoint submitted = receipt_.accepted ? accepted_ : now;
  receipt_.submit = std::max(time_between(started_, submitted) - waited_for_key_, Microseconds(0));
  receipt_.queue = waited_for_key_;
  if (!receipt_.accepted) return;
  const TimePoint completed = completed_.value_or(now);
  const Microseconds total = time_between(accepted_, completed);
  Microseconds inference =
      running_.has_value() ? time_between(*running_, completed) : Microseconds(0);
  if (status_.inference_seconds.has_value()) {
    const double microseconds = std::min(*status_.inference_seconds * 1e6, 1e15);
    inference = Microseconds(static_cast<Microseconds::rep>(microseconds));
  }
  receipt_.inference = std::min(inference, total);
  receipt_.queue += total - receipt_.inference;
  receipt_.result = time_between(completed, now);
}

}  // namespace falproxy::gateway
