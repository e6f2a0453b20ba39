// Traces of a whole falproxy over falsim, as a strict collector sees them.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "app/folder.hpp"
#include "app/served.hpp"
#include "falproxy/openssl_codecs.hpp"
#include "operations/collector.hpp"
#include "serving/flag.hpp"
#include "support/pictures.hpp"

namespace falproxy::test {
namespace {

using Variables = app::Environment;

// A batch goes out at once.
Variables traced(const Collector& collector, const Variables& more = {}) {
  Variables variables = {
      {"OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()},
      {"OTEL_BSP_SCHEDULE_DELAY", "1"},
      {"SUPPORTED_MODELS",
       "flux:fal-ai/flux/dev,try:fal-ai/image-apps-v2/virtual-try-on+fal-ai/image-apps-v2/"
       "virtual-try-on"},
  };
  for (const auto& [name, value] : more) variables[name] = value;
  return variables;
}

const falsim::FalsimOptions slow = {.queue_time = Milliseconds(50), .job_time = Milliseconds(100)};

std::string edit_of_two() {
  std::string picture;
  OpensslCodecs().encode_base64(tests::whole_png(64, 64), picture);
  const std::string image = R"({"image_url":"data:image/png;base64,)" + picture + "\"}";
  return R"({"model":"try","prompt":"secret words","n":2,"response_format":"b64_json","images":[)" +
         image + "," + image + "]}";
}

// The span of that name; there must be one.
SeenSpan named(const std::vector<SeenSpan>& spans, const std::string& name) {
  const auto found = std::ranges::find(spans, name, &SeenSpan::name);
  REQUIRE_MESSAGE(found != spans.end(), name << " in\n" << drawn(spans));
  return *found;
}

void check_tree(const std::vector<SeenSpan>& spans, const std::string& parent_of_root = "") {
  std::map<std::string, SeenSpan> by_id;
  for (const SeenSpan& span : spans) by_id[span.id] = span;
  CHECK(by_id.size() == spans.size());
  int roots = 0;
  for (const SeenSpan& span : spans) {
    const auto parent = by_id.find(span.parent);
    if (parent == by_id.end()) {
      ++roots;
      CHECK(span.parent == parent_of_root);
      continue;
    }
    const bool nests = parent->second.began <= span.began && span.ended <= parent->second.ended;
    CHECK_MESSAGE(nests, span.name << " below " << parent->second.name);
  }
  CHECK(roots == 1);
}

TEST_CASE("an edit of two pictures is one trace: each span has its parent, and times nest") {
  const Collector collector;
  const Served server(traced(collector), slow);
  server.wait_for_documents();
  const Received got = server.post("/v1/images/edits", edit_of_two());
  REQUIRE_MESSAGE(got.status == 200, got.body);
  const std::vector<SeenSpan> spans = collector.trace_with("POST /v1/images/edits");
  std::string text = drawn(spans);
  // What fal has made up.
  for (const SeenSpan& span : spans) {
    const std::string id = span.text("gen_ai.response.id");
    for (std::size_t at = text.find(id); !id.empty() && at != std::string::npos; at = text.find(id))
      text.replace(at, id.size(), "ID");
  }
  MESSAGE(text);
  check_tree(spans);
  CHECK(collector.faults() == std::vector<std::string>());
  for (const char* const name : {"map", "upload", "media"}) CHECK(named(spans, name).kind == 1);

  const std::string model = "fal-ai/image-apps-v2/virtual-try-on";
  const auto is_job = [&](const SeenSpan& span) {
    return span.name == "generate_content " + model;
  };
  CHECK(std::ranges::count_if(spans, is_job) == 2);
  for (const SeenSpan& job : spans) {
    if (!is_job(job)) continue;
    std::vector<std::string> parts;
    for (const SeenSpan& span : spans)
      if (span.parent == job.id && span.kind == 1) parts.push_back(span.name);
    std::ranges::sort(parts);
    CHECK(parts == std::vector<std::string>{"inference", "queue", "result", "submit"});
    const auto asked = [&](const std::string& method, const std::string& path) {
      return std::ranges::any_of(spans, [&](const SeenSpan& span) {
        return span.parent == job.id && span.name == method &&
               span.integer("http.response.status_code") == 200 &&
               span.text("url.full").find(path) != std::string::npos;
      });
    };
    const std::string id = job.text("gen_ai.response.id");
    CHECK_FALSE(id.empty());
    CHECK(asked("POST", "virtual-try-on"));
    CHECK(asked("GET", id + "/status/stream"));
    CHECK(asked("GET", "/requests/" + id));
    CHECK(job.text("gen_ai.request.model") == model);
    CHECK(job.text("gen_ai.provider.name") == "fal");
  }
  const SeenSpan root = named(spans, "POST /v1/images/edits");
  CHECK(root.kind == 2);
  CHECK(root.integer("http.response.status_code") == 200);
  CHECK(root.integer("gen_ai.request.choice.count") == 2);
  CHECK(root.text("gen_ai.request.model") == "try");
  CHECK(root.text("gen_ai.output.type") == "image");
  CHECK(root.text("falproxy.request_id") == got.header("x-request-id"));
  CHECK(root.resource.at("service.name") == Json("falproxy"));
}

TEST_CASE("no prompt, no key and no signature is in a trace, unless prompts are asked for") {
  for (const bool captures : {false, true}) {
    CAPTURE(captures);
    const Collector collector;
    const Served server(
        traced(collector, {{"OTEL_CAPTURE_CONTENT", captures ? "true" : "false"},
                           {"OTEL_EXPORTER_OTLP_HEADERS", "x-key=of%20the%20collector"}}));
    REQUIRE(server.post("/v1/images/edits", edit_of_two()).status == 200);
    static_cast<void>(collector.trace_with("POST /v1/images/edits"));
    std::string bodies;
    for (const std::string& request : collector.requests()) {
      CHECK(request.find("x-key: of the collector\r\n") != std::string::npos);
      bodies += request.substr(request.find("\r\n\r\n"));
    }
    CHECK((bodies.find("secret words") != std::string::npos) == captures);
    for (const char* const word :
         {"test-secret", "test-id", access_key.data(), "of the collector", "base64,", "?"}) {
      CAPTURE(word);
      CHECK(bodies.find(word) == std::string::npos);
    }
    CHECK(collector.faults() == std::vector<std::string>());
  }
}

TEST_CASE("a sender's trace goes on here, and at fal's queue, and nowhere else") {
  const std::string trace = "4bf92f3577b34da6a3ce929d0e0e4736";
  const Collector collector;
  const Served server(traced(collector));
  const Received got =
      server.post("/v1/images/edits", edit_of_two(),
                  "traceparent: 00-" + trace +
                      "-00f067aa0ba902b7-01\r\ntracestate: a=1\r\nTraceState: b=2\r\n");
  REQUIRE(got.status == 200);
  const std::vector<SeenSpan> spans = collector.trace_with("POST /v1/images/edits");
  check_tree(spans, "00f067aa0ba902b7");
  CHECK(spans.front().trace == trace);
  CHECK(spans.front().state == "a=1,b=2");
  const auto submits = server.sim.submits();
  REQUIRE(submits.size() == 2);
  for (const auto& submit : submits) {
    const std::string parent(submit.headers.find("traceparent").value_or(""));
    CHECK(parent.substr(0, 36) == "00-" + trace + "-");
    CHECK(submit.headers.find("tracestate") == "a=1,b=2");
    const SeenSpan* sent = nullptr;
    for (const SeenSpan& span : spans)
      if (span.id == parent.substr(36, 16)) sent = &span;
    REQUIRE(sent != nullptr);
    CHECK(sent->name == "POST");
  }
}

TEST_CASE("what a sender does not trace is not traced here, and fal is told so") {
  const Collector collector;
  const Served server(traced(collector));
  const std::string parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
  REQUIRE(
      server.post("/v1/images/generations", lighthouse, "traceparent: " + parent + "\r\n").status ==
      200);
  REQUIRE(server.get("/v1/models").status == 200);
  CHECK(collector.trace_with("GET /v1/models").size() == 1);
  for (const SeenSpan& span : collector.spans()) CHECK(span.name != "POST /v1/images/generations");
  REQUIRE(server.sim.submits().size() == 1);
  const std::string told(server.sim.submits().front().headers.find("traceparent").value_or(""));
  CHECK(told.substr(0, 36) == parent.substr(0, 36));
  CHECK(told.ends_with("-00"));
}

TEST_CASE(
    "without an endpoint, or with the SDK disabled, nothing is traced and fal is told nothing") {
  const Collector collector;
  for (const Variables& off : {Variables{}, traced(collector, {{"OTEL_SDK_DISABLED", "true"}}),
                               traced(collector, {{"OTEL_TRACES_EXPORTER", "none"}})}) {
    const Served server(off);
    REQUIRE(server
                .post("/v1/images/generations", lighthouse,
                      "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n")
                .status == 200);
    CHECK_FALSE(server.sim.submits().front().headers.find("traceparent").has_value());
    CHECK(server.get("/metrics").body.find("falproxy_spans") == std::string::npos);
  }
  CHECK(collector.requests().empty());
}

TEST_CASE("a run that outlives its request is a span of the same trace") {
  const Collector collector;
  const Served server(traced(collector), slow);
  REQUIRE(server.post("/v1/images/generations", lighthouse, "Prefer: respond-async\r\n").status ==
          202);
  const SeenSpan root =
      named(collector.trace_with("POST /v1/images/generations"), "POST /v1/images/generations");
  CHECK(root.integer("http.response.status_code") == 202);
  const std::vector<SeenSpan> spans = collector.trace_with("run");
  CHECK(named(spans, "run").parent == root.id);
  CHECK(named(spans, "generate_content fal-ai/flux/dev").parent == named(spans, "run").id);
  CHECK(named(spans, "media").parent == named(spans, "run").id);
}

TEST_CASE("what is done for MEDIA_STORE is in no trace") {
  const testing::Folder folder;
  const Collector collector;
  const Served server(traced(collector, {{"STATE_DIR", folder.at("state")},
                                         {"MEDIA_STORE", "dir:" + folder.at("media")}}),
                      slow);
  server.wait_for_documents();
  const Received got =
      server.post("/v1/images/generations",
                  R"({"model":"flux","prompt":"a lighthouse","response_format":"url"})");
  REQUIRE_MESSAGE(got.status == 200, got.body);
  const std::string address = text_at(got.body, "data.0.url");
  const std::size_t path = address.find("/media/");
  REQUIRE_MESSAGE(path != std::string::npos, address);
  // The file has been fetched from fal then, and its span would have gone out before this one's.
  CHECK(eventually([&] { return server.get(address.substr(path)).status == 200; }));
  REQUIRE(server.get("/v1/models").status == 200);
  static_cast<void>(collector.trace_with("GET /v1/models"));
  std::vector<SeenSpan> spans = collector.trace_with("POST /v1/images/generations");
  check_tree(spans);
  for (const SeenSpan& span : spans)
    CHECK(span.text("url.full").find("/files/") == std::string::npos);
}

TEST_CASE("a trace says what failed, in words that quote nobody") {
  const Collector collector;
  Served server(traced(collector));
  server.sim.add_fault({.step = falsim::Step::submit,
                        .answer = falsim::Answer{422, R"({"detail":"a lighthouse"})"}});
  const Received got = server.post("/v1/images/generations", lighthouse);
  REQUIRE(got.status >= 400);
  const std::vector<SeenSpan> spans = collector.trace_with("POST /v1/images/generations");
  CHECK(named(spans, "POST").failed);
  CHECK(named(spans, "POST").text("error.type") == "422");
  CHECK_FALSE(named(spans, "POST /v1/images/generations").text("error.type").empty());
  for (const std::string& request : collector.requests())
    CHECK(request.find("lighthouse") == std::string::npos);
}

TEST_CASE("a collector that is busy is asked again, and what it never takes is counted") {
  Collector collector;
  Served server(traced(collector));
  const auto spans_at = [&](const std::string& name) {
    const std::string metrics = server.get("/metrics").body;
    const std::size_t at = metrics.find("\nfalproxy_spans_" + name + " ");
    return at == std::string::npos ? -1 : std::stoi(metrics.substr(metrics.find(' ', at + 1)));
  };
  collector.answer_first({"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"});
  REQUIRE(server.get("/v1/models").status == 200);
  REQUIRE(collector.trace_with("GET /v1/models").size() == 1);
  CHECK(eventually([&] { return spans_at("sent_total") == 1; }));
  CHECK(spans_at("dropped_total") == 0);

  collector.answer_first({"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n",
                          "HTTP/1.1 200 OK\r\nContent-Length: 48\r\n\r\n"
                          R"({"partialSuccess":{"rejectedSpans":"1"}}        )"});
  REQUIRE(server.get("/v1/models").status == 200);
  CHECK(eventually([&] { return spans_at("dropped_total") == 1; }));
  REQUIRE(server.get("/v1/models").status == 200);
  CHECK(eventually([&] { return spans_at("dropped_total") == 2; }));
  CHECK(spans_at("sent_total") == 1);
  CHECK(eventually([&] {
    return server.log().find("the collector in OTEL_EXPORTER_OTLP_ENDPOINT") != std::string::npos;
  }));
}

TEST_CASE("a collector that is away costs a request nothing, and the queue has an end") {
  Served server({{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"},
                 {"OTEL_EXPORTER_OTLP_TIMEOUT", "60000"},
                 {"OTEL_BSP_SCHEDULE_DELAY", "1"},
                 {"OTEL_BSP_MAX_QUEUE_SIZE", "8"}});
  for (int i = 0; i < 20; ++i) REQUIRE(server.get("/v1/models").status == 200);
  // A span ends once its answer is out.
  CHECK(eventually([&] {
    const std::string metrics = server.get("/metrics").body;
    return metrics.find("\nfalproxy_spans_dropped_total 12\n") != std::string::npos &&
           metrics.find("\nfalproxy_spans_waiting 8\n") != std::string::npos;
  }));
}

TEST_CASE("what waits is sent before the server has stopped") {
  const Collector collector;
  Served server(traced(collector, {{"OTEL_BSP_SCHEDULE_DELAY", "600000"}}));
  REQUIRE(server.get("/v1/models").status == 200);
  server.service->stop(Milliseconds(1000));
  CHECK(collector.trace_with("GET /v1/models").size() == 1);
}

}  // namespace
}  // namespace falproxy::test
