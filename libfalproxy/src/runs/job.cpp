#include "runs/job.hpp"

#include <algorithm>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "fal/told_progress.hpp"
#include "json/access.hpp"
#include "runs/faults.hpp"

namespace falproxy::inline v0::runs {
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
// What is paid for is fetched so long after the one who asked for it has given up.
constexpr Milliseconds late_time = 30s;
// A submit's answer says what there is to cancel: it is waited for, whoever else waits no longer.
constexpr Milliseconds least_submit_time = 60s;
// After so many 403 in a row a look at the result tells whether the job has ended meanwhile.
constexpr int looks_before_probe = 3;

bool is_success(int status) noexcept { return status >= 200 && status < 300; }

fal::Fault fault_of(const event::Answered& answer) {
  if (answer.head.status >= 400) return fal::read_fault(answer.head, *answer.body);
  fal::Fault fault;  // a redirect, which is never followed
  fault.status = answer.head.status;
  return fault;
}

// From its first bracket to its last: an answer without a length may have been cut anywhere.
bool is_whole_json(std::string_view body) {
  body = trim(body);
  if (!body.starts_with('{') && !body.starts_with('[')) return false;
  int depth = 0;
  for (std::size_t at = 0; at < body.size(); ++at) {
    at = body.find_first_of("\"{}[]", at);
    if (at == std::string_view::npos) return false;
    if (body[at] == '"') {
      at = find_string_end(body, at + 1);
      if (at == std::string_view::npos) return false;
    } else if (body[at] == '{' || body[at] == '[') {
      ++depth;
    } else if (--depth == 0) {
      return at + 1 == body.size();
    }
  }
  return false;
}

// fal's answer to a fetch that comes before the result is there.
bool says_not_yet(const fal::Fault& fault) {
  return fault.status == 400 &&
         to_lower(fault.message).find("still in progress") != std::string::npos;
}

TimePoint later(TimePoint time, Milliseconds by) noexcept {
  return time > TimePoint::max() - by ? TimePoint::max() : time + by;
}

Microseconds time_between(TimePoint from, TimePoint to) noexcept {
  return std::chrono::duration_cast<Microseconds>(std::max(to - from, TimePoint::duration::zero()));
}

}  // namespace

void Job::extend(TimePoint deadline) noexcept {
  policy_.deadline = std::max(policy_.deadline, deadline);
  if (submits_.has_value()) submits_->extend(deadline);
  if (late_until_.has_value()) late_until_ = std::max(*late_until_, deadline);
}

Action Job::step(const Event& event, TimePoint now) {
  if (phase_ == Phase::fresh) {
    started_ = now;
    receipt_.endpoint = policy_.endpoint.str();
    if (policy_.taken.has_value()) {
      receipt_.resumed = receipt_.accepted = true;
      accepted_ = now;
      receipt_.fal_request_id = policy_.taken->submitted.request_id;
    }
    submits_.emplace(retry_policies::submit.at_most(policy_.max_submit_attempts), now,
                     policy_.deadline);
  }
  if (const auto* stopped = std::get_if<event::Stopped>(&event)) {
    if (stopped->leave) return finish_with(Fate::abandoned, cancelled_error(), now);
    if (!end_.given_up.has_value()) return give_up(cancelled_error(), now);
    if (somebody_waits()) end_.given_up = cancelled_error();
    return phase_ == Phase::cancelling ? cancel(now) : fetch();
  }
  Action action = react(event, now);
  const bool goes_on = phase_ != Phase::over && !end_.given_up.has_value();
  if (goes_on && now >= policy_.deadline) {
    const std::optional<KeyReport> report = action.report;
    action = give_up(timed_out_error(), now);
    action.report = report;
  }
  return action;
}

