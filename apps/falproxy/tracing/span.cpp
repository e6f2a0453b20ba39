#include "tracing/span.hpp"

#include <algorithm>
#include <charconv>

#include "base/fmt.hpp"
#include "serving/reactor.hpp"
#include "tracing/tracer.hpp"

namespace falproxy::app {

using serving::Reactor;

namespace {

// W3C Trace Context, 3.3.1.5: so much of tracestate has to be handed on.
constexpr std::size_t longest_state = 512;

// Lower-case digits only.
template <class Number>
bool read_hex(std::string_view text, Number& number) {
  const bool is_hex = std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (!is_hex) return false;
  return std::from_chars(text.data(), text.data() + text.size(), number, 16).ec == std::errc();
}

}  // namespace

std::optional<SpanContext> parse_traceparent(std::string_view parent, std::string_view state) {
  constexpr std::size_t length = 55;  // 00-<32>-<16>-<2>
  if (parent.size() < length) return std::nullopt;
  unsigned version = 0, flags = 0;
  SpanContext context;
  const bool has_form =
      parent[2] == '-' && parent[35] == '-' && parent[52] == '-' &&
      read_hex(parent.substr(0, 2), version) && read_hex(parent.substr(3, 16), context.trace[0]) &&
      read_hex(parent.substr(19, 16), context.trace[1]) &&
      read_hex(parent.substr(36, 16), context.span) && read_hex(parent.substr(53, 2), flags);
  if (!has_form || version == 0xff) return std::nullopt;
  // A later version may say more behind it.
  if (parent.size() > length && (version == 0 || parent[length] != '-')) return std::nullopt;
  if ((context.trace[0] | context.trace[1]) == 0 || context.span == 0) return std::nullopt;
  context.sampled = (flags & 1) != 0;
  if (state.size() <= longest_state) context.state = state;
  return context;
}

std::string to_traceparent(const SpanContext& context) {
  return fmt::format("00-{:016x}{:016x}-{:016x}-{:02x}", context.trace[0], context.trace[1],
                     context.span, context.sampled ? 1 : 0);
}

std::size_t SpanRecord::bytes() const noexcept {
  std::size_t sum = sizeof *this + sizeof(SpanContext) + name.size() + context->state.size();
  for (const auto& [key, value] : attributes) {
    sum += sizeof(std::pair<std::string_view, AttributeValue>);
    if (const auto* text = std::get_if<std::string>(&value)) sum += text->size();
  }
  return sum;
}

Span::Span(Tracer& tracer, SpanRecord record) noexcept
    : tracer_(tracer), record_(std::move(record)) {}

Span::~Span() {
  record_.ended = serving::steady_now();
  tracer_.take(std::move(record_));
}

void Span::set(std::string_view name, AttributeValue value) noexcept {
  serving::safely([&] {
    if (auto* text = std::get_if<std::string>(&value); text && text->size() > longest_text) {
      text->resize(longest_text);
      text->append("...");
    }
    record_.attributes.emplace_back(name, std::move(value));
  });
}

void Span::fail(std::string_view type) noexcept {
  if (std::exchange(record_.failed, true)) return;
  serving::safely([&] { set("error.type", std::string(type)); });
}

std::shared_ptr<const SpanContext> current_span() noexcept {
  if (!Reactor::on_fiber()) return nullptr;
  return std::static_pointer_cast<const SpanContext>(Reactor::current()->carried());
}

EnteredSpan::EnteredSpan(std::shared_ptr<const SpanContext> context) noexcept {
  if (!Reactor::on_fiber()) return;
  before_ = std::exchange(Reactor::current()->carried(), std::move(context));
}

EnteredSpan::~EnteredSpan() {
  if (Reactor::on_fiber()) Reactor::current()->carried() = std::move(before_);
}

}  // namespace falproxy::app
