#include "tracing/span_exporter.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/fmt.hpp"
#include "serving/reactor.hpp"
#include "tracing/otlp.hpp"

namespace falproxy::app {
namespace {

constexpr Milliseconds first_pause{500};
constexpr std::size_t longest_answer = 64u << 10;

// OTLP/HTTP: of all failures only these are worth another attempt.
bool may_pass(int status) {
  return status == 429 || status == 502 || status == 503 || status == 504;
}

Milliseconds retry_after(const HttpHeaders& headers) {
  const std::string_view text = headers.find("retry-after").value_or("");
  int seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return Seconds(std::clamp(seconds, 0, 3600));
}

}  // namespace

void SpanExporter::run(const std::stop_token& stop) {
  const Milliseconds delay = parts_.tracer.settings().delay;
  while (!stop.stop_requested()) {
    parts_.tracer.wait(parts_.clock, parts_.clock.now() + delay, stop);
    for (auto batch = parts_.tracer.take_batch(); !batch.empty();
         batch = parts_.tracer.take_batch())
      send(batch, stop);
  }
}

void SpanExporter::send(const std::vector<SpanRecord>& batch, const std::stop_token& stop) {
  const OtelSettings& settings = parts_.tracer.settings();
  std::string why = "there is no memory";
  serving::safely([&] {
    HttpRequest request{.method = "POST", .url = settings.endpoint};
    parts_.executor.run_blocking([&] { request.body = Body(to_otlp(batch, settings.resource)); });
    request.headers.add("Content-Type", "application/json");
    for (const auto& [name, value] : settings.headers) request.headers.set(name, value);
    const TimePoint deadline = parts_.clock.now() + settings.timeout;
    Milliseconds pause = first_pause;
    while (true) {
      why = attempt(request, deadline, stop);
      if (why.empty() || !pause_) break;
      const TimePoint next = parts_.clock.now() + std::max(pause, *pause_);
      if (next >= deadline || !parts_.clock.sleep_until(next, stop)) break;
      pause *= 2;
    }
  });
  if (!why.empty()) {
    parts_.tracer.lost(batch.size());
    return warn(why);
  }
  const std::size_t refused = std::min(refused_, batch.size());
  parts_.tracer.sent(batch.size() - refused);
  parts_.tracer.lost(refused);
  if (refused > 0) warn(fmt::format("it refuses {} of {} spans", refused, batch.size()));
}

std::string SpanExporter::attempt(const HttpRequest& request, TimePoint deadline,
                                  const std::stop_token& stop) {
  const auto answer = fetch(parts_.transport, request, deadline, stop, longest_answer);
  pause_ = std::nullopt;
  if (!answer) {
    pause_ = Milliseconds(0);
    return answer.error().message;
  }
  const int status = answer->head.status;
  if (may_pass(status)) pause_ = retry_after(answer->head.headers);
  if (status < 200 || status > 299) return fmt::format("it answers {}", status);
  refused_ = static_cast<std::size_t>(refused_spans(answer->body));
  return {};
}

void SpanExporter::warn(const std::string& why) {
  if (parts_.clock.now() < warned_until_) return;
  warned_until_ = parts_.clock.now() + between_warnings;
  serving::safely([&] {
    parts_.log(LogLevel::warning,
               "traces: the collector in OTEL_EXPORTER_OTLP_ENDPOINT does not take all: " + why);
  });
}

}  // namespace falproxy::app