Action Job::react(const Event& event, TimePoint now) {
  if (const auto* threw = std::get_if<event::Threw>(&event)) {
    trouble_ = threw->what;
    // A read or a cancel that threw is one that brought no answer.
    const bool goes_on = phase_ == Phase::holding || phase_ == Phase::looking ||
                         phase_ == Phase::fetching || phase_ == Phase::cancelling;
    if (!goes_on) return on_threw(now);
  }
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
        return on_submit_lost(*lost, now);
      }
      return on_submit_answer(std::get<event::Answered>(event), now);
    case Phase::backing_off:
      return submit(now);
    case Phase::holding:
      if (const auto* said = std::get_if<event::StatusSaid>(&event)) {
        return on_status(said->status, said->percent, now);
      }
      hold_ended_ = !std::holds_alternative<event::HoldDenied>(event);
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
  if (back_soon && submits_->next(now).has_value()) {
    busy_slots_.clear();
    phase_ = Phase::resting_for_key;
    return {.kind = Kind::wait, .until = now + std::max<Milliseconds>(*error.retry_after, 1ms)};
  }
  // No other key is left: what fal said of the last one is the reason.
  if (error.kind == ErrorKind::keys_out && refusal_.has_value()) {
    return finish_with_fault(*std::move(refusal_), now);
  }
  return finish_with(policy_.taken.has_value() ? Fate::abandoned : Fate::failed, error, now);
}

Action Job::on_key_granted(std::size_t slot, TimePoint now) {
  waited_for_key_ += time_between(asked_for_key_.value_or(now), now);
  asked_for_key_.reset();
  receipt_.key_slot = slot;
  return policy_.taken.has_value() ? follow(now) : submit(now);
}

Action Job::submit(TimePoint now) {
  phase_ = Phase::submitting;
  ++receipt_.submits;
  const bool may_be_cancelled =
      policy_.route == Route::queue_stream || policy_.route == Route::queue_poll;
  return {.kind = Kind::submit,
          .until = may_be_cancelled ? std::max(policy_.deadline, now + least_submit_time)
                                    : policy_.deadline};
}

Action Job::on_submit_answer(const event::Answered& answer, TimePoint now) {
  if (!is_success(answer.head.status)) {
    note_units(answer.head);
    return on_submit_refused(fault_of(answer), now);
  }
  if (policy_.route == Route::run || policy_.route == Route::model_stream) {
    receipt_.accepted = true;
    accepted_ = running_.emplace(started_);
    Action end = finish_with_result(answer.body, answer.head, now);
    end.report = KeyReport{KeyOutcome::accepted};
    return end;
  }
  Result<fal::Submitted> submitted =
      fal::parse_submitted(*answer.body, policy_.endpoint, policy_.queue);
  if (submitted) {
    Action next = on_accepted(std::move(*submitted), now);
    next.report = KeyReport{KeyOutcome::accepted};
    return next;
  }
  return on_submit_unreadable(answer.head, std::move(submitted).error(), now);
}

// There is no body of the queue's, but the head may tell the name of a job that fal took all the
// same.
Action Job::on_submit_unreadable(const HttpHead& head, Error error, TimePoint now) {
  const bool queued = policy_.route == Route::queue_stream || policy_.route == Route::queue_poll;
  if (!queued || !is_success(head.status)) return on_submit_unknown(std::move(error), now);
  const std::string_view id = head.headers.find("x-fal-request-id").value_or("");
  std::optional<fal::Submitted> named = fal::submitted_as(id, policy_.endpoint, policy_.queue);
  if (!named.has_value()) return on_submit_unknown(std::move(error), now);
  doubt_ = std::move(error);
  return on_accepted(*std::move(named), now);
}

Action Job::on_accepted(fal::Submitted submitted, TimePoint now) {
  receipt_.accepted = true;
  receipt_.fal_request_id = submitted.request_id;
  accepted_ = now;
  reads_.emplace(retry_policies::read, now);
  trouble_.clear();
  status_.state = fal::QueueState::in_queue;
  status_.queue_position = submitted.queue_position;
  submitted_ = std::move(submitted);
  return hold_or_look();
}

// It may have ended long ago: fal tells by a look, and need not hold a stream for that.
Action Job::follow(TimePoint now) {
  static_cast<void>(on_accepted(policy_.taken->submitted, now));
  if (!end_.given_up.has_value()) return look();
  cancels_.emplace(retry_policies::cancel, now);
  return cancel(now);
}

