#include "server/images.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "connection/http_text.hpp"
#include "falproxy/translate.hpp"
#include "server/debug_text.hpp"
#include "sse_writer.hpp"

namespace falproxy::app {
namespace {

// SDKs repeat a request 0.4 to 0.9 s after its connection was lost.
constexpr Milliseconds repeat_hold{1500};

// What a JSON text becomes at most once it is parsed: each value a node, as many as the limit on
// values lets through.
std::size_t parsed_size(std::size_t text, const JsonLimits& limits) {
  constexpr std::size_t node_per_byte = 18;
  constexpr std::size_t node = 104;
  return 2 * text + std::min(text * node_per_byte, limits.max_values * node);
}

Error no_memory() {
  return {.kind = ErrorKind::overloaded,
          .message = "The server holds as many request bodies as it may; try again later."};
}

std::optional<double> seconds_in(const RequestHead& head, std::string_view name) {
  const std::string_view text = head.find(name).value_or("");
  double seconds = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (fault != std::errc() || end != text.data() + text.size() || !(seconds > 0))
    return std::nullopt;
  return seconds;
}

// What only an answered request knows.
std::string receipt_fields(const Receipt& receipt) {
  std::string fields;
  fields.reserve(512);
  append_field(fields, "Server-Timing", server_timing(receipt));
  append_field(fields, "openai-processing-ms",
               std::to_string(std::chrono::floor<Milliseconds>(receipt.total).count()));
  if (!receipt.served_model.empty())
    append_safe_field(fields, "x-falproxy-model", receipt.served_model);
  if (!receipt.notes.empty())
    append_safe_field(fields, "x-falproxy-notes", translate::header_value(receipt.notes));
  std::string ids;
  double units = 0;
  bool billed = false;
  for (const JobReceipt& job : receipt.jobs) {
    if (!job.fal_request_id.empty()) ids.append(ids.empty() ? "" : ", ").append(job.fal_request_id);
    units += job.billable_units.value_or(0);
    billed = billed || job.billable_units.has_value();
  }
  if (!ids.empty()) append_safe_field(fields, "x-fal-request-id", ids);
  if (billed) append_field(fields, "x-fal-billable-units", fmt::format("{:g}", units));
  return fields;
}

}  // namespace

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

ImageTask::ImageTask(Server& server, Admission admission)
    : server_(server), admission_(std::move(admission)), memory_(server.body_memory()) {
  record_.request_id = admission_.request_id;
  record_.client = admission_.client;
  record_.route = admission_.route->name;
}

openai::ImageOperation ImageTask::operation() const noexcept {
  switch (admission_.route->id) {
    case RouteId::edits:
      return openai::ImageOperation::edit;
    case RouteId::variations:
      return openai::ImageOperation::variation;
    default:
      return openai::ImageOperation::generation;
  }
}

Answer ImageTask::serve(Exchange& exchange) {
  Result<openai::ImageRequest> request = read(exchange);
  if (!request) return failure(exchange, std::move(request).error());
  record_.model = request->model.value_or("");
  if (exchange.head().find("x-falproxy-explain").value_or("") == "1")
    return explain(exchange, *request);
  if (may_repeat(exchange.head())) exchange.hold_when_client_leaves(repeat_hold);
  if (request->stream) return streamed(exchange, std::move(request).value());
  return whole(exchange, std::move(request).value());
}

Result<openai::ImageRequest> ImageTask::read(Exchange& exchange) {
  const std::string_view type = exchange.head().find("content-type").value_or("");
  constexpr std::string_view form = "multipart/form-data";
  const bool is_form = equal_ignoring_case(type.substr(0, form.size()), form);
  return is_form ? read_form(exchange) : read_json(exchange);
}

Result<openai::ImageRequest> ImageTask::read_json(Exchange& exchange) {
  const Rules& rules = *admission_.rules;
  const std::size_t limit = std::min(rules.settings.max_body_bytes, max_json_bytes);
  std::string body;
  body.reserve(static_cast<std::size_t>(
      std::min<std::uint64_t>(exchange.head().content_length.value_or(0), limit)));
  bool room = true;
  const Result<Done> read = exchange.read_body(limit, [&](std::string_view bytes) {
    room = memory_.grow_to(parsed_size(body.size() + bytes.size(), rules.limits.json));
    if (room) body.append(bytes);
    return room;
  });
  record_.request_bytes = body.size();
  if (!room) return no_memory();
  if (!read) return read.error();
  if (server_.parts().log.wants(LogLevel::debug)) {
    server_.parts().log.line(LogLevel::debug,
                             fmt::format("{} {}: {}", admission_.request_id, admission_.route->name,
                                         without_base64(body)));
  }
  return openai::parse_json(operation(), body, rules.limits, server_.parts().codecs);
}

Result<openai::ImageRequest> ImageTask::read_form(Exchange& exchange) {
  const Rules& rules = *admission_.rules;
  std::vector<openai::FormPart> parts;
  std::vector<std::shared_ptr<std::string>> contents;
  std::size_t total = 0;
  bool room = true;
  const auto begin_part = [&](FormPartHead head) {
    parts.push_back({.name = std::move(head.name),
                     .file_name = head.file_name.empty() ? std::nullopt
                                                         : std::optional(std::move(head.file_name)),
                     .content_type = std::move(head.content_type),
                     .owner = nullptr,
                     .bytes = {}});
    contents.push_back(std::make_shared<std::string>());
    return true;
  };
  const auto receive = [&](std::string_view bytes) {
    total += bytes.size();
    room = memory_.grow_to(total);
    if (room && !contents.empty()) contents.back()->append(bytes);
    return room;
  };
  const Result<Done> read = exchange.read_form(rules.settings.max_body_bytes, begin_part, receive);
  record_.request_bytes = total;
  if (!room) return no_memory();
  if (!read) return read.error();
  for (std::size_t i = 0; i < parts.size(); ++i) {
    parts[i].bytes = *contents[i];
    parts[i].owner = std::move(contents[i]);
  }
  return openai::parse_form(operation(), std::move(parts), rules.limits, server_.parts().codecs);
}

CallContext ImageTask::context(Exchange& exchange) const {
  const RequestHead& head = exchange.head();
  CallContext context{
      .deadline = deadline_of(head, exchange.began(), admission_.rules->settings.request_timeout)};
  context.stop = exchange.stop();
  context.client = admission_.client;
  context.idempotency_key = head.find("idempotency-key").value_or("");
  const std::string_view count = head.find("x-stainless-retry-count").value_or("0");
  std::from_chars(count.data(), count.data() + count.size(), context.retry_count);
  context.may_repeat = may_repeat(head);
  if (context.may_repeat) {
    context.client_left = [&exchange] { return exchange.client_left(); };
    context.repeat_hold = repeat_hold;
  }
  return context;
}

Answer ImageTask::explain(Exchange& exchange, const openai::ImageRequest& request) {
  const Result<translate::FalPlan> plan = server_.parts().gateway.plan(request, context(exchange));
  if (!plan) return failure(exchange, plan.error());
  Answer answer{.fields = admission_.common_fields, .body = Body(translate::explain(*plan).dump())};
  record_.answer_bytes = answer.body.size();
  done(exchange, answer.status, nullptr);
  return answer;
}

Answer ImageTask::whole(Exchange& exchange, openai::ImageRequest request) {
  const Seconds keepalive = admission_.rules->settings.keepalive;
  if (keepalive.count() > 0) {
    exchange.start_ticking(keepalive, [&exchange, this] {
      exchange.begin_early("application/json", admission_.common_fields);
      exchange.interject(" ");
    });
  }
  Outcome outcome = server_.parts().gateway.handle(std::move(request), context(exchange));
  exchange.stop_ticking();
  record_.receipt = std::move(outcome.receipt);
  if (!outcome.response) return failure(exchange, std::move(outcome.response).error());
  Answer answer{.fields = admission_.common_fields + receipt_fields(record_.receipt),
                .body = openai::write(*outcome.response)};
  record_.answer_bytes = answer.body.size();
  done(exchange, answer.status, nullptr);
  return answer;
}

Answer ImageTask::streamed(Exchange& exchange, openai::ImageRequest request) {
  request.response_format = ResponseFormat::b64_json;
  const Result<translate::FalPlan> plan = server_.parts().gateway.plan(request, context(exchange));
  if (!plan) return failure(exchange, plan.error());
  const std::string fields =
      admission_.common_fields + "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n";
  std::string early_fields = fields;
  if (!plan->notes.empty())
    append_safe_field(early_fields, "x-falproxy-notes", translate::header_value(plan->notes));

  SseWriter writer(exchange, std::move(early_fields));
  CallContext call = context(exchange);
  call.progress = &writer;
  Outcome outcome = server_.parts().gateway.handle(std::move(request), call);
  record_.receipt = std::move(outcome.receipt);
  exchange.stop_ticking();
  // As long as nothing is out, a failure has a status of its own, which SDKs act on.
  if (!outcome.response && !exchange.began_early())
    return failure(exchange, std::move(outcome).response.error());
  Answer answer{.content_type = std::string(SseWriter::content_type),
                .fields = fields + receipt_fields(record_.receipt)};
  answer.stream = [events = events_of(exchange, outcome.response)](AnswerStream& out) {
    for (const Body& event : events) {
      if (!out.write(event)) return;
    }
  };
  return answer;
}

std::vector<Body> ImageTask::events_of(const Exchange& exchange,
                                       const Result<openai::ImageResponse>& answer) {
  std::vector<Body> events;
  if (!answer) {
    const Error error = explained(exchange, answer.error());
    events.emplace_back(openai::write_error_event(error, record_.model));
    done(exchange, openai::describe(error.kind).status, &error);
    return events;
  }
  for (const openai::ImageData& data : answer->data) {
    events.push_back(
        openai::write(openai::ImageEvent{.kind = openai::ImageEvent::Kind::completed,
                                         .operation = operation(),
                                         .b64_json = data.content,
                                         .created_at = answer->created,
                                         .size = answer->size.value_or(""),
                                         .quality = answer->quality.value_or(""),
                                         .background = answer->background.value_or(""),
                                         .output_format = answer->output_format.value_or(""),
                                         .usage = answer->usage}));
    record_.answer_bytes += events.back().size();
  }
  done(exchange, 200, nullptr);
  return events;
}

Error ImageTask::explained(const Exchange& exchange, Error error) const {
  if (error.kind == ErrorKind::cancelled && !exchange.client_left()) {
    error.kind = ErrorKind::overloaded;
    error.message = "The server is stopping.";
  }
  return error;
}

Answer ImageTask::failure(Exchange& exchange, Error error) {
  error = explained(exchange, std::move(error));
  ErrorAnswer made = error_answer(error, record_.model);
  Answer answer{.status = made.status,
                .fields = admission_.common_fields + made.fields,
                .body = Body(std::move(made.body))};
  // A failure has been through some of the way, too.
  if (record_.receipt.total.count() > 0)
    append_field(answer.fields, "Server-Timing", server_timing(record_.receipt));
  record_.answer_bytes = answer.body.size();
  done(exchange, answer.status, &error);
  return answer;
}

void ImageTask::done(const Exchange& exchange, int status, const Error* error) {
  record_.time = std::chrono::system_clock::now();
  record_.status = status;
  record_.total = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - exchange.began());
  record_.client_left = exchange.client_left();
  if (error != nullptr) {
    record_.error_code = openai::describe(error->kind).code;
    record_.error_message = error->message;
  }
  const Server::Parts& parts = server_.parts();
  const std::string& served =
      record_.receipt.served_model.empty() ? record_.model : record_.receipt.served_model;
  const auto& models = admission_.rules->settings.models;
  const bool known = std::ranges::find(models, served, &ModelRoute::name) != models.end();
  parts.metrics.record(admission_.route->id, record_, known);
  parts.log.request(std::move(record_));
}

}  // namespace falproxy::app
