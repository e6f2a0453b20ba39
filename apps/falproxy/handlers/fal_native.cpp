// fal's own API: fal's clients with this server's keys, limits, accounts and budgets.

#include <algorithm>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/openai.hpp"
#include "handlers/fal_target.hpp"
#include "handlers/handlers.hpp"
#include "handlers/wish_call.hpp"
#include "keepsakes.hpp"
#include "passage.hpp"
#include "serving/reactor.hpp"

namespace falproxy::app {

using serving::Request;
using serving::Response;

namespace {

using Kind = FalTarget::Kind;

constexpr const char* keepsake_kind = "fal";
constexpr Seconds kept_for{24 * 3600};
constexpr std::size_t longest_queue_answer = 1u << 20;

// Of what fal's clients send only what is fal's.
HttpRequest request_to(const Call& call, const FalTarget& target, std::string body) {
  HttpRequest request{.method = std::string(call.request.head().method), .url = target.url};
  if (request.method == "HEAD") request.method = "GET";
  for (const auto& [name, value] : call.request.head().fields) {
    const std::string lower = to_lower(name);
    const bool is_fals = lower.starts_with("x-fal-") || lower.starts_with("x-app-fal-");
    const bool passes = lower == "content-type" || lower == "accept" || lower == "user-agent" ||
                        (is_fals && lower != "x-fal-target-url");
    if (passes) request.headers.add(std::string(name), std::string(value));
  }
  request.body = body.empty() ? Body() : Body(std::move(body));
  return request;
}

std::optional<double> units_in(const HttpHead& head) {
  const std::string_view text = head.headers.find("x-fal-billable-units").value_or("");
  double units = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), units);
  if (text.empty() || fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return units;
}

RunId keepsake_id(const std::string& fal_request_id, const Codecs& codecs) {
  return run_id_of("fal request " + fal_request_id, codecs);
}

Response not_found() {
  Response response = json_answer(std::string(R"({"status":"NOT_FOUND"})"));
  response.status = 404;
  return response;
}

// What is known of a job's answer on the fiber beside.
struct Seen {
  int status = 0;
  std::optional<double> units;
  std::string fal_request_id;
  std::string account;
  std::optional<Usd> cost;
};

void see(Seen& seen, const HttpHead& head) {
  seen.status = head.status;
  seen.units = units_in(head);
  seen.fal_request_id = head.headers.find("x-fal-request-id").value_or("");
}

// A job that is looked at, fetched or cancelled: with the key that submitted it.
class JobRead {
 public:
  JobRead(Call& call, const FalTarget& target, RunRecord record)
      : call_(call), target_(target), record_(std::move(record)) {}

  Response answer();

 private:
  // What the result cost becomes what was reserved at the submit.
  [[nodiscard]] Passage::Watch watch() const;

  Call& call_;
  const FalTarget& target_;
  const RunRecord record_;
};

Passage::Watch JobRead::watch() const {
  if (target_.kind != Kind::result || !record_.jobs.front().held) return {};
  const Door::Parts& parts = call_.door.parts();
  return {.head = [&budgets = parts.budgets, record = record_,
                   client = call_.caller.client](const HttpHead& head) {
    const RunJob& job = record.jobs.front();
    const std::optional<double> units = units_in(head);
    if (!units && head.status != 200) return;
    static_cast<void>(budgets.settle(
        {.client = client, .model = record.served_model, .user = record.user},
        {.held = *job.held, .day = job.held_on, .restored = true},
        {.endpoint = job.endpoint, .units = units, .fal_request_id = job.request_id}));
  }};
}

Response JobRead::answer() {
  static serving::FiberClock clock;
  const Settings& settings = call_.rules->settings;
  const CallContext context{.deadline = call_.request.began() + settings.request_timeout,
                            .stop = call_.request.stop()};
  const auto passage = std::make_shared<Passage>(clock, context.stop, watch());
  ForwardedRequest request{.request = request_to(call_, target_, {}),
                           .account = record_.jobs.front().account,
                           .counted = false};
  if (!Passage::begin(passage, call_, std::move(request), context))
    return call_.fail({.kind = ErrorKind::overloaded, .message = "The server has no room left."});
  const Result<HttpHead> head = passage->head();
  if (!head) return call_.fail(head.error());
  Response response = passed_head(*head);
  const bool is_status = target_.kind == Kind::status || target_.kind == Kind::cancel;
  if (is_status && target_.is_below) {
    response.length.reset();
    response.body = Body(with_addresses_here(passage->whole(longest_queue_answer), call_));
    return response;
  }
  response.stream = [passage](Request& out) { static_cast<void>(passage->write_to(out)); };
  return response;
}

Response read_job(Call& call, const FalTarget& target) {
  const Door::Parts& parts = call.door.parts();
  const Keepsakes keepsakes(parts.store, keepsake_kind);
  Result<std::optional<RunRecord>> record =
      keepsakes.find(call.caller.client, keepsake_id(target.request_id, parts.codecs));
  if (!record) return call.fail(record.error());
  if (!record->has_value() || (*record)->jobs.empty()) return not_found();
  return JobRead(call, target, **std::move(record)).answer();
}

// A submit, a run or an upload that was let in.
class NativeCall final : public WishCall {
 public:
  NativeCall(Call& call, FalTarget target, std::string model, Door::Admission admission,
             bool dry_run)
      : WishCall(call, Medium::image, std::move(admission), dry_run),
        call_(call),
        target_(std::move(target)),
        is_job_(target_.kind != Kind::upload),
        keepsakes_(parts_.store, keepsake_kind) {
    record_.model = std::move(model);
  }
  Response answer() override;