Action Job::on_submit_refused(fal::Fault fault, TimePoint now) {
  trouble_ = words_of(fault);
  const Verdict verdict = verdict_on(fault);
  if (verdict.another_key) {
    std::optional<KeyReport> report;
    if (verdict.outcome.has_value())
      report = KeyReport{*verdict.outcome, fault.retry_after, trouble_};
    const bool busy = verdict.outcome == KeyOutcome::rate_limited;
    if (busy) busy_slots_.push_back(receipt_.key_slot);
    if (!report.has_value()) forbidden_slots_.push_back(receipt_.key_slot);
    if (busy || !report.has_value()) refusal_ = std::move(fault);
    return acquire_key(now, std::move(report));
  }
  if (fault.cause == Cause::ingress) {
    Error error = error_of(fault, policy_.endpoint);
    return back_off(now, std::move(error), std::move(fault));
  }
  return finish_with_fault(std::move(fault), now);
}

void Job::note_trouble(const TransportError& error) {
  if (error.fault != TransportFault::cancelled) trouble_ = error.message;
}

Action Job::on_submit_lost(const event::NoAnswer& lost_answer, TimePoint now) {
  const TransportError& error = lost_answer.error;
  note_trouble(error);
  const bool nothing_sent = error.nothing_sent || error.fault == TransportFault::unreachable;
  if (nothing_sent) {
    return back_off(now, Error{ErrorKind::upstream_unreachable, "fal could not be reached."},
                    std::nullopt);
  }
  // It may have arrived, and may be billed: never again.
  if (error.fault == TransportFault::too_large) {
    Error too_large{ErrorKind::upstream_failed, "fal's answer is too large."};
    return on_submit_unreadable(lost_answer.head, std::move(too_large), now);
  }
  Error lost{ErrorKind::upstream_failed,
             "fal did not answer the submit; whether it took the job is not known."};
  if (now >= policy_.deadline) lost = timed_out_error();
  if (error.fault == TransportFault::cancelled) lost = cancelled_error();
  return on_submit_unreadable(lost_answer.head, std::move(lost), now);
}

Action Job::on_submit_unknown(Error error, TimePoint now) {
  error.submitted = true;
  return finish_with(Fate::abandoned, std::move(error), now);
}

Action Job::on_threw(TimePoint now) {
  if (phase_ == Phase::submitting) return on_submit_unknown(internal_error(), now);
  return completed_.has_value() ? fetch() : give_up(internal_error(), now);
}

Action Job::back_off(TimePoint now, Error if_out_of_attempts, std::optional<fal::Fault> fault) {
  const std::optional<TimePoint> then = submits_->next(now, random_());
  if (!then.has_value()) {
    return finish_with(Fate::failed, std::move(if_out_of_attempts), now, std::move(fault));
  }
  phase_ = Phase::backing_off;
  return {.kind = Kind::wait, .until = *then};
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
  const TimePoint end = late_until_.value_or(policy_.deadline);
  if (late_until_.has_value() && now >= end) {
    return finish_with(Fate::abandoned, *end_.given_up, now);
  }
  phase_ = probing_ || !completed_.has_value() ? Phase::pausing : Phase::pausing_to_fetch;
  return {.kind = Kind::wait, .until = std::min(now + reads_->delay(now), end)};
}

// A result that is there and paid for is not left behind because time is short.
Action Job::fetch() {
  phase_ = Phase::fetching;
  const TimePoint end =
      completed_.has_value() ? later(policy_.deadline, late_time) : policy_.deadline;
  return {.kind = Kind::fetch, .until = late_until_.value_or(end)};
}

Action Job::on_status(const fal::QueueStatus& status, std::optional<int> percent, TimePoint now) {
  status_ = status;
  percent_ = std::max(percent_, percent.value_or(0));
  doubt_.reset();
  trouble_.clear();
  unreadable_since_.reset();
  refused_looks_ = 0;
  probing_ = false;
  if (status.state == fal::QueueState::in_progress && !running_.has_value()) running_ = now;
  if (status.state == fal::QueueState::completed) {
    completed_ = now;
    reads_.emplace(retry_policies::read, now);
    if (status.error.has_value()) return finish_with_fault(fal::read_fault(status), now);
    return fetch();
  }
  if (phase_ == Phase::holding) return {.kind = Kind::keep_holding, .until = policy_.deadline};
  return pause(now);
}

