#include "door.hpp"

#include <algorithm>

#include "base/finally.hpp"
#include "base/fmt.hpp"
#include "configuration.hpp"
#include "falproxy/options.hpp"
#include "serving/head.hpp"
#include "serving/reactor.hpp"
#include "spools.hpp"
#include "tracing/traced_request.hpp"

namespace falproxy::app {
namespace {

using serving::append_field;
using serving::Request;
using serving::Response;
using serving::steady_now;

// How often a list of models that has all documents is compared with the catalogue.
constexpr Milliseconds models_interval{1000};

// What asks every few seconds, and the page, would bury all else.
bool is_traced(const RouteRow& row) {
  return row.name != "/health" && row.name != "/ready" && row.name != "/metrics" && row.name != "/";
}

RateLimiter::Limits limits_of(const Settings& settings) {
  return {.rate = settings.rate_limit, .max_in_flight_per_key = settings.max_in_flight_per_key};
}

}  // namespace

Rules::Rules(Settings from, const Codecs& codecs, std::vector<StoredKey> stored)
    : settings(std::move(from)),
      access(settings, codecs, std::move(stored)),
      limits(request_limits(settings)),
      cors(settings.cors_allow_origins) {}

void append_client(CallContext& context, std::shared_ptr<const Rules> rules,
                   const std::string& client, const serving::RequestHead& head) {
  context.client = client;
  const KeyRules* const row = rules->access.rules_of(client);
  if (row == nullptr) return;
  if (!row->user_header.empty()) context.user = head.find(row->user_header).value_or("");
  if (row->models.empty()) return;
  context.may_use = [rules = std::move(rules), client](std::string_view model) {
    return rules->access.may_use(client, model);
  };
}

Response json_answer(Piece text) {
  Response response;
  response.body.append(std::move(text));
  return response;
}

Response json_answer(std::string text) { return {.body = Body(std::move(text))}; }

Response Call::fail(const Error& error) {
  told = true;
  return door.failure(request.id, row.name, error);
}

Door::Door(Parts parts, Settings settings)
    : parts_(std::move(parts)),
      started_(std::chrono::system_clock::now()),
      limiter_(limits_of(settings), parts_.peers),
      rules_(std::make_shared<const Rules>(std::move(settings), parts_.codecs,
                                           parts_.stored_keys.all())),
      models_(ModelList::make(parts_.catalog, parts_.budgets, rules_->settings, started_)) {}

std::vector<serving::Route> Door::routes(std::span<const RouteRow> table) {
  std::vector<serving::Route> routes;
  for (const RouteRow& row : table) {
    routes.push_back({row.method, row.pattern,
                      [this, &row](Request& request) { return answer(row, request); }, row.name});
  }
  return routes;
}

std::shared_ptr<const Rules> Door::rules() const {
  const std::lock_guard lock(mutex_);
  return rules_;
}

void Door::reload(Settings settings) {
  const std::lock_guard one_at_a_time(reloading_);
  take(std::move(settings));
}

void Door::keys_changed() {
  const std::lock_guard one_at_a_time(reloading_);
  take(rules()->settings);
}

void Door::take(Settings settings) {
  limiter_.reload(limits_of(settings));
  parts_.memory.set_limit(settings.max_body_memory);
  parts_.spools.set_limit(settings.max_body_memory);
  std::vector<KeyRules> rows = settings.keys;
  std::vector<StoredKey> stored = parts_.stored_keys.all();
  for (const StoredKey& key : stored) rows.push_back(key.rules);
  parts_.budgets.set_rows(std::move(rows));
  auto rules = std::make_shared<const Rules>(std::move(settings), parts_.codecs, std::move(stored));
  const std::lock_guard lock(mutex_);
  rules_ = std::move(rules);
  models_checked_ = {};
}

Gauges Door::gauges() const {
  Gauges gauges = parts_.gauges();
  gauges.now = std::chrono::system_clock::now();
  gauges.uptime = std::chrono::floor<Seconds>(gauges.now - started_);
  gauges.in_flight = in_flight_->load();
  gauges.body_memory = parts_.memory.used();
  gauges.spooled_bytes = parts_.spools.used();
  return gauges;
}

// Whoever asks while another makes it anew gets the one before.
std::shared_ptr<const ModelList> Door::models() {
  std::shared_ptr<const ModelList> list;
  std::shared_ptr<const Rules> rules;
  {
    const std::lock_guard lock(mutex_);
    const TimePoint now = steady_now();
    if (models_->is_complete() && now < models_checked_ + models_interval) return models_;
    models_checked_ = now;
    list = models_;
    rules = rules_;
  }
  if (!list->is_outdated(parts_.catalog, parts_.budgets, rules->settings) ||
      listing_.exchange(true))
    return list;
  const Finally made([this] { listing_ = false; });
  parts_.executor.run_blocking(
      [&] { list = ModelList::make(parts_.catalog, parts_.budgets, rules->settings, started_); });
  const std::lock_guard lock(mutex_);
  return models_ = list;
}

void Door::identify(Request& request, const Rules& rules) {
  if (!request.id.empty()) return;
  request.id = request_id(&request.head(), random_);
  request.fields.reserve(512);
  rules.cors.append(request.fields, &request.head());
  append_field(request.fields, "x-request-id", request.id);
}

Response Door::answer(const RouteRow& row, Request& request) {
  if (parts_.tracer == nullptr || !is_traced(row)) return let_in(row, request);
  begin_request_span(*parts_.tracer, request, row.name);
  Response response = let_in(row, request);
  describe_answer(request, response.status);
  return response;
}

Response Door::let_in(const RouteRow& row, Request& request) {
  Call call{.door = *this, .request = request, .row = row, .rules = rules()};
  const Settings& settings = call.rules->settings;
  identify(request, *call.rules);
  const bool open =
      row.whom == For::everybody || (row.whom == For::model_readers && settings.public_models);
  if (!open) {
    Result<Caller> known =
        call.rules->access.check(request.head(), std::chrono::system_clock::now());
    if (!known) return wrong_key(call, known.error());
    call.caller = std::move(known).value();
    Result<Done> allowed = Done{};
    if (row.whom == For::picture_makers) allowed = may_make_pictures(call.caller);
    if (row.whom == For::the_operator) allowed = may_see_everything(call.caller);
    if (!allowed) return call.fail(allowed.error());
  }
  Response response = row.handler(call);
  if (call.told) return response;
  parts_.metrics.count_reply(row.name, response.status);
  // Health checks and lists of models would fill the log.
  if (parts_.log.wants(LogLevel::debug)) {
    parts_.log.request({.time = std::chrono::system_clock::now(),
                        .request_id = request.id,
                        .route = row.name,
                        .status = response.status,
                        .answer_bytes = response.body.size()});
  }
  return response;
}

Response Door::failure(std::string_view request_id, std::string_view route, const Error& error) {
  Response answer = error_answer(error);
  if (speaks_fal(route)) answer.body = fal_error(error);
  parts_.metrics.count_reply(route, answer.status);
  parts_.log.request(shortened({.time = std::chrono::system_clock::now(),
                                .request_id = std::string(request_id),
                                .route = route,
                                .status = answer.status,
                                .error_code = std::string(openai::describe(error.kind).code),
                                .error_message = error.message,
                                .answer_bytes = answer.body.size()}));
  return answer;
}

Response Door::wrong_key(Call& call, const Error& error) {
  Response response = call.fail(error);
  if (error.kind != ErrorKind::invalid_access_key) return response;
  const Place place = wrong_keys_.count(call.request.head().peer, call.request.began());
  if (place != nullptr) {
    serving::FiberClock().sleep_until(call.request.began() + WrongKeys::delay, call.request.stop());
  }
  return response;
}

Response Door::refuse(Request* request, const Error& error) {
  const std::shared_ptr<const Rules> now = rules();
  if (request == nullptr) {
    const std::string id = request_id(nullptr, random_);
    Response response = failure(id, "other", error);
    now->cors.append(response.fields, nullptr);
    append_field(response.fields, "x-request-id", id);
    return response;
  }
  identify(*request, *now);
  if (request->head().method == "OPTIONS") {
    Response preflight{.status = 204, .content_type = {}};
    now->cors.append_preflight(preflight.fields, request->head());
    return preflight;
  }
  const serving::Route* const route = request->route();
  return failure(request->id, route == nullptr ? "other" : route->name, error);
}

void Door::tell(RequestRecord record, const Error* error, const Rules& rules) {
  record.time = std::chrono::system_clock::now();
  // At the end of the process a year passes on the clock (EndingClock).
  Receipt& receipt = record.receipt;
  for (std::chrono::microseconds* const phase :
       {&receipt.map, &receipt.upload, &receipt.submit, &receipt.queue, &receipt.inference,
        &receipt.result, &receipt.media, &receipt.total})
    *phase = std::min(*phase, record.total);
  if (error != nullptr) {
    record.error_code = openai::describe(error->kind).code;
    record.error_message = error->message;
  }
  record = shortened(std::move(record));
  const std::string& served =
      record.receipt.served_model.empty() ? record.model : record.receipt.served_model;
  const auto& models = rules.settings.models;
  const auto& chats = rules.settings.chat_models;
  const bool known = std::ranges::find(models, served, &ModelRoute::name) != models.end() ||
                     std::ranges::find(chats, served, &ChatRoute::name) != chats.end();
  parts_.metrics.record(record, known);
  if (!record.client.empty()) {
    // What its jobs cost was noted when they ended.
    parts_.spending.add({.day = day_of(record.time),
                         .key = record.client,
                         .model = known ? served : "",
                         .user = record.user,
                         .requests = 1,
                         .failures = record.status >= 400 ? 1U : 0U,
                         .artifacts = static_cast<std::uint64_t>(record.receipt.images)},
                        serving::steady_now() + Seconds(5), [](const Result<Done, StoreError>&) {});
  }
  parts_.log.request(std::move(record));
}

Result<Door::Admission> Door::admit(const Call& call, bool counts) {
  if (draining()) return Error{.kind = ErrorKind::overloaded, .message = "The server is stopping."};
  const int limit = call.rules->settings.max_in_flight;
  Admission admission{.in_flight = take_place(in_flight_)};
  if (in_flight_->load() > room_beside(followed_->load(), limit)) {
    return Error{
        .kind = ErrorKind::overloaded,
        .message = fmt::format("The server has {} requests in flight, and takes no more.", limit)};
  }
  if (!counts) return admission;
  std::string fields;
  const Settings& settings = call.rules->settings;
  RateLimiter::Limits limits = limits_of(settings);
  if (const KeyRules* const row = call.rules->access.rules_of(call.caller.client)) {
    if (row->rate_limit) limits.rate = row->rate_limit;
    limits.max_in_flight_per_key = row->max_in_flight.value_or(limits.max_in_flight_per_key);
  }
  serving::FiberClock clock;
  Result<Place> place = limiter_.admit_for_all(call.caller.client, clock, fields, limits);
  call.request.fields += fields;
  if (!place) return place.error();
  admission.of_client = std::move(place).value();
  return admission;
}

Place Door::follow(const std::string& client) {
  return std::make_shared<std::pair<Place, Place>>(take_place(followed_), limiter_.follow(client));
}

}  // namespace falproxy::app
