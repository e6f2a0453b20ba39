#include "tracing/traced_request.hpp"

#include <cstdint>
#include <string>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/json.hpp"
#include "serving/reactor.hpp"

namespace falproxy::app {

using serving::Request;

namespace {

Span* span_of(const Request& request) { return static_cast<Span*>(request.span.get()); }

// None if it stands twice, as the standard wants it.
std::optional<SpanContext> sender_of(const serving::RequestHead& head) {
  std::string_view parent;
  std::string state;
  for (const serving::RequestHead::Field& field : head.fields) {
    if (equal_ignoring_case(field.name, "traceparent")) {
      if (!parent.empty()) return std::nullopt;
      parent = field.value;
    } else if (equal_ignoring_case(field.name, "tracestate")) {
      if (!state.empty()) state += ',';
      state += field.value;
    }
  }
  return parse_traceparent(parent, state);
}

std::string_view operation_of(std::string_view route) {
  if (route == "/v1/embeddings") return "embeddings";
  if (route == "/v1/chat/completions" || route == "/v1/responses") return "chat";
  return "generate_content";
}

std::string_view output_of(Medium makes) {
  if (makes == Medium::audio) return "speech";
  return name_of(makes);
}

}  // namespace

void begin_request_span(Tracer& tracer, Request& request, std::string_view route) {
  serving::safely([&] {
    const std::optional<SpanContext> sender = sender_of(request.head());
    const std::shared_ptr<const SpanContext> context = tracer.begin_trace(sender);
    serving::Reactor::current()->carried() = context;
    std::shared_ptr<Span> span = tracer.begin(context, sender ? sender->span : 0, SpanKind::server,
                                              fmt::format("{} {}", request.head().method, route));
    if (span == nullptr) return;
    span->set("http.request.method", std::string(request.head().method));
    span->set("http.route", std::string(route));
    span->set("url.scheme", std::string("http"));
    // What stands in the place of a parameter may open something, as the name of a kept file does.
    span->set("url.path", std::string(route));
    span->set("network.protocol.version", fmt::format("1.{}", request.head().minor_version));
    if (const auto agent = request.head().find("user-agent"))
      span->set("user_agent.original", std::string(agent->substr(0, 200)));
    request.span = std::move(span);
  });
}

void describe_answer(Request& request, int status) {
  Span* const span = span_of(request);
  if (span == nullptr) return;
  serving::safely([&] {
    span->set("falproxy.request_id", request.id);
    span->set("http.response.status_code", std::int64_t{status});
    if (status >= 500) span->fail(std::to_string(status));
  });
}

void describe_wish(Request& request, const Tracer* tracer, const Wish& wish) {
  Span* const span = span_of(request);
  if (span == nullptr) return;
  serving::safely([&] {
    if (wish.n && *wish.n > 1) span->set("gen_ai.request.choice.count", std::int64_t{*wish.n});
    if (tracer == nullptr || !tracer->settings().capture_content || !wish.prompt) return;
    const Json message = Json::object(
        {{"role", "user"},
         {"parts", Json::array({Json::object({{"type", "text"}, {"content", *wish.prompt}})})}});
    span->set("gen_ai.input.messages", Json::array({message}).dump());
  });
}

void describe_run(Request& request, const RequestRecord& record, Medium makes) {
  Span* const span = span_of(request);
  if (span == nullptr) return;
  serving::safely([&] {
    const Receipt& receipt = record.receipt;
    span->set("falproxy.client", record.client);
    span->set("gen_ai.operation.name", std::string(operation_of(record.route)));
    span->set("gen_ai.provider.name", std::string("fal"));
    span->set("gen_ai.output.type", std::string(output_of(makes)));
    if (!record.model.empty()) span->set("gen_ai.request.model", record.model);
    if (!receipt.served_model.empty()) span->set("gen_ai.response.model", receipt.served_model);
    span->set("falproxy.files", std::int64_t{receipt.images});
    if (const auto cost = cost_of(receipt)) span->set("falproxy.cost_usd", cost->to_string());
    if (receipt.recovered) span->set("falproxy.recovered", true);
    if (record.error_code.empty()) return;
    if (record.status >= 500) return span->fail(record.error_code);
    span->set("error.type", record.error_code);
  });
}

TracedLaterRun::TracedLaterRun(Tracer* tracer,
                               const std::shared_ptr<const SpanContext>& parent) noexcept {
  if (tracer != nullptr) span_ = tracer->begin_child(parent, SpanKind::internal, "run");
  if (span_ != nullptr) entered_.emplace(span_->context());
}

}  // namespace falproxy::app