 private:
  [[nodiscard]] Quantities expected(const std::string& body);
  [[nodiscard]] std::optional<Error> reserve(const std::string& body);
  [[nodiscard]] Passage::Watch watch();
  Response submitted(Passage& passage, Response response);
  void note_job();

  Call& call_;
  const FalTarget target_;
  const bool is_job_;
  const Keepsakes keepsakes_;
  Payer payer_;
  std::optional<Reservation> reservation_;
  std::shared_ptr<Seen> seen_ = std::make_shared<Seen>();
};

// As if it were a request for pictures with native fields alone.
Quantities NativeCall::expected(const std::string& body) {
  Result<Wish> wish =
      openai::parse_json(Intent::generation, body, rules_->limits, parts_.codecs, &parts_.memory);
  if (wish) {
    wish->model = record_.model;
    const Result<plan::Plan> plan = parts_.runner.plan(*wish, context());
    if (plan && !plan->jobs.empty()) return plan::expected_of(*plan, plan->jobs.front());
  }
  return {.images = 1};
}

std::optional<Error> NativeCall::reserve(const std::string& body) {
  if (!is_job_) return std::nullopt;
  payer_ = {.client = record_.client, .model = record_.model, .user = record_.user};
  Result<std::vector<Reservation>> reserved =
      parts_.budgets.reserve(payer_, {{.endpoint = target_.endpoint, .expected = expected(body)}});
  if (!reserved) return std::move(reserved).error();
  reservation_ = std::move(reserved->front());
  return std::nullopt;
}

Passage::Watch NativeCall::watch() {
  const bool is_submit = target_.kind == Kind::submit;
  return {.head = [seen = seen_](const HttpHead& head) { see(*seen, head); },
          .end =
              [seen = seen_, &budgets = parts_.budgets, payer = payer_, reservation = reservation_,
               endpoint = target_.endpoint, is_submit](const Result<Forwarded>& how) {
                if (how) seen->account = how->account;
                if (!reservation) return;
                const bool refused =
                    seen->status >= 400 || (seen->status == 0 && !how && !how.error().submitted);
                // What the queue has taken is settled with its result.
                if (is_submit && !refused) return;
                seen->cost = budgets.settle(payer, *reservation,
                                            {.endpoint = endpoint,
                                             .units = seen->units,
                                             .may_be_billed = !refused,
                                             .fal_request_id = seen->fal_request_id});
              }};
}

Response NativeCall::answer() {
  static serving::FiberClock clock;
  if (dry_run_) {
    return failure({.kind = ErrorKind::unsupported_parameter,
                    .message = "fal's own API is handed on as it is: there is nothing to explain.",
                    .field = "x-falproxy-explain"});
  }
  Result<std::string> body = read_text();
  if (!body) return failure(std::move(body).error());
  note_user({});
  if (const auto fault = reserve(*body)) return failure(*fault);
  static_cast<void>(memory_->resize(body->size()));
  const CallContext call = context();
  const auto passage = std::make_shared<Passage>(clock, call.stop, watch());
  ForwardedRequest request{.request = request_to(call_, target_, *std::move(body)),
                           .counted = is_job_};
  if (!Passage::begin(passage, call_, std::move(request), call))
    return failure({.kind = ErrorKind::overloaded, .message = "The server has no room left."});
  const Result<HttpHead> head = passage->head();
  if (!head) return failure(head.error());
  Response response = passed_head(*head);
  if (target_.kind == Kind::submit && head->status < 400)
    return submitted(*passage, std::move(response));
  response.stream = [this, passage, status = head->status](Request& out) {
    const bool whole = passage->write_to(out);
    note_job();
    const Error fault{.kind = ErrorKind::upstream_failed,
                      .message = whole ? fmt::format("fal answered {}.", status)
                                       : std::string("The answer broke off.")};
    done(status, status >= 400 || (!whole && !out.client_left()) ? &fault : nullptr);
  };
  return response;
}

// Who submitted it, and with which key, is known before the client is.
Response NativeCall::submitted(Passage& passage, Response response) {
  std::string text = passage.whole(longest_queue_answer);
  const auto answer = nlohmann::json::parse(text, nullptr, false);
  std::string id = seen_->fal_request_id;
  if (answer.is_object() && answer.contains("request_id") && answer["request_id"].is_string())
    id = answer["request_id"].get<std::string>();
  RunRecord record{.surface = keepsake_kind, .user = record_.user, .served_model = record_.model};
  RunJob job{.state = RunState::completed,
             .endpoint = target_.endpoint,
             .request_id = id,
             .account = seen_->account};
  if (reservation_) {
    job.held = reservation_->held;
    job.held_on = reservation_->day;
  }
  record.jobs.push_back(std::move(job));
  if (!id.empty() &&
      !keepsakes_.keep(record_.client, keepsake_id(id, parts_.codecs), std::move(record), kept_for))
    parts_.log.line(LogLevel::warning, "a job of fal's own API was not noted: " + id);
  seen_->fal_request_id = id;
  note_job();
  response.length.reset();
  response.body =
      Body(target_.is_below ? with_addresses_here(std::move(text), call_) : std::move(text));
  record_.answer_bytes = response.body.size();
  done(response.status, nullptr);
  return response;
}

void NativeCall::note_job() {
  if (!is_job_) return;
  record_.receipt.served_model = record_.model;
  record_.receipt.jobs = {{.fal_request_id = seen_->fal_request_id,
                           .endpoint = target_.endpoint,
                           .submits = 1,
                           .accepted = seen_->status > 0 && seen_->status < 400,
                           .billable_units = seen_->units,
                           .estimate = reservation_ ? reservation_->estimate : std::nullopt,
                           .cost = seen_->cost}};
}

Response answer_fal(Call& call, Result<FalTarget> target) {
  if (!call.rules->settings.fal_native) {
    return call.fail({.kind = ErrorKind::unknown_url,
                      .message = "fal's own API is not served here (FAL_NATIVE)."});
  }
  if (!target) return call.fail(target.error());
  if (!target->request_id.empty()) return read_job(call, *target);
  std::string model;
  if (target->kind != Kind::upload) {
    std::optional<std::string> found = model_of(call, *target);
    if (!found) {
      return call.fail({.kind = ErrorKind::model_not_allowed,
                        .message = fmt::format("The endpoint '{}' is not served here.",
                                               target->endpoint.substr(0, 200))});
    }
    model = *std::move(found);
  }
  return answer_wish(call, BodyKind::json, [&](Door::Admission admission, bool dry_run) {
    return std::make_shared<NativeCall>(call, *std::move(target), std::move(model),
                                        std::move(admission), dry_run);
  });
}

}  // namespace

Response pass_to_fal(Call& call) { return answer_fal(call, proxied_target(call)); }
Response queue_at_fal(Call& call) { return answer_fal(call, target_below(call, false)); }
Response run_at_fal(Call& call) { return answer_fal(call, target_below(call, true)); }

}  // namespace falproxy::app
