// fal's own API: fal's clients with this server's keys, limits, accounts and budgets.

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/executor.hpp"
#include "falproxy/fal.hpp"
#include "falproxy/openai.hpp"
#include "handlers/fal_target.hpp"
#include "handlers/handlers.hpp"
#include "handlers/wish_call.hpp"
#include "native_jobs.hpp"
#include "passage.hpp"
#include "serving/reactor.hpp"

namespace falproxy::app {

using serving::Request;
using serving::Response;

namespace {

using Kind = FalTarget::Kind;

constexpr std::size_t longest_queue_answer = 8u << 20;

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

Response not_found() {
  Response response = json_answer(std::string(R"({"status":"NOT_FOUND"})"));
  response.status = 404;
  return response;
}

Error no_room() {
  return {.kind = ErrorKind::overloaded, .message = "The server has no room left."};
}

serving::FiberClock& fiber_clock() {
  static serving::FiberClock clock;
  return clock;
}

// A job that was let in, and what the fiber beside learns of it.
struct NativeJob {
  bool is_submit = false;
  std::string endpoint;
  Payer payer;
  std::optional<Reservation> reservation = {};  // none: not yet
  int status = 0;
  std::optional<double> units = {};
  std::string fal_request_id = {};
  std::string account = {};
  std::shared_ptr<const KeyLease> place = {};  // until the job ends
  std::optional<Usd> cost = {};
};

void settle(NativeJob& job, Budgets& budgets, bool billed) {
  if (!job.reservation) return;
  job.cost = budgets.settle(job.payer, *job.reservation,
                            {.endpoint = job.endpoint,
                             .units = job.units,
                             .may_be_billed = billed,
                             .fal_request_id = job.fal_request_id});
}

Passage::Watch watch_of(const std::shared_ptr<NativeJob>& job, Budgets& budgets) {
  return {.head =
              [job](const HttpHead& head) {
                job->status = head.status;
                job->units = units_in(head);
                job->fal_request_id = head.headers.find("x-fal-request-id").value_or("");
              },
          .end =
              [job, &budgets](const Result<Forwarded>& how) {
                if (how) job->account = how->account;
                if (how && job->is_submit) job->place = how->place;
                const bool accepted = job->status > 0 && job->status < 400;
                // What the queue has taken is settled with its result.
                if (job->is_submit && accepted) return;
                // A run may have run before its input was refused.
                const bool taken = job->status == 0
                                       ? !how && how.error().submitted
                                       : accepted || (job->status == 422 && !job->is_submit);
                settle(*job, budgets, may_be_billed(taken, job->status));
              }};
}

// A job that is looked at, fetched or cancelled: with the key that submitted it.
class JobRead {
 public:
  JobRead(Call& call, const FalTarget& target, RunRecord record)
      : call_(call), target_(target), record_(std::move(record)) {}

  Response answer();

 private:
  // Null: there is no room.
  [[nodiscard]] std::shared_ptr<Passage> send(HttpRequest request) const;
  [[nodiscard]] bool is_queued() const;
  void settle(const HttpHead& head, bool was_queued);

