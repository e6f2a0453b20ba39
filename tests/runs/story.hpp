// story.hpp: a job that is stepped through its story in virtual time: no transport, no clock, no
// thread.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "falproxy/test_doubles.hpp"
#include "runs/job.hpp"

namespace falproxy::inline v0::runs {

using namespace std::chrono_literals;
using Kind = Action::Kind;

inline const char* const accepted_body =
    R"({"request_id":"r1","status_url":"https://queue.fal.run/fal-ai/flux/requests/r1/status",)"
    R"("response_url":"https://queue.fal.run/fal-ai/flux/requests/r1",)"
    R"("cancel_url":"https://queue.fal.run/fal-ai/flux/requests/r1/cancel","queue_position":3})";

inline event::Answered answered(int status, std::string body, HttpHeaders headers = {}) {
  return {HttpHead{status, std::move(headers)},
          std::make_shared<const std::string>(std::move(body))};
}
inline event::Answered accepted() { return answered(200, accepted_body); }
inline event::NoAnswer lost(TransportFault fault, bool nothing_sent = false) {
  return {TransportError{fault, "scripted", nothing_sent}};
}
inline event::StatusSaid said(fal::QueueState state) {
  fal::QueueStatus status;
  status.state = state;
  return {status};
}
inline event::KeyDenied resting(Milliseconds back_in) {
  Error error{ErrorKind::keys_resting, "all keys rest"};
  error.retry_after = back_in;
  return {error};
}
inline const event::KeyGranted key{0};
inline const event::StatusSaid in_queue = said(fal::QueueState::in_queue);
inline const event::StatusSaid in_progress = said(fal::QueueState::in_progress);
inline const event::StatusSaid completed = said(fal::QueueState::completed);
inline const event::Answered look_in_progress = answered(202, R"({"status":"IN_PROGRESS"})");
inline const event::Answered look_completed = answered(200, R"({"status":"COMPLETED"})");
inline const event::Answered result =
    answered(200, R"({"images":[]})", {{"x-fal-billable-units", "1.5"}});

// Steps one job through its story.
struct Story {
  explicit Story(Route route = Route::queue_stream, std::chrono::seconds time = 600s)
      : job({.endpoint = *fal::EndpointId::parse("fal-ai/flux/dev"),
             .queue = "https://queue.fal.run",
             .route = route,
             .max_submit_attempts = 4,
             .deadline = now + time},
            half) {}

  Kind on(const Event& event) {
    action = job.step(event, now);
    return action.kind;
  }
  /// Up to the queue's acceptance.
  Kind accept() {
    on(event::Started{});
    on(key);
    return on(accepted());
  }
  /// Does what a wait says.
  Kind wait() {
    REQUIRE(action.kind == Kind::wait);
    now = std::max(now, action.until);
    return on(event::Woken{});
  }
  void pass(TimePoint::duration time) { now += time; }
  [[nodiscard]] Milliseconds waiting() const {
    return std::chrono::duration_cast<Milliseconds>(action.until - now);
  }
  [[nodiscard]] const Error& error() { return job.end().error; }
  [[nodiscard]] Fate fate() { return job.end().fate; }

  static double a_half() { return 0.5; }
  const std::function<double()> half = a_half;
  TimePoint now = testing::VirtualClock::epoch();
  Job job;
  Action action;
};

}  // namespace falproxy::inline v0::runs
