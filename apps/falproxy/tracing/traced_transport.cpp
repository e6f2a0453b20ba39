#include "tracing/traced_transport.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "serving/reactor.hpp"

namespace falproxy::app {
namespace {

// Notes what passes.
class WatchedSink final : public ResponseSink {
 public:
  explicit WatchedSink(ResponseSink& to) : to_(to) {}
  bool head(HttpHead head) override {
    status = head.status;
    return to_.head(std::move(head));
  }
  bool data(std::string_view bytes) override {
    size += static_cast<std::int64_t>(bytes.size());
    return to_.data(bytes);
  }
  int status = 0;  // 0: there was no head
  std::int64_t size = 0;

 private:
  ResponseSink& to_;
};

// Queries may hold signatures.
std::string without_query(const std::string& url) { return url.substr(0, url.find('?')); }

void describe(Span& span, const HttpRequest& request, const std::optional<Url>& url,
              bool is_whole) {
  serving::safely([&] {
    span.set("http.request.method", request.method);
    if (is_whole || url)
      span.set("url.full", is_whole ? without_query(request.url) : url->origin());
    span.set("http.request.body.size", static_cast<std::int64_t>(request.content_length()));
    if (!url) return;
    span.set("server.address", url->host);
    span.set("server.port", std::int64_t{url->port});
  });
}

}  // namespace

TracedTransport::TracedTransport(Transport& inner, Tracer& tracer, const fal::Addresses& fal)
    : inner_(inner), tracer_(tracer) {
  reload(fal);
}

void TracedTransport::reload(const fal::Addresses& fal) {
  std::vector<std::string> told;
  for (const std::string& address : {fal.queue, fal.run}) {
    if (const auto url = Url::parse(address)) told.push_back(url->origin());
  }
  const std::lock_guard lock(mutex_);
  told_ = std::move(told);
}

bool TracedTransport::is_told(const std::string& origin) const {
  const std::lock_guard lock(mutex_);
  return std::ranges::find(told_, origin) != told_.end();
}

Result<Done, TransportError> TracedTransport::send(const HttpRequest& request, TimePoint deadline,
                                                   std::stop_token stop, ResponseSink& sink) {
  const std::shared_ptr<const SpanContext> parent = current_span();
  if (parent == nullptr) return inner_.send(request, deadline, std::move(stop), sink);
  const std::unique_ptr<Span> span = tracer_.begin_child(parent, SpanKind::client, request.method);
  const std::optional<Url> url = Url::parse(request.url);
  const bool is_fal = url && is_told(url->origin());
  std::optional<HttpRequest> told;
  if (is_fal) {
    const bool is_made = serving::safely([&] {
      told = request;
      told->headers.set("traceparent", to_traceparent(span ? *span->context() : *parent));
      if (!parent->state.empty()) told->headers.set("tracestate", parent->state);
    });
    if (!is_made) told.reset();
  }
  const HttpRequest& sent = told ? *told : request;
  if (span == nullptr) return inner_.send(sent, deadline, std::move(stop), sink);
  // Elsewhere the path opens a file, for anybody: fal's CDN asks for no key.
  describe(*span, request, url, is_fal || tracer_.settings().capture_content);
  WatchedSink watched(sink);
  Result<Done, TransportError> end = inner_.send(sent, deadline, std::move(stop), watched);
  if (watched.status != 0) {
    span->set("http.response.status_code", std::int64_t{watched.status});
    span->set("http.response.body.size", watched.size);
  }
  serving::safely([&] {
    if (!end && end.error().fault != TransportFault::cancelled)
      span->fail(name_of(end.error().fault));
    if (watched.status >= 400) span->fail(std::to_string(watched.status));
  });
  return end;
}

}  // namespace falproxy::app
