// What becomes of a request where keys, time, the client or a model give out.
#include <doctest/doctest.h>

#include "falproxy/gateway.hpp"
#include "gateway/scripted_fal.hpp"

namespace falproxy {

using namespace std::chrono_literals;
using namespace testing;

namespace {

// A submit with the first key.
std::function<std::optional<Script>(const HttpRequest&)> fail_first_key(Script script) {
  return [script = std::move(script)](const HttpRequest& request) -> std::optional<Script> {
    if (request.method != "POST" || request.headers.find("authorization") != "Key key-a:secret-a")
      return std::nullopt;
    return script;
  };
}

}  // namespace

TEST_CASE("keys take turns, and the next one is tried at once when fal refuses one") {
  GatewayWorld world;
  world.fal.fault = fail_first_key(answer(401, "{}"));
  const Outcome outcome = world.handle(request_for("flux"));
  CHECK(outcome.response);
  CHECK(outcome.receipt.jobs[0].key_slot == 1);
  CHECK(outcome.receipt.jobs[0].submits == 2);
  CHECK(world.fal.jobs[0].key == "Key key-b:secret-b");
  CHECK(outcome.receipt.total == 1s);  // no time was lost over it
  world.check_closed();
}

TEST_CASE("when every key is refused the client hears nothing of fal's accounts") {
  GatewayWorld world;
  world.fal.fault =
      fail_on("POST https://queue",
              answer(403, R"({"detail":"User is locked. Reason: Exhausted balance. Top up."})"));
  const Outcome outcome = world.handle(request_for("flux"));
  REQUIRE_FALSE(outcome.response);
  const Error& error = outcome.response.error();
  CHECK((error.kind == ErrorKind::keys_out || error.kind == ErrorKind::keys_resting));
  CHECK(error.message.find("alance") == std::string::npos);
  CHECK_FALSE(error.submitted);
  world.check_closed();
}

TEST_CASE("the operator hears once which key fal refuses, and no key") {
  GatewayWorld world;
  world.fal.fault = fail_first_key(answer(401, R"({"detail":"No user for key-a:secret-a"})"));
  CHECK(world.handle(request_for("flux")).response);
  CHECK(world.handle(request_for("flux")).response);
  CHECK(world.log_lines ==
        std::vector<std::string>{"warning key 1 of AI_KEYS is out until the settings are loaded "
                                 "anew: fal refuses it (401: No user for [key]); take it out, or "
                                 "put the right one there"});
  world.check_closed();
}

TEST_CASE("a model's own stream that quotes the key shows it to nobody") {
  CatalogModel model = catalog_model("flux", "fal-ai/flux/dev");
  model.settings.stream = true;
  GatewayWorld world({model});
  world.fal.fault = fail_on(
      "POST https://fal.run",
      answer(422, R"({"detail":[{"loc":["body","prompt"],"msg":"bad for key-a:secret-a"}]})"));
  openai::ImageRequest request = request_for("flux");
  request.stream = true;
  const Outcome outcome = world.handle(request);
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().message.find("bad for [key]") != std::string::npos);
  world.check_closed();
}

TEST_CASE("the operator hears of an account that fal blocks, and that it can be used again") {
  GatewayWorld world;
  world.fal.fault = fail_first_key(answer(403, R"({"detail":"User is locked. Top up."})"));
  CHECK(world.handle(request_for("flux")).response);
  world.fal.fault = nullptr;
  world.clock.advance(6min);
  for (int i = 0; i < 3; ++i) CHECK(world.handle(request_for("flux")).response);
  REQUIRE(world.log_lines.size() == 2);
  CHECK(world.log_lines[0].starts_with("warning the account of key 1 of AI_KEYS is blocked"));
  CHECK(world.log_lines[0].find("403: User is locked. Top up.") != std::string::npos);
  CHECK(world.log_lines[1] == "info the account of key 1 of AI_KEYS can be used again");
  world.check_closed();
}

TEST_CASE("why fal cannot be reached is for the operator only") {
  GatewayWorld world;
  world.fal.fault = fail_on("POST https://queue", broken(TransportFault::unreachable));
  const Outcome outcome = world.handle(request_for("flux"));
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().message == "fal could not be reached.");
  CHECK(outcome.receipt.jobs.at(0).fault == "scripted");
  world.check_closed();
}