Action Job::on_look(const Event& event, TimePoint now) {
  const auto* answer = std::get_if<event::Answered>(&event);
  if (answer == nullptr) {
    if (const auto* lost = std::get_if<event::NoAnswer>(&event)) {
      note_trouble(lost->error);
      // Its log has become too long: the state is wanted more.
      if (lost->error.fault == TransportFault::too_large) policy_.reads_logs = false;
    }
    return pause(now);
  }
  if (is_success(answer->head.status)) {
    const Result<fal::LoggedStatus> logged = fal::parse_logged_status(*answer->body);
    if (logged) return on_status(logged->status, logged->percent, now);
    return on_unreadable({.status = answer->head.status}, now);
  }
  fal::Fault fault = fault_of(*answer);
  if (doubt_.has_value() && fault.cause == Cause::not_found) {
    receipt_.accepted = false;
    return on_submit_unknown(*std::move(doubt_), now);
  }
  if (answer->head.status != 403 || is_followed_in_vain(now))
    return on_unreadable(std::move(fault), now);
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
    // A page of an ingress that is being mended, or half of the result, is not the result, which is
    // paid for and still there.
    if (!is_whole_json(*answer->body)) return on_unreadable({.status = answer->head.status}, now);
    if (!completed_.has_value()) completed_ = now;
    return finish_with_result(answer->body, answer->head, now);
  }
  note_units(answer->head);
  fal::Fault fault = fault_of(*answer);
  const bool of_the_input = fault.cause == Cause::content_policy ||
                            fault.cause == Cause::no_media ||
                            (fault.cause == Cause::invalid_input && fault.status == 422);
  if (probing_ && !of_the_input) return pause(now);
  return on_unreadable(std::move(fault), now);
}

// Whoever follows a job looks again later if its account stays locked.
bool Job::is_followed_in_vain(TimePoint now) {
  if (!policy_.taken.has_value() || completed_.has_value()) return false;
  if (!unreadable_since_.has_value()) unreadable_since_ = now;
  return now - *unreadable_since_ >= longest_unreadable;
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
      if (reading_status || says_not_yet(fault)) break;
      return finish_with_fault(std::move(fault), now);
  }
  const bool is_gone = policy_.taken.has_value() && fault.cause == Cause::not_found;
  // What fal has completed is paid for, and asked for until the time is over.
  if (fault.status >= 500 || (completed_.has_value() && !is_gone)) return pause(now);
  if (!unreadable_since_.has_value()) unreadable_since_ = now;
  if (now - *unreadable_since_ < (is_gone ? policy_.longest_missing : longest_unreadable))
    return pause(now);
  Error untold{ErrorKind::upstream_failed,
               "fal no longer tells the state of the job that it had taken."};
  if (!policy_.taken.has_value()) return give_up(std::move(untold), now);
  // Who follows a job does not cancel it by himself.
  if (is_gone) {
    untold = {ErrorKind::result_expired,
              "The job was begun by an earlier request, and fal no longer has it."};
  }
  return finish_with(Fate::abandoned, std::move(untold), now);
}

// ---- The end.

// Stopped, out of time or without hope, instead of doing what the last action said.
Action Job::give_up(Error error, TimePoint now) {
  end_.given_up = error;
  if (!submitted_.has_value()) {
    // fal cancels it for who has its key.
    if (policy_.taken.has_value() && !policy_.promised && error.kind == ErrorKind::cancelled)
      return acquire_key(now);
    if (phase_ == Phase::submitting) --receipt_.submits;
    return finish_with(policy_.taken.has_value() ? Fate::abandoned : Fate::failed, std::move(error),
                       now);
  }
  if (completed_.has_value()) return fetch_late(now);
  if (policy_.promised) return finish_with(Fate::abandoned, std::move(error), now);
  cancels_.emplace(retry_policies::cancel, now);
  return cancel(now);
}

// A job may also be given up because fal no longer told of it.
bool Job::somebody_waits() const noexcept {
  return !end_.given_up.has_value() || (end_.given_up->kind != ErrorKind::cancelled &&
                                        end_.given_up->kind != ErrorKind::timed_out);
}

