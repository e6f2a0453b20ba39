#include "service.hpp"

#include <algorithm>
#include <utility>

namespace falproxy::inline v0::testing {
namespace {

using nlohmann::json;

bool needs_key(Step step) {
  return step != Step::models && step != Step::document && step != Step::upload &&
         step != Step::media && step != Step::any;
}

bool takes_input(Step step) {
  return step == Step::submit || step == Step::run || step == Step::model_stream;
}

// What stands in the bundled documents until falsim knows its own address.
constexpr std::string_view no_thumbnail = "https://storage.googleapis.com/falsim/none.png";

// The same for the same text, whatever runs it (FNV-1a).
std::uint32_t number_of(std::string_view text) {
  std::uint32_t number = 2166136261;
  for (const char letter : text) number = (number ^ static_cast<unsigned char>(letter)) * 16777619;
  return number % 1'000'000;
}

/// `id:secret` out of `Key id:secret`; empty: not in that form.
std::string key_of(std::string_view authorization) {
  if (!authorization.starts_with("Key ")) return {};
  const std::string_view key = authorization.substr(4);
  const std::size_t colon = key.find(':');
  const bool good = colon != std::string_view::npos && colon > 0 && colon + 1 < key.size();
  return good ? std::string(key) : std::string();
}

}  // namespace

Service::Service(Timeline& timeline, const DeskOptions& options, const Models& models,
                 const PictureEncoder& encoder)
    : options_(options),
      models_(models),
      faults_(options.random_seed),
      answers_(timeline),
      storage_(answers_, stats_, encoder, options.picture_bytes),
      desk_(timeline, answers_, storage_, stats_, models, options),
      router_(timeline, answers_, desk_, stats_),
      platform_(options, models, answers_, desk_, storage_, stats_) {}

void Service::connect(DeskWires& wires, FalDesk::Names names) {
  wires_ = &wires;
  names_ = std::move(names);
  answers_.connect(wires);
  desk_.set_elsewhere(names_.elsewhere);
}

std::string Service::origin_of(const DeskRequest& request) const {
  // The name by which the client calls the queue is the name in the addresses that it gets, so that
  // they have one origin.
  const std::string_view host = request.header("host");
  const bool usable = request.host == DeskHost::main && !host.empty() &&
                      host.find_first_of("/\\@ ") == std::string_view::npos;
  return names_.scheme + "://" + (usable ? std::string(host) : names_.main_authority);
}

FalDesk::Admission Service::admit(const DeskRequest& head) {
  if (head.host == DeskHost::elsewhere || head.path.starts_with("/_falsim/"))
    return FalDesk::Admission::read;
  const Route where = route(head, head.host == DeskHost::run);
  const std::string key = key_of(head.header("authorization"));
  const Fault* fault = faults_.strike_early({where.step, key, where.endpoint, {}});
  if (fault == nullptr) return FalDesk::Admission::read;
  if (fault->wire == Wire::ignore_expect) return FalDesk::Admission::read_without_notice;
  if (takes_input(where.step)) desk_.remember({0, head, where, key, {}}, where.endpoint, {}, 0);
  return fault->wire == Wire::reset_unread ? FalDesk::Admission::reset : FalDesk::Admission::close;
}

void Service::gone(ExchangeId exchange) {
  answers_.forget(exchange);
  desk_.gone(exchange);
  router_.gone(exchange);
}

void Service::serve(ExchangeId exchange, const DeskRequest& request) {
  ++stats_.requests;
  if (request.host == DeskHost::elsewhere) return serve_elsewhere(exchange, request);
  if (request.path.starts_with("/_falsim/")) return serve_control(exchange, request);
  const std::string_view authorization = request.header("authorization");
  Visit visit{exchange, request, route(request, request.host == DeskHost::run),
              key_of(authorization), origin_of(request)};
  if (!visit.key.empty()) ++stats_.requests_by_key[visit.key.substr(0, visit.key.find(':'))];
  if (visit.route.step == Step::any) {
    ++stats_.unknown_paths;
    return answers_.problem(exchange, 404, "Path " + request.path + " not found", {});
  }
  // The list of models takes a key, but needs none.
  if (!needs_key(visit.route.step) && visit.route.step != Step::models && !authorization.empty()) {
    stats_.misplaced_keys.push_back(request.method + " " + request.path);
  }
  if (needs_key(visit.route.step) && !authorize(visit)) return;
  serve(visit);
}

bool Service::authorize(const Visit& visit) {
  std::string_view refusal;
  if (visit.request.header("authorization").empty()) {
    refusal = "Authentication is required to access this application.";
  } else if (visit.key.empty()) {
    refusal = "Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'.";
  } else if (!options_.keys.empty() &&
             std::ranges::find(options_.keys, visit.key) == options_.keys.end()) {
    refusal = "No user found for Key ID and Secret";
  } else {
    return true;
  }
  if (takes_input(visit.route.step)) desk_.remember(visit, visit.route.endpoint, {}, 401);
  answers_.problem(visit.exchange, 401, refusal, {});
  return false;
}

const Fault* Service::strike(const Visit& visit, std::string_view endpoint,
                             std::string_view prompt) {
  return faults_.strike({visit.route.step, visit.key, endpoint, prompt});
}

bool Service::spare(const Visit& visit, std::string_view endpoint, const Fault* fault) {
  if (fault == nullptr) return true;
  answers_.bend(visit.exchange, *fault);
  const bool input = takes_input(visit.route.step);
  if (fault->answer) {
    const Answer& answer = *fault->answer;
    if (input) desk_.remember(visit, endpoint, {}, answer.status);
    DeskReply reply{.status = answer.status, .body = Body(answer.body)};
    for (const auto& [name, value] : answer.headers) {
      const bool leads_elsewhere = value.starts_with("{elsewhere}");
      reply.headers.add(name, leads_elsewhere ? names_.elsewhere + value.substr(11) : value);
    }
    reply.headers.add("content-type", answer.content_type);
    if (answer.from_fal)
      reply.headers.add("x-fal-request-id", "00000000-0000-4000-8000-00000000fa17");
    answers_.reply(visit.exchange, std::move(reply));
    return false;
  }
  const bool breaks =
      fault->wire == Wire::reset || fault->wire == Wire::close || fault->wire == Wire::silence;
  if (!breaks || fault->processed) return true;
  if (input) desk_.remember(visit, endpoint, {}, 0);
  answers_.reply(visit.exchange, DeskReply{});  // the bend keeps it from leaving
  return false;
}

void Service::serve(const Visit& visit) {
  const Step step = visit.route.step;
  if (visit.route.wrong_method)
    return answers_.problem(visit.exchange, 405, "Method Not Allowed", {});
  if (takes_input(step)) return serve_input(visit);
  if (!visit.route.request_id.empty() && step != Step::forget) return serve_job(visit);
  if (step == Step::document) return serve_document(visit);
  const Fault* fault = strike(visit, {}, {});
  if (!spare(visit, {}, fault) || platform_.serve(visit)) return;
  switch (step) {
    case Step::upload_initiate:
      return storage_.initiate(
          visit, fault != nullptr && fault->elsewhere_upload ? names_.elsewhere : visit.origin);
    case Step::upload:
      return storage_.upload(visit);
    case Step::sign:
      return storage_.sign(visit);
    default:
      return storage_.media(visit);
  }
}

void Service::serve_input(const Visit& visit) {
  const Model* model = desk_.model_of(visit.route);
  const std::string endpoint(model == nullptr ? visit.route.endpoint : model->endpoint());
  json input = json::parse(visit.request.body, nullptr, false);
  const std::string prompt = prompt_of(input);
  if (!spare(visit, endpoint, strike(visit, endpoint, prompt))) return;
  const auto refuse = [&](int status, const json& body) {
    desk_.remember(visit, endpoint, {}, status);
    answers_.json(visit.exchange, status, body, {}, {{"x-fal-billable-units", "0"}});
  };
  if (RouterDesk::serves(visit.route.endpoint)) {
    desk_.remember(visit, endpoint, {}, 200);
    return router_.answer(visit, input);
  }
  if (model == nullptr) {
    return refuse(404, {{"detail", visit.route.step == Step::model_stream
                                       ? "Path /stream not found"
                                       : "Application '" + endpoint + "' not found"}});
  }
  if (input.is_discarded())
    return refuse(400, {{"detail", "The body is not JSON"}, {"error_type", "bad_request"}});
  if (options_.validation == Validation::submit) {
    if (json faults = validate(*model, input); !faults.empty())
      return refuse(422, {{"detail", std::move(faults)}});
  }
  const JobChange change = faults_.job_change({visit.route.step, visit.key, endpoint, prompt});
  if (visit.route.step == Step::submit)
    return desk_.submit(visit, *model, std::move(input), change);
  desk_.run(visit, *model, std::move(input), change);
}

void Service::serve_job(const Visit& visit) {
  std::shared_ptr<Job> job = desk_.find(visit.route);
  if (job != nullptr && job->key != visit.key) {
    ++stats_.foreign_keys;
    job = nullptr;
  }
  const std::string_view endpoint = job == nullptr ? std::string_view() : job->model->endpoint();
  const std::string_view prompt = job == nullptr ? std::string_view() : job->prompt;
  if (!spare(visit, endpoint, strike(visit, endpoint, prompt))) return;
  if (job == nullptr) {
    if (visit.route.step == Step::cancel) ++stats_.cancels_unknown;
    return answers_.json(visit.exchange, 404, {{"status", "NOT_FOUND"}}, {});
  }
  switch (visit.route.step) {
    case Step::status:
      return desk_.status(visit, job);
    case Step::status_stream:
      return desk_.status_stream(visit, job);
    case Step::cancel:
      return desk_.cancel(visit, job);
    default:
      return desk_.result(visit, job);
  }
}

void Service::serve_document(const Visit& visit) {
  ++stats_.document_requests;
  const std::string endpoint = visit.request.parameter("endpoint_id").value_or("");
  if (!spare(visit, endpoint, strike(visit, endpoint, {}))) return;
  const Model* model = models_.find(endpoint);
  if (model == nullptr)
    return answers_.problem(visit.exchange, 404, "OpenAPI schema not available for this endpoint",
                            {});
  answers_.reply(visit.exchange, DeskReply{.headers = {{"content-type", "application/json"}},
                                           .body = with_thumbnail(*model, visit.origin)});
}

Body Service::with_thumbnail(const Model& model, const std::string& origin) const {
  std::string text = model.text().str();
  const std::size_t at = text.find(no_thumbnail);
  if (at == std::string::npos) return model.text();
  const bool small = storage_.makes(PictureFormat::jpeg);
  const Picture sample{.width = 320,
                       .height = 320,
                       .format = small ? PictureFormat::jpeg : PictureFormat::png,
                       .variant = number_of(model.endpoint())};
  return Body(text.replace(at, no_thumbnail.size(), Storage::address(origin, "sample", 0, sample)));
}

void Service::serve_elsewhere(ExchangeId exchange, const DeskRequest& request) {
  ++stats_.elsewhere;
  if (!request.header("authorization").empty()) {
    stats_.misplaced_keys.push_back("elsewhere: " + request.method + " " + request.path);
  }
  // It answers as a good host would: who comes here is not to notice by a failure.
  if (request.path.ends_with(".png")) {
    return answers_.reply(exchange,
                          DeskReply{.headers = {{"content-type", "image/png"}},
                                    .body = storage_.picture({.width = 64, .height = 64})});
  }
  answers_.json(exchange, 200, {{"status", "COMPLETED"}, {"images", json::array()}}, {});
}

DeskStats Service::stats() const {
  DeskStats stats = stats_;
  wires_->count(stats);
  stats.connections -= counted_before_.connections;
  stats.broken_requests -= counted_before_.broken_requests;
  stats.faults = faults_.struck();
  return stats;
}

void Service::reset_stats() {
  DeskStats fresh;
  fresh.in_queue = stats_.in_queue;
  fresh.in_progress = stats_.in_progress;
  fresh.streams_open = stats_.streams_open;
  stats_ = std::move(fresh);
  faults_.forget_counts();
  wires_->count(counted_before_);
}

}  // namespace falproxy::inline v0::testing
