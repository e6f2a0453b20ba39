// Which hosts are told of a trace, and what is told of an exchange.
#include "tracing/traced_transport.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "serving/flag.hpp"
#include "serving/reactor.hpp"

namespace falproxy::app {
namespace {

// Answers 200 at once, and keeps what it was asked.
class SeenTransport final : public Transport {
 public:
  [[nodiscard]] Result<Done, TransportError> send(const HttpRequest& request, TimePoint,
                                                  std::stop_token, ResponseSink& sink) override {
    requests.push_back(request);
    if (!sink.head({.status = 200, .headers = {}}) || !sink.data("body"))
      return TransportError{TransportFault::cancelled, ""};
    return Done{};
  }
  std::vector<HttpRequest> requests;
};

void on_fiber(const std::function<void()>& task) {
  const serving::Reactors reactors = serving::make_reactors({}, 1);
  REQUIRE(reactors.size() == 1);
  test::Flag done;
  serving::Reactor& reactor = *reactors.front();
  reactor.post([&] {
    static_cast<void>(reactor.spawn([&] {
      task();
      done.raise();
    }));
  });
  REQUIRE(done.wait());
}

const fal::Addresses addresses = {.queue = "https://queue.fal.run", .run = "https://fal.run"};

bool is_of_fal(const Url& url) {
  return url.origin() == addresses.queue || url.origin() == addresses.run;
}

TEST_CASE("only fal's queue and fal.run are told of a trace") {
  Tracer tracer({.endpoint = "http://collector"});
  SeenTransport inner;
  TracedTransport transport(inner, tracer, addresses);
  std::string trace;
  on_fiber([&] {
    const auto context = tracer.begin_trace({});
    trace = to_traceparent(*context).substr(0, 36);
    const EnteredSpan entered(context);
    for (const char* const url :
         {"https://queue.fal.run/fal-ai/flux/dev", "https://fal.run/fal-ai/flux/dev",
          "https://v3.fal.media/files/a.png?signature=1", "https://fal.run.example.com/",
          "http://fal.run/", "https://fal.run:444/", "https://rest.fal.ai/storage",
          "https://bucket.s3.amazonaws.com/a?X-Amz-Signature=b", "https://callback.example.com/"}) {
      static_cast<void>(fetch(transport, {.url = url}, no_deadline, {}, 1000));
    }
  });
  REQUIRE(inner.requests.size() == 9);
  for (std::size_t i = 0; i < inner.requests.size(); ++i) {
    CAPTURE(inner.requests[i].url);
    const auto told = inner.requests[i].headers.find("traceparent");
    CHECK(told.has_value() == (i < 2));
    if (told) CHECK(told->substr(0, 36) == trace);
  }
  const std::vector<SpanRecord> spans = tracer.take_batch();
  REQUIRE(spans.size() == 9);
  for (const SpanRecord& span : spans) {
    const std::map<std::string_view, AttributeValue> attributes(span.attributes.begin(),
                                                                span.attributes.end());
    const auto url = Url::parse(std::get<std::string>(attributes.at("url.full")));
    REQUIRE(url.has_value());
    CHECK(url->target == (is_of_fal(*url) ? "/fal-ai/flux/dev" : "/"));
    CHECK(std::get<std::int64_t>(attributes.at("http.response.body.size")) == 4);
  }
}

TEST_CASE("with OTEL_CAPTURE_CONTENT a span has the addresses of pictures, without their queries") {
  Tracer tracer({.endpoint = "http://collector", .capture_content = true});
  SeenTransport inner;
  TracedTransport transport(inner, tracer, addresses);
  on_fiber([&] {
    const EnteredSpan entered(tracer.begin_trace({}));
    static_cast<void>(
        fetch(transport, {.url = "https://v3.fal.media/files/a.png?b=1"}, no_deadline, {}, 1000));
  });
  const std::vector<SpanRecord> spans = tracer.take_batch();
  REQUIRE(spans.size() == 1);
  const std::map<std::string_view, AttributeValue> attributes(spans.front().attributes.begin(),
                                                              spans.front().attributes.end());
  CHECK(std::get<std::string>(attributes.at("url.full")) == "https://v3.fal.media/files/a.png");
}

TEST_CASE("outside of a trace an exchange goes through as it is") {
  Tracer tracer({.endpoint = "http://collector"});
  SeenTransport inner;
  TracedTransport transport(inner, tracer, addresses);
  const HttpRequest request{.url = "https://fal.run/a", .headers = {{"a", "b"}}};
  REQUIRE(fetch(transport, request, no_deadline, {}, 1000).has_value());
  on_fiber([&] { CHECK(fetch(transport, request, no_deadline, {}, 1000).has_value()); });
  CHECK(inner.requests == std::vector<HttpRequest>{request, request});
  CHECK(tracer.take_batch().empty());
}

TEST_CASE("a fiber begins with the span of the one that has spawned it, and ends with none") {
  Tracer tracer({.endpoint = "http://collector"});
  const auto context = tracer.begin_trace({});
  on_fiber([&] {
    CHECK(current_span() == nullptr);
    serving::FiberGroup others;
    {
      const EnteredSpan entered(context);
      CHECK(others.spawn([&] { CHECK(current_span() == context); }));
    }
    CHECK(current_span() == nullptr);
    others.wait();
    // The stack that is used again.
    CHECK(others.spawn([&] { CHECK(current_span() == nullptr); }));
    others.wait();
    CHECK(context.use_count() == 1);
  });
}

}  // namespace
}  // namespace falproxy::app