Action Job::fetch_late(TimePoint now) {
  probing_ = false;
  late_until_ = now + late_time;
  return fetch();
}

Action Job::cancel(TimePoint now) {
  phase_ = Phase::cancelling;
  return {.kind = Kind::cancel, .until = now + cancel_time};
}

Action Job::on_cancel(const Event& event, TimePoint now) {
  receipt_.cancelled = true;
  auto said = fal::CancelAnswer::unclear;
  if (const auto* answer = std::get_if<event::Answered>(&event)) {
    said = fal::parse_cancel(answer->head, *answer->body);
    if (said != fal::CancelAnswer::taken)
      trouble_ = fmt::format("the cancel was answered {}", answer->head.status);
  } else if (const auto* lost = std::get_if<event::NoAnswer>(&event)) {
    note_trouble(lost->error);
  }
  switch (said) {
    case fal::CancelAnswer::taken:
      return finish_with(Fate::cancelled, *end_.given_up, now);
    case fal::CancelAnswer::already_completed:
      completed_ = now;
      reads_.emplace(retry_policies::read, now);
      if (!somebody_waits()) return fetch_late(now);
      end_.given_up.reset();
      return fetch();
    case fal::CancelAnswer::unclear:
      if (cancels_->next(now).has_value()) return cancel(now);
      break;
    case fal::CancelAnswer::not_found:
      break;
  }
  return finish_with(Fate::abandoned, *end_.given_up, now);
}

void Job::abandon() {
  if (phase_ == Phase::over) return;
  phase_ = Phase::over;
  end_.fate = receipt_.submits == 0 ? Fate::none : Fate::abandoned;
  receipt_.abandoned = end_.fate == Fate::abandoned;
  end_.error = internal_error();
  end_.error.submitted = receipt_.abandoned;
  end_.error.fal_request_id = receipt_.fal_request_id;
}

// Of a result, and of what fal answers in its place: a failure may be billed.
void Job::note_units(const HttpHead& head) {
  const auto units = head.headers.find("x-fal-billable-units");
  if (!units) return;
  const Result<Json> number = Json::parse(*units);
  if (number) receipt_.billable_units = number->as_number();
}

Action Job::finish_with_result(std::shared_ptr<const std::string> body, const HttpHead& head,
                               TimePoint now) {
  phase_ = Phase::over;
  end_.fate = Fate::result;
  end_.result = std::move(body);
  note_units(head);
  if (receipt_.fal_request_id.empty()) {
    receipt_.fal_request_id = std::string(head.headers.find("x-fal-request-id").value_or(""));
  }
  if (!completed_.has_value()) completed_ = now;
  note_times(now);
  return {.kind = Kind::finished};
}

Action Job::finish_with_fault(fal::Fault fault, TimePoint now) {
  // What fal.run answers comes after the model has run; and of what fails inside of fal nobody
  // knows whether it took the job.
  const bool has_run = policy_.route == Route::run || policy_.route == Route::model_stream;
  const bool failed_inside = phase_ == Phase::submitting && fault.status >= 500 &&
                             fault.cause != Cause::ingress && fault.cause != Cause::busy;
  Error error = error_of(fault, policy_.endpoint);
  error.submitted = failed_inside || (has_run && (fault.cause == Cause::model_failed ||
                                                  fault.cause == Cause::no_media ||
                                                  fault.cause == Cause::request_timeout));
  return finish_with(Fate::failed, std::move(error), now, std::move(fault));
}

Action Job::finish_with(Fate fate, Error error, TimePoint now, std::optional<fal::Fault> fault) {
  phase_ = Phase::over;
  const bool is_at_fal = receipt_.submits > 0 || receipt_.resumed;
  end_.fate = is_at_fal ? fate : Fate::none;
  receipt_.abandoned = end_.fate == Fate::abandoned;
  if (receipt_.fal_request_id.empty() && fault.has_value()) {
    receipt_.fal_request_id = fault->request_id;
  }
  // Who stopped it knows why, unless fal may go on with it.
  if (error.kind != ErrorKind::cancelled || receipt_.abandoned)
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

}  // namespace falproxy::inline v0::runs
