// Input: a letter for the route, then a story: each letter is what happens next. What cannot happen
// after the job's last action becomes something that can.
#include <functional>
#include <string>

#include "law.hpp"
#include "runs/job.hpp"

using namespace falproxy;
using namespace falproxy::runs;
using namespace std::chrono_literals;
using fuzz::hold;
using Kind = Action::Kind;

namespace {

event::Answered answered(int status, std::string body, HttpHeaders headers = {}) {
  return {HttpHead{status, std::move(headers)},
          std::make_shared<const std::string>(std::move(body))};
}

// Answers of every kind, for a letter.
event::Answered answer_for(char letter) {
  const HttpHeaders of_the_queue = {{"x-fal-request-id", "r1"}};
  switch (letter) {
    case 'a':
      return answered(200, R"({"request_id":"r1","queue_position":3})");
    case 'b':
      return answered(202, R"({"status":"IN_QUEUE","queue_position":1})");
    case 'c':
      return answered(202, R"({"status":"IN_PROGRESS"})");
    case 'd':
      return answered(200, R"({"status":"COMPLETED","metrics":{"inference_time":1.5}})");
    case 'e':
      return answered(
          200, R"({"status":"COMPLETED","error":"boom","error_type":"runner_server_error"})");
    case 'f':
      return answered(200, R"({"images":[]})", {{"x-fal-billable-units", "2"}});
    case 'g':
      return answered(200, R"({"request_id":"r1","status_url":"https://evil.example/x"})");
    case 'h':
      return answered(200, R"({"status":"COMPLETED","metrics":{"inference_time":-1e300}})");
    case 'i':
      return answered(401, R"({"detail":"No user found"})");
    case 'j':
      return answered(403, R"({"detail":"User is locked. Reason: Exhausted balance."})");
    case 'k':
      return answered(403, R"({"detail":"Forbidden"})");
    case 'l':
      return answered(404, R"({"status":"NOT_FOUND"})");
    case 'm':
      return answered(
          422,
          R"({"detail":[{"loc":["body","prompt"],"msg":"m","type":"content_policy_violation"}]})",
          of_the_queue);
    case 'n':
      return answered(429, "{}", {{"Retry-After", "1"}});
    case 'o':
      return answered(429, "{}", {{"Retry-After", "99999999999999999999"}});
    case 'p':
      return answered(500, R"({"detail":"Internal Server Error"})", of_the_queue);
    case 'q':
      return answered(503, "<html>");
    case 'r':
      return answered(504, R"({"detail":"x","error_type":"request_timeout"})",
                      {{"X-Fal-Request-Timeout-Type", "user"}});
    case 's':
      return answered(302, "");
    case 't':
      return answered(400, R"({"status":"ALREADY_COMPLETED"})");
    case 'u':
      return answered(400, R"({"detail":"Request is still in progress"})", of_the_queue);
    case 'v':
      return answered(200, R"({"images":[{"url":"https://v3.fal.me)");
    case 'w':
      return answered(401, "<html>");
    case 'x':
      return answered(200, "<html>", of_the_queue);
    default:
      return answered(200, "<html>");
  }
}

Event exchange(char letter) {
  switch (letter) {
    case '1':
      return event::NoAnswer{{TransportFault::unreachable, "x", true}};
    case '2':
      return event::NoAnswer{{TransportFault::interrupted, "x", false}};
    case '3':
      return event::NoAnswer{{TransportFault::timed_out, "x", false}};
    case '4':
      return event::NoAnswer{{TransportFault::cancelled, "x", false}};
    case '5':
      return event::NoAnswer{{TransportFault::too_large, "x", false}};
    case '6':
      return event::Threw{"x"};
    default:
      return answer_for(letter);
  }
}

Event after(const Action& action, char letter) {
  if (letter == '!') return event::Stopped{};
  if (letter == '6') return event::Threw{"x"};
  switch (action.kind) {
    case Kind::acquire_key: {
      if (letter >= 'A' && letter <= 'H')
        return event::KeyGranted{static_cast<std::size_t>(letter - 'A')};
      Error denied{letter == 'o' ? ErrorKind::keys_out : ErrorKind::keys_resting, "no key"};
      denied.retry_after = letter == 'n' ? Milliseconds(900) : Milliseconds::max();
      return event::KeyDenied{denied};
    }
    case Kind::submit:
    case Kind::look:
    case Kind::fetch:
    case Kind::cancel:
      return exchange(letter);
    case Kind::hold:
      if (letter < 'A') return event::HoldDenied{};
      [[fallthrough]];
    case Kind::keep_holding: {
      const event::Answered answer = answer_for(letter);
      const auto status = fal::parse_status(*answer.body);
      if (letter < 'a' || !status) return event::HoldEnded{};
      return event::StatusSaid{*status};
    }
    case Kind::wait:
    case Kind::finished:
      break;
  }
  return event::Woken{};
}

double a_half() { return 0.5; }

// What must hold at every step.
struct Laws {
  int submits = 0;
  int cancels = 0;         // that were sent
  bool accepted = false;   // the queue said that it has the job, or may have it
  bool completed = false;  // the queue said that it has made it
  bool stopping = false;

  void see(const Action& action, const Job& job, TimePoint now, TimePoint deadline) {
    if (action.kind == Kind::submit) {
      ++submits;
      hold(!accepted, "what fal has, or may have, is never sent again");
      hold(!stopping, "nothing is sent after a stop");
    }
    if (action.kind == Kind::cancel) {
      hold(job.submitted().has_value(), "only what fal has is cancelled");
      hold(!completed, "what fal has completed is never cancelled");
      hold(cancels < 2, "a cancel is tried twice at most");
    }
    if (action.kind == Kind::wait) hold(action.until > now, "a wait takes time");
    if (stopping || now >= deadline) {
      const bool fetching = action.kind == Kind::fetch || action.kind == Kind::wait;
      hold(action.kind == Kind::cancel || action.kind == Kind::finished || (completed && fetching),
           "after the end there is only cancelling, and fetching what is completed");
    }
    accepted = accepted || job.submitted().has_value();
  }

  // Before the job hears of it.
  void hear(const Action& action, const Event& event) {
    stopping = stopping || std::holds_alternative<event::Stopped>(event);
    if (std::holds_alternative<event::Stopped>(event)) return;
    if (action.kind == Kind::cancel) ++cancels;
    if (action.kind == Kind::submit) {
      const auto* lost = std::get_if<event::NoAnswer>(&event);
      accepted = std::holds_alternative<event::Threw>(event) ||
                 (lost != nullptr && lost->error.fault != TransportFault::unreachable &&
                  !lost->error.nothing_sent);
    }
    const auto* answer = std::get_if<event::Answered>(&event);
    if (const auto* said = std::get_if<event::StatusSaid>(&event)) {
      completed = completed || said->status.state == fal::QueueState::completed;
    } else if (action.kind == Kind::look && answer != nullptr && answer->head.status < 300) {
      const auto status = fal::parse_status(*answer->body);
      completed = completed || (status && status->state == fal::QueueState::completed);
    } else if (action.kind == Kind::cancel && answer != nullptr) {
      completed = completed || fal::parse_cancel(answer->head, *answer->body) ==
                                   fal::CancelAnswer::already_completed;
    }
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 4096) return 0;
  const std::string_view story = fuzz::text(data, size);
  const std::function<double()> random = a_half;
  TimePoint now = TimePoint() + 1h;
  const TimePoint deadline = now + 600s;
  Job job({.endpoint = *fal::EndpointId::parse("fal-ai/flux/dev"),
           .queue = "https://queue.fal.run",
           .route = static_cast<Route>(static_cast<unsigned char>(story[0]) % 4),
           .max_submit_attempts = 4,
           .deadline = deadline},
          random);
  Laws laws;
  Action action = job.step(event::Started{}, now);
  laws.see(action, job, now, deadline);
  for (std::size_t i = 1; i < story.size() && action.kind != Kind::finished; ++i) {
    char letter = story[i];
    if (letter == '+' || letter == '*') {  // time passes without anything else
      now += letter == '+' ? Milliseconds(700) : Milliseconds(120'000);
      continue;
    }
    const Event event = after(action, letter);
    if (action.kind == Kind::wait && !std::holds_alternative<event::Stopped>(event))
      now = std::max(now, action.until);
    laws.hear(action, event);
    action = job.step(event, now);
    laws.see(action, job, now, deadline);
  }
  const JobReceipt& receipt = job.receipt();
  for (const std::chrono::microseconds time :
       {receipt.submit, receipt.queue, receipt.inference, receipt.result})
    hold(time >= 0ms, "no time is negative");
  hold(receipt.submits <= laws.submits, "no submit is counted that was not made");
  if (action.kind != Kind::finished) return 0;

  const JobEnd& end = job.end();
  hold((end.fate == Fate::result) == (end.result != nullptr), "a result is a result");
  hold(end.result != nullptr || !end.error.message.empty(),
       "what is no result is an error with words");
  hold(end.fate != Fate::cancelled || laws.cancels > 0, "what is cancelled was told so");
  hold(end.fate != Fate::abandoned || !laws.completed || now >= deadline || laws.stopping,
       "what fal has completed is asked for until the time is over");
  if (receipt.accepted && end.result == nullptr)
    hold(end.error.submitted, "the client must know that fal had the job");
  return 0;
}
