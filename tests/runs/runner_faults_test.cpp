// What becomes of a request where fal, a model, a transport or a listener fails.
#include <doctest/doctest.h>

#include <new>
#include <stdexcept>

#include "falproxy/runner.hpp"
#include "falproxy/thread_executor.hpp"
#include "runs/scripted_fal.hpp"

namespace falproxy {

using namespace std::chrono_literals;
using namespace testing;

TEST_CASE("why fal cannot be reached is for the operator only") {
  GatewayWorld world;
  world.fal.fault = fail_on("POST https://queue", broken(TransportFault::unreachable));
  const Outcome outcome = world.handle(request_for("flux"));
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().message == "fal could not be reached.");
  CHECK(outcome.receipt.jobs.at(0).fault == "scripted");
  world.check_closed();
}

TEST_CASE(
    "a link that fal does not give at once is asked for again, and nothing is fetched without") {
  GatewayWorld world({catalog_model("flux", "fal-ai/flux/dev")}, {.opens_files = true});
  int refused = 1;
  std::vector<std::string> fetched;
  world.fal.fault = [&](const HttpRequest& request) -> std::optional<Script> {
    if (request.url.find("/storage/files/sign") != std::string::npos) {
      if (refused-- > 0) return answer(500, "{}");
      return answer(200, R"({"signed_url":"https://v3.fal.media/files/job-1.png?signed"})");
    }
    if (request.url.find("/files/") != std::string::npos) fetched.push_back(request.url);
    return std::nullopt;
  };
  Wish wish = request_for("flux");
  wish.response_format = ResponseFormat::b64_json;
  CHECK(world.handle(std::move(wish)).response.has_value());
  const std::vector<std::string> once{"https://v3.fal.media/files/job-1.png?signed"};
  CHECK(fetched == once);

  const CallContext context{.deadline = world.clock.now() + 60s};
  std::string file;
  refused = 1;
  CHECK(world.runner.relay("https://v3.fal.media/files/job-1.png", context,
                           [&](std::string_view bytes) { return !file.append(bytes).empty(); }));
  CHECK(file == world.fal.picture);
  struct Nothing final : ResponseSink {
    bool head(HttpHead) override { return false; }
    bool data(std::string_view) override { return false; }
  } sink;
  refused = 1;
  fetched.clear();
  const auto passed =
      world.runner.pass_on("https://v3.fal.media/files/job-1.png", "", context, sink);
  REQUIRE_FALSE(passed);
  CHECK(passed.error().kind == ErrorKind::download_failed);
  CHECK(fetched.empty());
}

TEST_CASE("a transport that throws is the same error for one job and for several") {
  ThreadExecutor threads;
  for (const int n : {1, 2, 4}) {
    CAPTURE(n);
    GatewayWorld world({catalog_model("flux", "fal-ai/flux/dev")}, {}, &threads);
    world.fal.fault = [](const HttpRequest& request) -> std::optional<Script> {
      if (request.method != "POST") return std::nullopt;
      const std::string key(request.headers.find("authorization").value_or(""));
      throw std::runtime_error("no memory for " + key);
    };
    Wish request = request_for("flux");
    request.n = n;
    const Outcome outcome = world.handle(request);
    REQUIRE_FALSE(outcome.response);
    CHECK(outcome.response.error().kind == ErrorKind::internal);
    CHECK(outcome.response.error().submitted);  // it may have been sent
    CHECK(outcome.receipt.jobs.size() == static_cast<std::size_t>(n));
    for (const JobReceipt& job : outcome.receipt.jobs) {
      CHECK(job.submits == 1);
      CHECK(job.abandoned);
      CHECK(job.fault.starts_with("no memory for "));
      CHECK(job.fault.find("secret") == std::string::npos);
    }
    world.check_closed();
  }
}

TEST_CASE("a transport that throws while the result is fetched loses no result") {
  GatewayWorld world;
  world.fal.fault = [thrown = 0](const HttpRequest& request) mutable -> std::optional<Script> {
    if (request.url.ends_with("/requests/job-1") && ++thrown < 4) throw std::bad_alloc();
    return std::nullopt;
  };
  CHECK(world.handle(request_for("flux")).response);
  CHECK(world.fal.jobs.size() == 1);
  world.check_closed();
}

TEST_CASE("a listener that throws harms no job") {
  struct Thrower final : Progress {
    void queued(std::optional<int>) override { throw std::runtime_error("queued"); }
    void running() override { throw std::runtime_error("running"); }
  } listener;
  GatewayWorld world;
  CHECK(world.handle(request_for("flux"), {.progress = &listener}).response);
  world.check_closed();
}

TEST_CASE("when one of several jobs fails, the others run to their end") {
  GatewayWorld world;
  world.fal.fault = fail_result(answer(
      422,
      R"({"detail":[{"loc":["body","prompt"],"msg":"m","type":"content_policy_violation"}]})"));
  Wish request = request_for("flux");
  request.n = 3;
  const Outcome outcome = world.handle(request);
  CHECK(outcome.receipt.jobs.size() == 3);
  CHECK(world.fal.count_fetched() == 2);
  CHECK(world.fal.count_cancelled() == 0);
  const Runner::Counters counters = world.runner.counters();
  CHECK(counters.results == 2);
  CHECK(counters.failures == 1);
  world.check_closed();
}

TEST_CASE("fal's 422 names the OpenAI field that caused it, and has the document fetched again") {
  GatewayWorld world;
  world.fal.fault = fail_result(answer(
      422,
      R"({"detail":[{"loc":["body","image_size"],"msg":"Input should be 'square'","type":"literal_error"}]})",
      {{"x-fal-request-id", "job-1"}}));
  Wish request = request_for("flux");
  request.size = {SizeWish::Kind::pixels, 1024, 768};
  world.fal.job_time = 0ms;
  const Outcome outcome = world.handle(request);
  REQUIRE_FALSE(outcome.response);
  const Error& error = outcome.response.error();
  CHECK(error.kind == ErrorKind::rejected_by_model);
  CHECK(error.field == "size");
  CHECK(error.message ==
        "The model refused 'size', which became its 'image_size': Input should be 'square'");
  CHECK(error.submitted);
  world.catalog.refresh_due(world.clock.now(), {});
  CHECK(world.transport.count("GET https://fal.ai/api/openapi") == 2);
}

// ---- Fallbacks.

TEST_CASE(
    "a fallback serves where a model is unavailable or its submit fails for good, and nowhere "
    "else") {
  using Fault = std::function<std::optional<Script>(const HttpRequest&)>;
  struct Row {
    const char* name;
    Fault fault;
    bool falls_back;
  };
  const auto submit = [](Script script) {
    return fail_on("POST https://queue.fal.run/fal-ai/flux/dev", std::move(script));
  };
  const std::vector<Row> rows = {
      {"no document", fail_on("endpoint_id=fal-ai/flux/dev", answer(404, "{}")), true},
      {"the ingress refuses", submit(answer(503, "")), true},
      {"the submit fails inside of fal", submit(answer(500, R"({"detail":"x"})")), false},
      {"fal knows no such endpoint", submit(answer(404, R"({"detail":"x"})")), true},
      {"the input is refused",
       submit(answer(422, R"({"detail":[{"loc":["body","prompt"],"msg":"x","type":"y"}]})")),
       false},
      {"the submit may have arrived", submit(testing::broken(TransportFault::interrupted)), false},
      {"the job fails",
       fail_result(answer(500, R"({"detail":"x"})", {{"x-fal-request-id", "job-1"}})), false},
  };
  for (const Row& row : rows) {
    SUBCASE(row.name) {
      CatalogModel flux = catalog_model("flux", "fal-ai/flux/dev");
      flux.settings.fallback = {"not-configured", "other"};
      GatewayWorld world({flux, catalog_model("other", "fal-ai/other")});
      world.fal.documents["fal-ai/other"] = model_document("fal-ai/other");
      world.fal.fault = row.fault;
      const Outcome outcome = world.handle(request_for("flux"));
      CHECK(outcome.response.has_value() == row.falls_back);
      CHECK(outcome.receipt.total < 10s);
      CHECK(outcome.receipt.requested_model == "flux");
      CHECK(outcome.receipt.served_model == (row.falls_back ? "other" : "flux"));
      world.check_closed();
    }
  }
}

TEST_CASE("what a request would become is told of the model that would serve it") {
  CatalogModel flux = catalog_model("flux", "fal-ai/flux/dev");
  flux.settings.fallback = {"other"};
  GatewayWorld world({flux, catalog_model("other", "fal-ai/other")});
  world.fal.documents = {{"fal-ai/other", model_document("fal-ai/other")}};
  const CallContext context{.deadline = world.clock.now() + 60s};
  const auto plan = world.runner.plan(request_for("flux"), context);
  REQUIRE(plan);
  REQUIRE_FALSE(plan->notes.empty());
  CHECK(plan->notes.front().text == "'flux' is not available; 'other' took its place");

  Wish wrong = request_for("flux");
  wrong.n = 1000;
  CHECK(world.runner.plan(wrong, context).error().kind ==
        world.handle(wrong).response.error().kind);
}

TEST_CASE("when the fallbacks fail too, the first model's fault is told") {
  CatalogModel flux = catalog_model("flux", "fal-ai/flux/dev");
  flux.settings.fallback = {"other"};
  GatewayWorld world({flux, catalog_model("other", "fal-ai/other")});
  world.fal.documents.clear();
  const Outcome outcome = world.handle(request_for("flux"));
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().kind == ErrorKind::model_unavailable);
  CHECK(outcome.response.error().message.find("fal-ai/flux/dev") != std::string::npos);
}

}  // namespace falproxy