TEST_CASE("an address on another host never sees a key") {
  GatewayWorld world;
  world.fal.fault = fail_on(
      "POST https://queue",
      answer(
          200,
          R"({"request_id":"r1","status_url":"https://evil.example/s","response_url":"https://evil.example/r","cancel_url":"https://evil.example/c"})"));
  const Outcome outcome = world.handle(request_for("flux"));
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().kind == ErrorKind::upstream_untrusted_url);
  CHECK(outcome.response.error().submitted);
  CHECK(world.transport.count("GET https://evil") == 0);
  world.check_closed();
}

// ---- Time and clients that leave.

TEST_CASE("when the time runs out the job is cancelled at fal") {
  GatewayWorld world;
  world.fal.job_time = 1h;
  const Outcome outcome = world.handle(request_for("flux"), {.deadline = world.clock.now() + 10s});
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().kind == ErrorKind::timed_out);
  CHECK(outcome.response.error().submitted);
  CHECK(outcome.receipt.total == 10s);
  CHECK(world.fal.count_cancelled() == 1);
  CHECK(outcome.receipt.jobs[0].cancelled);
  world.check_closed();
}

TEST_CASE("a client that timed out finds its job again: the job outlives the deadline a little") {
  struct Row {
    const char* name;
    std::chrono::seconds client_leaves, job_time;
    bool finished;
  };
  for (const Row& row : {Row{"it left, and the job is done in time", 9s, 11s, true},
                         Row{"it left, and the job takes longer", 9s, 20s, false},
                         Row{"it is still there at the deadline", 60s, 11s, false}}) {
    CAPTURE(row.name);
    GatewayWorld world;
    world.fal.job_time = row.job_time;
    const TimePoint begin = world.clock.now();
    const CallContext context{
        .deadline = begin + 10s,
        .client_left = [&] { return world.clock.now() - begin >= row.client_leaves; },
        .repeat_hold = 1500ms};
    const Outcome outcome = world.handle(request_for("flux"), context);
    CHECK(outcome.response.has_value() == row.finished);
    CHECK(world.fal.count_cancelled() == (row.finished ? 0 : 1));
    world.check_closed();
  }
}

TEST_CASE("what is left of the time goes to fal") {
  GatewayWorld world;
  std::string header;
  world.fal.fault = [&](const HttpRequest& request) -> std::optional<Script> {
    if (request.method == "POST")
      header = request.headers.find("X-Fal-Request-Timeout").value_or("none");
    return std::nullopt;
  };
  (void)world.handle(request_for("flux"), {.deadline = world.clock.now() + 30s});
  CHECK(header == "30");
}

TEST_CASE("a client that leaves takes its job with it, whatever the job is doing") {
  for (const Milliseconds when : {0ms, 300ms, 700ms, 999ms}) {
    CAPTURE(when.count());
    GatewayWorld world;
    world.fal.job_time = 1s;
    std::stop_source stop;
    world.clock.at(world.clock.now() + when, [&] { stop.request_stop(); });
    const Outcome outcome = world.handle(request_for("flux"), {.stop = stop.get_token()});
    REQUIRE_FALSE(outcome.response);
    CHECK(outcome.response.error().kind == ErrorKind::cancelled);
    CHECK(world.fal.count_cancelled() == world.fal.jobs.size());
    CHECK(outcome.receipt.total <= when + 20ms);
    world.check_closed();
  }
}

TEST_CASE(
    "a submit that is on its way when the client leaves is waited for, so that it can be "
    "cancelled") {
  GatewayWorld world;
  std::stop_source stop;
  world.fal.fault = [&, slow = false](const HttpRequest& request) mutable -> std::optional<Script> {
    if (request.method != "POST" || slow) return std::nullopt;
    slow = true;
    world.clock.at(world.clock.now() + 1s, [&] { stop.request_stop(); });
    Script script = world.fal.serve(request);
    script.after = 3s;
    return script;
  };
  const Outcome outcome = world.handle(request_for("flux"), {.stop = stop.get_token()});
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().kind == ErrorKind::cancelled);
  CHECK(world.fal.jobs.size() == 1);
  CHECK(world.fal.count_cancelled() == 1);
  world.check_closed();
}

// ---- Faults of the input.

TEST_CASE("fal's 422 names the OpenAI field that caused it, and has the document fetched again") {
  GatewayWorld world;
  world.fal.fault = fail_result(answer(
      422,
      R"({"detail":[{"loc":["body","image_size"],"msg":"Input should be 'square'","type":"literal_error"}]})",
      {{"x-fal-request-id", "job-1"}}));
  openai::ImageRequest request = request_for("flux");
  request.size = {openai::SizeWish::Kind::pixels, 1024, 768};
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
      {"the submit fails", submit(answer(500, R"({"detail":"x"})")), true},
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
  const auto plan = world.gateway.plan(request_for("flux"), context);
  REQUIRE(plan);
  REQUIRE_FALSE(plan->notes.empty());
  CHECK(plan->notes.front().text == "'flux' is not available; 'other' took its place");

  openai::ImageRequest wrong = request_for("flux");
  wrong.n = 1000;
  CHECK(world.gateway.plan(wrong, context).error().kind ==
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
