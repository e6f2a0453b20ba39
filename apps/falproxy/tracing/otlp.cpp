#include "tracing/otlp.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>

#include "base/fmt.hpp"
#include "falproxy/json.hpp"

namespace falproxy::app {
namespace {

void append_text(std::string& out, std::string_view text) { out += Json::string(text).dump(); }

// 64-bit integers are strings in the JSON of protocol buffers.
struct ValueWriter {
  std::string& out;
  void operator()(const std::string& text) const {
    out += "{\"stringValue\":";
    append_text(out, text);
    out += '}';
  }
  void operator()(std::int64_t number) const {
    fmt::format_to(std::back_inserter(out), "{{\"intValue\":\"{}\"}}", number);
  }
  void operator()(double number) const {
    out += "{\"doubleValue\":" + Json::number(number).dump() + "}";
  }
  void operator()(bool value) const {
    fmt::format_to(std::back_inserter(out), "{{\"boolValue\":{}}}", value);
  }
};

void append_attribute(std::string& out, std::string_view name, const AttributeValue& value) {
  out += "{\"key\":";
  append_text(out, name);
  out += ",\"value\":";
  std::visit(ValueWriter{out}, value);
  out += '}';
}

template <class Attributes>
void append_attributes(std::string& out, const Attributes& attributes) {
  out += "\"attributes\":[";
  bool first = true;
  for (const auto& [name, value] : attributes) {
    if (!std::exchange(first, false)) out += ',';
    append_attribute(out, name, value);
  }
  out += ']';
}

std::int64_t unix_nanoseconds(const SpanContext& context, TimePoint when) {
  const auto began =
      std::chrono::duration_cast<std::chrono::nanoseconds>(context.wall_began.time_since_epoch());
  return (began + (when - context.began)).count();
}

void append_span(std::string& out, const SpanRecord& span) {
  const SpanContext& context = *span.context;
  fmt::format_to(std::back_inserter(out), "{{\"traceId\":\"{:016x}{:016x}\",\"spanId\":\"{:016x}\"",
                 context.trace[0], context.trace[1], context.span);
  if (!context.state.empty()) {
    out += ",\"traceState\":";
    append_text(out, context.state);
  }
  if (span.parent != 0)
    fmt::format_to(std::back_inserter(out), ",\"parentSpanId\":\"{:016x}\"", span.parent);
  out += ",\"flags\":1,\"name\":";
  append_text(out, span.name);
  fmt::format_to(std::back_inserter(out),
                 ",\"kind\":{},\"startTimeUnixNano\":\"{}\",\"endTimeUnixNano\":\"{}\",",
                 static_cast<int>(span.kind), unix_nanoseconds(context, span.began),
                 unix_nanoseconds(context, span.ended));
  append_attributes(out, span.attributes);
  if (span.failed) out += ",\"status\":{\"code\":2}";
  out += '}';
}

}  // namespace

std::string to_otlp(std::span<const SpanRecord> spans,
                    const std::vector<std::pair<std::string, std::string>>& resource) {
  std::string out;
  out.reserve(512 + spans.size() * 1024);
  out += "{\"resourceSpans\":[{\"resource\":{";
  std::vector<std::pair<std::string_view, AttributeValue>> own;
  own.reserve(resource.size() + 3);
  for (const auto& [name, value] : resource) own.emplace_back(name, value);
  own.emplace_back("telemetry.sdk.name", "falproxy");
  own.emplace_back("telemetry.sdk.language", "cpp");
  own.emplace_back("telemetry.sdk.version", FALPROXY_VERSION);
  append_attributes(out, own);
  out += "},\"scopeSpans\":[{\"scope\":{\"name\":\"falproxy\",\"version\":\"" FALPROXY_VERSION
         "\"},\"spans\":[";
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (i > 0) out += ',';
    append_span(out, spans[i]);
  }
  out += "]}]}]}";
  return out;
}

std::uint64_t refused_spans(std::string_view response) {
  const Result<Json> json = Json::parse(response);
  if (!json) return 0;
  const Json number = (*json)["partialSuccess"]["rejectedSpans"];
  std::int64_t refused = number.as_integer().value_or(0);
  if (const auto text = number.as_string())
    std::from_chars(text->data(), text->data() + text->size(), refused);
  return static_cast<std::uint64_t>(std::max<std::int64_t>(refused, 0));
}

}  // namespace falproxy::app
