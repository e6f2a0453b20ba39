#include "handlers/wish_call.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "falproxy/chat_router.hpp"
#include "falproxy/form_reader.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/plan.hpp"
#include "handlers/chat_passage.hpp"
#include "handlers/handlers.hpp"
#include "media_store/media_keeper.hpp"
#include "serving/head.hpp"
#include "serving/reactor.hpp"
#include "spools.hpp"
#include "tracing/traced_request.hpp"

namespace falproxy::app {

using serving::Request;
using serving::Response;

namespace {

// A JSON body may be as large as this where it carries images; RequestLimits has the limit for the
// rest of it.
constexpr std::size_t max_json_bytes = 64u << 20;
// No answer about a video has it: a video is known by an id of ours alone.
constexpr std::string_view fal_id_field = "x-fal-request-id";

std::optional<double> seconds_in(const RequestHead& head, std::string_view name) {
  const std::string_view text = head.find(name).value_or("");
  double seconds = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (fault != std::errc() || end != text.data() + text.size() || !(seconds > 0))
    return std::nullopt;
  return seconds;
}

std::string media_type(const Call& call) {
  const std::string_view value = call.field("content-type");
  return to_lower(trim(value.substr(0, value.find(';'))));
}

std::size_t most_bytes(const Call& call) {
  const std::size_t limit = call.rules->settings.max_body_bytes;
  return is_form(call) ? limit : std::min(limit, max_json_bytes);
}

std::string_view told_kind(BodyKind takes) noexcept {
  switch (takes) {
    case BodyKind::form:
      return "multipart/form-data";
    case BodyKind::json_or_form:
      return "multipart/form-data or application/json";
    case BodyKind::json:
      break;
  }
  return "application/json; with curl, add -H 'Content-Type: application/json'";
}

}  // namespace

std::size_t parsed_size(std::size_t text, const JsonLimits& limits) {
  constexpr std::size_t node_per_byte = 36;
  constexpr std::size_t node = 208;
  return 2 * text + std::min(text * node_per_byte, limits.max_values * node);
}

bool is_form(const Call& call) { return media_type(call) == "multipart/form-data"; }

std::optional<Error> fault_of_body(const Call& call, BodyKind takes) {
  const std::string type = media_type(call);
  if (std::optional<Error> fault = call.request.fault_of_coding()) return fault;
  // A body without a type is taken for JSON if the endpoint takes it: whoever forgets the type
  // means it.
  const bool json = takes != BodyKind::form && (type.empty() || type == "application/json");
  if (!json && !(is_form(call) && takes != BodyKind::json)) {
    return Error{.kind = ErrorKind::unsupported_content_type,
                 .message = fmt::format("Unsupported content type: '{}'. {} takes {}.", type,
                                        call.row.name, told_kind(takes))};
  }
  const std::uint64_t length = call.request.head().content_length.value_or(0);
  if (length > most_bytes(call)) {
    return Error{.kind = ErrorKind::body_too_large,
                 .message = fmt::format("Maximum content size limit ({}) exceeded ({} bytes).",
                                        most_bytes(call), length)};
  }
  return std::nullopt;
}

WishCall::WishCall(Call& call, Medium makes, Door::Admission admission, bool dry_run)
    : door_(call.door),
      parts_(call.door.parts()),
      request_(call.request),
      rules_(call.rules),
      makes_(makes),
      admission_(std::move(admission)),
      dry_run_(dry_run),
      is_form_(is_form(call)),
      most_bytes_(most_bytes(call)),
      memory_(std::make_shared<MemoryShare>(&parts_.memory)),
      callback_(callback_of(call)) {
  record_.request_id = request_.id;
  record_.client = call.caller.client;
  record_.route = call.row.name;
}

WishCall::~WishCall() {
  if (!streams_) return;
  try {
    const Error error{.kind = ErrorKind::internal, .message = "falproxy failed."};
    done(200, &error);
  } catch (...) {  // no memory to tell it
  }
}

std::size_t WishCall::expected_bytes() const {
  return static_cast<std::size_t>(
      std::min<std::uint64_t>(request_.head().content_length.value_or(0), most_bytes_));
}

Result<std::string> WishCall::read_text() {
  std::string body;
  body.reserve(expected_bytes());
  bool room = true;
  const Result<Done> read = request_.read_body(most_bytes_, [&](std::string_view bytes) {
    room = memory_->resize(parsed_size(body.size() + bytes.size(), rules_->limits.json));
    if (room) body.append(bytes);
    return room;
  });
  record_.request_bytes = body.size();
  if (!room) return no_memory_left();
  if (!read) return read.error();
  if (parts_.log.wants(LogLevel::debug)) {
    parts_.log.line(LogLevel::debug,
                    fmt::format("{} {}: {}", request_.id, record_.route, without_base64(body)));
  }
  return body;
}

Result<Wish> WishCall::read_wish(Intent intent) {
  Result<Wish> wish = is_form_ ? read_form(intent) : read_json(intent);
  if (!wish) return wish;
  if (std::optional<Error> fault = settle_model(*wish)) return *std::move(fault);
  return wish;
}

void WishCall::name_model(std::vector<openai::FormPart>& parts) const {
  const std::string_view deployment = request_.parameter(serving::deployment_parameter);
  if (deployment.empty()) return;
  std::erase_if(parts, [](const openai::FormPart& part) { return part.name == "model"; });
  openai::FormPart model;
  model.name = "model";
  model.owner = std::make_shared<const std::string>(deployment);
  model.bytes = *model.owner;
  parts.push_back(std::move(model));
}

Result<std::string> WishCall::with_named_model(std::string body) const {
  const std::string_view deployment = request_.parameter(serving::deployment_parameter);
  if (deployment.empty()) return body;
  return run_by_size(parts_.executor, body.size(), [&]() -> Result<std::string> {
    const Result<std::optional<router::NamedModel>> found = router::find_model(body);
    if (!found) return found.error();
    return router::with_model(body, *found, deployment);
  });
}

std::optional<Error> WishCall::settle_model(Wish& wish) const {
  name_model(wish);
  if (!wish.model) return std::nullopt;
  const std::optional<ChatModel> chat = chat_model(rules_->settings, *wish.model);
  // A name that only "*" fits is a typing error here.
  if (!chat || chat->name == "*" || (chat->name != *wish.model && parts_.catalog.find(*wish.model)))
    return std::nullopt;
  return Error{.kind = ErrorKind::invalid_value,
               .message = fmt::format("'{}' is a chat model, which makes no files: use it at "
                                      "/v1/chat/completions.",
                                      wish.model->substr(0, 200)),
               .field = "model"};
}

void WishCall::name_model(Wish& wish) const {
  const std::string_view deployment = request_.parameter(serving::deployment_parameter);
  if (!deployment.empty()) wish.model = deployment;
}

Result<Wish> WishCall::read_json(Intent intent) {
  Result<std::string> text = read_text();
  if (!text) return std::move(text).error();
  const std::string& body = *text;
  Result<Wish> wish = run_by_size(parts_.executor, body.size(), [&] {
    return openai::parse_json(intent, body, rules_->limits, parts_.codecs, &parts_.memory, makes_);
  });
  // From here on the text is not there twice.
  static_cast<void>(memory_->resize(memory_->bytes() - body.size()));
  return wish;
}

Result<std::vector<openai::FormPart>> WishCall::read_parts(openai::FormGatherer::Files files) {
  // What comes for a video or a transcript may be long; pictures are worked on in memory.
  const bool is_spooled = makes_ == Medium::video || files == openai::FormGatherer::Files::sound;
  openai::FormGatherer gatherer(rules_->limits, parts_.codecs, &parts_.memory, expected_bytes(),
                                files, is_spooled ? &parts_.spools : nullptr);
  Result<FormReader> reader = FormReader::create(field("content-type"), gatherer);
  if (!reader) return reader.error();
  Result<Done> form = Done{};
  const Result<Done> read = request_.read_body(most_bytes_, [&](std::string_view bytes) {
    record_.request_bytes += bytes.size();
    form = reader->read(bytes);
    return form.has_value();
  });
  if (!form) return form.error();
  if (!read) return read.error();
  if (Result<Done> end = reader->finish(); !end) return end.error();
  Result<std::vector<openai::FormPart>> parts =
      run_by_size(parts_.executor, record_.request_bytes, [&] { return gatherer.take(); });
  // Text of fields may be JSON, and a data URL in a model's own field is kept as it came.
  if (parts && !memory_->resize(parsed_size(gatherer.text_bytes(), rules_->limits.json) +
                                gatherer.data_url_bytes()))
    return no_memory_left();
  return parts;
}

Result<Wish> WishCall::read_form(Intent intent) {
  Result<std::vector<openai::FormPart>> parts = read_parts(openai::FormGatherer::Files::pictures);
  if (!parts) return std::move(parts).error();
  return run_by_size(parts_.executor, record_.request_bytes, [&] {
    return openai::parse_form(intent, *std::move(parts), rules_->limits, parts_.codecs,
                              &parts_.memory, makes_);
  });
}

std::optional<Error> WishCall::fault_of_callback() const {
  if (!callback_) return callback_.error();
  if (!callback_->has_value()) return std::nullopt;
  return Error{.kind = ErrorKind::unsupported_parameter,
               .message =
                   "Only the end of an asynchronous request and of a video is told. Send "
                   "'Prefer: respond-async' with a request for pictures or speech, and no "
                   "stream.",
               .field = "X-Falproxy-Callback"};
}

std::variant<Begun, Outcome> WishCall::begin(Wish wish, std::string surface,
                                             const std::string& remixed) {
  LaterCall later{.rules = rules_,
                  .admission = std::move(admission_),
                  .memory = memory_,
                  .record = record_,
                  .context = context(),
                  .run = {.surface = std::move(surface),
                          .details = to_details(*callback_, remixed),
                          .keeps_prompt = rules_->settings.keep_prompts,
                          .tells_end = callback_->has_value()}};
  later.context.client_left = {};
  return begin_later(door_, std::move(wish), std::move(later));
}

Result<RunStatus> WishCall::status_of(const Begun& begun) {
  Result<std::optional<RunStatus>> status = parts_.runner.find(record_.client, begun.id);
  if (!status) return std::move(status).error();
  if (status->has_value()) return **std::move(status);
  return Error{.kind = ErrorKind::run_not_found,
               .message = "The run has begun, and was deleted at once."};
}

Response WishCall::begin_job(Wish wish, std::string surface) {
  std::variant<Begun, Outcome> started = begin(std::move(wish), std::move(surface));
  if (auto* outcome = std::get_if<Outcome>(&started)) {
    record_.receipt = std::move(outcome->receipt);
    return failure(std::move(outcome->response).error());
  }
  const Begun& begun = std::get<Begun>(started);
  const Result<RunStatus> status = status_of(begun);
  if (!status) return failure(status.error());
  Response response = begun_answer(begun, 202, job_json(*status));
  response.fields += fmt::format("Location: /v1/falproxy/jobs/{}\r\n", job_id(begun.id));
  serving::append_field(response.fields, "Preference-Applied", "respond-async");
  return response;
}

Response WishCall::begun_answer(const Begun& begun, int status, Body body) {
  Response response{.status = status, .body = std::move(body)};
  if (begun.is_repeat) serving::append_field(response.fields, "Idempotent-Replayed", "true");
  if (begun.underway.has_value()) {
    Underway shown = *begun.underway;
    shown.fal_request_ids.clear();  // who asks by an id of ours needs none of fal's
    append_underway(response.fields, shown);
  }
  if (const std::optional<Usd> left = parts_.budgets.remaining(record_.client)) {
    serving::append_field(response.fields, "x-falproxy-budget-remaining-usd", left->to_string());
  }
  parts_.metrics.count_reply(record_.route, response.status);
  return response;
}

void WishCall::note_user(const Wish& wish) {
  describe_wish(request_, parts_.tracer, wish);
  CallContext call;
  append_client(call, rules_, record_.client, request_.head());
  const std::string user = call.user.empty() ? wish.user.value_or("") : call.user;
  record_.user = parts_.users.told_as(record_.client, user, std::chrono::system_clock::now());
  if (rules_->settings.keep_prompts && parts_.media != nullptr) prompt_ = wish.prompt;
}

void WishCall::keep(std::vector<Product>& products) {
  if (parts_.media == nullptr) return;
  const Receipt& receipt = record_.receipt;
  parts_.media->keep(products,
                     {.client = record_.client,
                      .origin = public_origin(request_.head(), rules_->settings),
                      .request_id = request_.id,
                      .model = receipt.served_model,
                      .prompt = prompt_,
                      .cost = cost_of(receipt),
                      .is_repeat = receipt.recovered},
                     record_.receipt.notes);
}

Facts WishCall::facts() const {
  Facts facts = facts_of(record_.receipt);
  if (const std::optional<Usd> left = parts_.budgets.remaining(record_.client))
    facts.emplace_back("x-falproxy-budget-remaining-usd", left->to_string());
  if (makes_ == Medium::video)
    std::erase_if(facts, [](const auto& fact) { return fact.first == fal_id_field; });
  return facts;
}

CallContext WishCall::context() {
  const RequestHead& head = request_.head();
  CallContext context{.deadline =
                          deadline_of(head, request_.began(), rules_->settings.request_timeout)};
  context.stop = request_.stop();
  append_client(context, rules_, record_.client, head);
  context.user = record_.user;
  context.idempotency_key = field("idempotency-key");
  const std::string_view count = field("x-stainless-retry-count");
  std::from_chars(count.data(), count.data() + count.size(), context.retry_count);
  context.may_repeat = may_repeat(head);
  context.client_left = [&request = request_] { return request.client_left(); };
  context.repeat_hold = repeat_hold;
  return context;
}

std::optional<Error> WishCall::fault_of_name(const std::string& model) const {
  if (parts_.catalog.find(model)) return std::nullopt;
  const bool deployed = !request_.parameter(serving::deployment_parameter).empty();
  return Error{.kind = deployed ? ErrorKind::deployment_not_found : ErrorKind::model_not_found,
               .message = fmt::format("The model '{}' does not exist.", model.substr(0, 200)),
               .field = "model"};
}

Response WishCall::pass_on(Call& call, std::string text, const ChatModel& model,
                           const std::optional<router::NamedModel>& named,
                           std::string_view operation, const std::function<Response()>& instead) {
  if (dry_run_) {
    return failure({.kind = ErrorKind::unsupported_parameter,
                    .message = "A chat model's request is handed on as it is: there is nothing to "
                               "explain.",
                    .field = "x-falproxy-explain"});
  }
  static_cast<void>(memory_->resize(text.size()));
  note_user({});
  passes_on_ = true;
  Response response = pass_to_router(
      {.call = call,
       .context = context(),
       .record = record_,
       .fail =
           [this, &instead](Error error) {
             return instead && !error.submitted ? instead() : failure(std::move(error));
           },
       .done = [this](int status, const Error* error) { done(status, error); }},
      std::move(text), model, named, operation);
  streams_ = response.stream != nullptr;
  return response;
}

std::optional<Response> WishCall::take_up(Wish& wish) {
  open_kept(wish);
  if (dry_run_) return explain(wish);
  note_user(wish);
  return std::nullopt;
}

Response WishCall::explain(const Wish& wish) {
  const LaterRun later;
  CallContext asked = context();
  if (prefers_async(request_.head())) asked.later = &later;
  const Result<plan::Plan> plan = parts_.runner.plan(wish, asked);
  if (!plan) return failure(plan.error());
  Response response = json_answer(explanation_of(*plan, parts_.budgets).dump());
  record_.answer_bytes = response.body.size();
  done(response.status, nullptr);
  return response;
}

Error WishCall::explained(Error error) const {
  const bool stops = error.kind == ErrorKind::cancelled ||
                     (error.kind == ErrorKind::timed_out && request_.stop().stop_requested());
  if (stops && !request_.client_left()) {
    error.kind = ErrorKind::overloaded;
    error.message = "The server is stopping.";
  }
  return error;
}

Response WishCall::failure(Error error) {
  error = worded(explained(std::move(error)));
  if (error.kind == ErrorKind::unknown_model &&
      !request_.parameter(serving::deployment_parameter).empty())
    error.kind = ErrorKind::deployment_not_found;
  const Facts told = facts();
  const bool ids_told =
      std::ranges::any_of(told, [](const auto& fact) { return fact.first == fal_id_field; });
  if (ids_told || makes_ == Medium::video) error.fal_request_id.clear();
  const bool once = !passes_on_ && (repeats_are_dear_ || repeats_all(field("user-agent")));
  Response response = error_answer(error, record_.model, once, makes_);
  if (speaks_fal(record_.route)) {
    response.body = fal_error(error);
    // fal's clients send what has failed with 502 to 504 again, and it may have been paid.
    if (error.submitted && response.status > 500) response.status = 500;
  }
  // A failure has been through some of the way, too.
  if (record_.receipt.total.count() > 0 || error.kind == ErrorKind::insufficient_quota)
    append_facts(response.fields, told);
  record_.answer_bytes = response.body.size();
  done(response.status, &error);
  return response;
}

void WishCall::done(int status, const Error* error) {
  streams_ = false;
  record_.status = status;
  record_.total = std::chrono::duration_cast<std::chrono::microseconds>(serving::steady_now() -
                                                                        request_.began());
  record_.client_left = request_.client_left();
  if (error != nullptr) record_.error_code = openai::describe(error->kind).code;
  describe_run(request_, record_, makes_);
  if (!dry_run_) return door_.tell(std::move(record_), error, *rules_);
  // Nobody was served and nothing failed: it is no traffic.
  record_.time = std::chrono::system_clock::now();
  if (parts_.log.wants(LogLevel::debug)) parts_.log.request(shortened(std::move(record_)));
}

TimePoint deadline_of(const RequestHead& head, TimePoint began, Seconds request_timeout) {
  double seconds = static_cast<double>(request_timeout.count());
  for (const std::string_view name :
       {"x-stainless-timeout", "x-stainless-read-timeout", "x-request-timeout"}) {
    seconds = std::min(seconds, seconds_in(head, name).value_or(seconds));
  }
  return began + Milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

bool may_repeat(const RequestHead& head) {
  return std::ranges::any_of(head.fields, [](const RequestHead::Field& field) {
    constexpr std::string_view family = "x-stainless-";
    return equal_ignoring_case(field.name.substr(0, family.size()), family) ||
           equal_ignoring_case(field.name, "idempotency-key");
  });
}

}  // namespace falproxy::app