  Call& call_;
  const FalTarget& target_;
  RunRecord record_;
};

std::shared_ptr<Passage> JobRead::send(HttpRequest request) const {
  const CallContext context{
      .deadline = call_.request.began() + call_.rules->settings.request_timeout,
      .stop = call_.request.stop()};
  auto passage = std::make_shared<Passage>(fiber_clock(), context.stop, Passage::Watch());
  ForwardedRequest forwarded{
      .request = std::move(request), .account = record_.jobs.front().account, .counted = false};
  if (!Passage::begin(passage, call_, std::move(forwarded), context)) return nullptr;
  return passage;
}

// Asked before a cancel: what has begun is billed.
bool JobRead::is_queued() const {
  constexpr std::string_view cancel = "/cancel";
  const std::string url = target_.url.substr(0, target_.url.find('?'));
  const auto passage =
      send({.method = "GET", .url = url.substr(0, url.size() - cancel.size()) + "/status"});
  if (passage == nullptr || !passage->head()) return false;
  const auto status =
      nlohmann::json::parse(passage->whole(longest_queue_answer).value_or(""), nullptr, false);
  return status.is_object() && status.value("status", nlohmann::json()) == "IN_QUEUE";
}

// With its end a job's cost becomes what was reserved at the submit.
void JobRead::settle(const HttpHead& head, bool was_queued) {
  std::optional<NativeJobs::End> end;
  if (target_.kind == Kind::result) end = NativeJobs::end_told_by(head);
  if (was_queued && head.status < 300) end = NativeJobs::End{.may_be_billed = false};
  NativeJobs& jobs = call_.door.parts().native_jobs;
  if (end) jobs.settle(call_.caller.client, record_, *end);
  if (end || target_.kind == Kind::cancel) jobs.look_now(target_.request_id);
}

Response JobRead::answer() {
  const bool is_held = record_.jobs.front().held.has_value();
  const bool was_queued = is_held && target_.kind == Kind::cancel && is_queued();
  const auto passage = send(request_to(call_, target_, {}));
  if (passage == nullptr) return call_.fail(no_room());
  const Result<HttpHead> head = passage->head();
  if (!head) return call_.fail(head.error());
  if (is_held) settle(*head, was_queued);
  Response response = passed_head(*head);
  const bool is_status = target_.kind == Kind::status || target_.kind == Kind::cancel;
  if (is_status && target_.is_below) {
    Result<std::string> text = passage->whole(longest_queue_answer);
    if (!text) return call_.fail(text.error());
    response.length.reset();
    response.body = Body(with_addresses_here(*std::move(text), call_));
    return response;
  }
  Passage::Rewrite rewrite;
  if (target_.kind == Kind::status_stream && target_.is_below) {
    response.length.reset();
    rewrite = [origin = origin_of(call_)](std::string_view line) { return event_at(origin, line); };
  }
  response.stream = [passage, rewrite = std::move(rewrite)](Request& out) {
    static_cast<void>(passage->write_to(out, rewrite));
  };
  return response;
}

Response read_job(Call& call, const FalTarget& target) {
  const NativeJobs& jobs = call.door.parts().native_jobs;
  Result<std::optional<RunRecord>> record = jobs.find(call.caller.client, target.request_id);
  if (!record) return call.fail(record.error());
  if (!record->has_value()) return not_found();
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
        is_job_(target_.kind != Kind::upload) {
    record_.model = std::move(model);
    passes_on_ = true;
  }
  Response answer() override;

 private:
  [[nodiscard]] Quantities expected(const std::string& body);
  [[nodiscard]] std::optional<Error> reserve(const std::string& body);
  [[nodiscard]] Result<fal::Submitted> read_submitted(const std::string& text) const;
  Response submitted(Passage& passage, Response response);
  [[nodiscard]] bool keep(const std::string& fal_request_id);
  [[nodiscard]] bool cancel(const std::string& url);
  void note_job();

  Call& call_;
  const FalTarget target_;
  const bool is_job_;
  const std::shared_ptr<NativeJob> job_ = std::make_shared<NativeJob>();
};

// More than any model makes.
constexpr int most_results = 1'000'000;

// The sound that stands in the input itself; none: it is somewhere else.
std::optional<InputFile> sound_in(const Json& input, const profile::MediaInput& place,
                                  const Codecs& codecs) {
  const auto text = input[place.name].as_string();
  const auto uri = text ? media::parse_data_uri(*text) : std::nullopt;
  if (place.medium != Medium::audio || !uri) return std::nullopt;
  std::optional<std::string> bytes = codecs.decode_base64(uri->base64);
  if (!bytes) return std::nullopt;
  const auto owner = std::make_shared<const std::string>(*std::move(bytes));
  return InputFile{.owner = owner, .bytes = *owner, .medium = Medium::audio};
}

// A wish for what the model makes, in its own fields alone.
Wish wish_of(const Json& input, const profile::Profile& profile, const Codecs& codecs) {
  Wish wish{.makes = profile.makes.value_or(Medium::image)};
  for (const auto& [name, value] : input.members()) {
    if (!value.is_null()) wish.native.emplace_back(name, value);
  }
  for (const profile::MediaInput& place : profile.media) {
    if (wish.makes != Medium::text || !wish.images.empty()) break;
    if (auto sound = sound_in(input, place, codecs)) wish.images.push_back(*std::move(sound));
  }
  return wish;
}

// As the same fields would be planned at the doors of OpenAI's. Nothing is known of what fal is
// about to refuse.
Quantities NativeCall::expected(const std::string& body) {
  const CallContext call = context();
  const Result<fal::EndpointId> endpoint = fal::EndpointId::parse(target_.endpoint);
  if (!endpoint) return {};
  const auto profile = parts_.catalog.profile(*endpoint, record_.model, call.deadline, call.stop);
  if (!profile) return {.images = 1};
  return run_by_size(parts_.executor, body.size(), [&]() -> Quantities {
    const Result<Json> input = Json::parse(body, rules_->limits.json);
    if (input && input->is_object()) {
      const Wish wish = wish_of(*input, **profile, parts_.codecs);
      const Result<plan::Plan> plan =
          plan::make_plan(wish, **profile, {}, {.max_images = most_results});
      if (plan && !plan->jobs.empty()) return plan::expected_of(*plan, plan->jobs.front());
    }
    if ((*profile)->makes.value_or(Medium::image) == Medium::image) return {.images = 1};
    return {};
  });
}

std::optional<Error> NativeCall::reserve(const std::string& body) {
  if (!is_job_) return std::nullopt;
  Result<std::vector<Reservation>> reserved = parts_.budgets.reserve(
      job_->payer, {{.endpoint = target_.endpoint, .expected = expected(body)}});
  if (!reserved) return std::move(reserved).error();
  job_->reservation = std::move(reserved->front());
  return std::nullopt;
}

Response NativeCall::answer() {
  if (dry_run_) {
    return failure({.kind = ErrorKind::unsupported_parameter,
                    .message = "fal's own API is handed on as it is: there is nothing to explain.",
                    .field = "x-falproxy-explain"});
  }
  Result<std::string> body = read_text();
  if (!body) return failure(std::move(body).error());
  note_user({});
  const bool is_submit = target_.kind == Kind::submit;
  // Whoever submits it, a job that fal takes is to be known.
  if (is_submit) request_.hold_when_client_leaves(rules_->settings.request_timeout);
  job_->is_submit = is_submit;
  job_->endpoint = target_.endpoint;
  job_->payer = {.client = record_.client, .model = record_.model, .user = record_.user};
  const CallContext call = context();
  // From here on it settles what is reserved, whatever happens.
  const auto passage =
      std::make_shared<Passage>(fiber_clock(), call.stop, watch_of(job_, parts_.budgets));
  if (const auto fault = reserve(*body)) return failure(*fault);
  static_cast<void>(memory_->resize(body->size()));
  ForwardedRequest request{.request = request_to(call_, target_, *std::move(body)),
                           .counted = is_job_};
  if (!Passage::begin(passage, call_, std::move(request), call)) return failure(no_room());
  const Result<HttpHead> head = passage->head();
  if (!head) return failure(head.error());
  Response response = passed_head(*head);
  if (is_submit && head->status < 400) return submitted(*passage, std::move(response));
  streams_ = true;
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

Result<fal::Submitted> NativeCall::read_submitted(const std::string& text) const {
  const Result<fal::EndpointId> endpoint = fal::EndpointId::parse(target_.endpoint);
  if (!endpoint) return endpoint.error();
  return run_by_size(parts_.executor, text.size(), [&] {
    return fal::parse_submitted(text, *endpoint, rules_->settings.fal_queue_url);
  });
}

// Who submitted it, and with which key, is known before the client is.
Response NativeCall::submitted(Passage& passage, Response response) {
  Result<std::string> text = passage.whole(longest_queue_answer);
  Result<fal::Submitted> job = text ? read_submitted(*text) : text.error();
  if (!job) {
    Error error = std::move(job).error();
    error.submitted = true;
    settle(*job_, parts_.budgets, may_be_billed(true, 0));
    note_job();
    return failure(std::move(error));
  }
  job_->fal_request_id = job->request_id;
  if (!keep(job->request_id)) {
    const bool goes_on = !cancel(job->cancel_url);
    settle(*job_, parts_.budgets, may_be_billed(goes_on, 0));
    note_job();
    return failure({.kind = ErrorKind::overloaded,
                    .message = goes_on ? "Whose job it is cannot be noted now, and it could not be "
                                         "cancelled: it may be billed."
                                       : "Whose job it is cannot be noted now, so that it was "
                                         "cancelled. Try again.",
                    .retry_after = goes_on ? std::nullopt : std::optional<Milliseconds>(Seconds(5)),
                    .submitted = goes_on});
  }
  note_job();
  response.length.reset();
  response.body =
      Body(target_.is_below ? with_addresses_here(*std::move(text), call_) : *std::move(text));
  record_.answer_bytes = response.body.size();
  done(response.status, nullptr);
  return response;
}

bool NativeCall::keep(const std::string& fal_request_id) {
  RunRecord record{.user = record_.user, .served_model = record_.model};
  RunJob job{.state = RunState::accepted,
             .endpoint = target_.endpoint,
             .request_id = fal_request_id,
             .account = job_->account};
  if (job_->reservation) {
    job.held = job_->reservation->held;
    job.held_on = job_->reservation->day;
  }
  record.jobs.push_back(std::move(job));
  return parts_.native_jobs.begin(record_.client, std::move(record), std::move(job_->place));
}

// A job that nobody could ask for. False: it may go on.
bool NativeCall::cancel(const std::string& url) {
  const CallContext call = context();
  const auto passage = std::make_shared<Passage>(fiber_clock(), call.stop, Passage::Watch());
  ForwardedRequest request{
      .request = {.method = "PUT", .url = url}, .account = job_->account, .counted = false};
  if (!Passage::begin(passage, call_, std::move(request), call)) return false;
  const Result<HttpHead> head = passage->head();
  return head && head->status < 300;
}

void NativeCall::note_job() {
  if (!is_job_) return;
  record_.receipt.served_model = record_.model;
  record_.receipt.jobs = {
      {.fal_request_id = job_->fal_request_id,
       .endpoint = target_.endpoint,
       .submits = 1,
       .accepted = job_->status > 0 && job_->status < 400,
       .billable_units = job_->units,
       .estimate = job_->reservation ? job_->reservation->estimate : std::nullopt,
       .cost = job_->cost}};
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
