// One request from parsed to answered, over a scripted fal in virtual time.
#include "falproxy/gateway.hpp"

#include <doctest/doctest.h>

#include "gateway/scripted_fal.hpp"

namespace falproxy {
namespace {

using namespace std::chrono_literals;
using testing::answer;
using testing::catalog_model;
using testing::GatewayWorld;
using testing::model_document;
using testing::request_for;
using testing::Script;

openai::ImageRequest in_base64(openai::ImageRequest request) {
  request.response_format = ResponseFormat::b64_json;
  return request;
}

openai::ImageInput picture_of(std::string bytes) {
  auto owner = std::make_shared<const std::string>(std::move(bytes));
  openai::ImageInput image;
  image.bytes = *owner;
  image.owner = std::move(owner);
  return image;
}

openai::ImageRequest edit_of(std::string model, std::vector<openai::ImageInput> images) {
  openai::ImageRequest request = request_for(std::move(model));
  request.operation = openai::ImageOperation::edit;
  request.images = std::move(images);
  return request;
}

const char* const edit_properties =
    R"({"prompt":{"type":"string"},"image_url":{"type":"string"},"mask_url":{"type":"string"}})";

std::string only_content(const Outcome& outcome) {
  REQUIRE(outcome.response);
  REQUIRE(outcome.response->data.size() == 1);
  return outcome.response->data[0].content.str();
}

// Fails the requests whose URL holds `part`, `times` times.
auto fail_on(std::string part, Script script, int times = 1'000'000) {
  return [part = std::move(part), script = std::move(script),
          times](const HttpRequest& request) mutable -> std::optional<Script> {
    if ((request.method + " " + request.url).find(part) == std::string::npos || times == 0)
      return std::nullopt;
    --times;
    return script;
  };
}

// Fails the fetch of the first job's result.
auto fail_result(Script script) {
  return [script = std::move(script)](const HttpRequest& request) -> std::optional<Script> {
    if (!request.url.ends_with("/requests/job-1")) return std::nullopt;
    return script;
  };
}

}  // namespace

TEST_CASE("a request becomes a job, and its result an answer with an address") {
  GatewayWorld world;
  const Outcome outcome = world.handle(request_for("flux"));
  CHECK(only_content(outcome) == "https://v3.fal.media/files/job-1.png");
  CHECK(outcome.response->data[0].is_url);
  CHECK(outcome.response->created == 1'760'000'001);
  CHECK(world.transport.requests() ==
        std::vector<std::string>{
            "GET https://fal.ai/api/openapi/queue/openapi.json?endpoint_id=fal-ai/flux/dev",
            "POST https://queue.fal.run/fal-ai/flux/dev",
            "GET https://queue.fal.run/fal-ai/flux/requests/job-1/status/stream",
            "GET https://queue.fal.run/fal-ai/flux/requests/job-1"});
  CHECK(world.fal.jobs[0].input.find("\"a fox\"") != std::string::npos);
  CHECK(world.fal.jobs[0].key == "Key key-a:secret-a");

  const Receipt& receipt = outcome.receipt;
  CHECK(receipt.requested_model == "flux");
  CHECK(receipt.served_model == "flux");
  CHECK(receipt.images == 1);
  CHECK(receipt.answer_bytes > 0);
  CHECK(receipt.total == 1s);
  REQUIRE(receipt.jobs.size() == 1);
  CHECK(receipt.jobs[0].fal_request_id == "job-1");
  CHECK(receipt.jobs[0].billable_units == 1.0);
  CHECK(receipt.inference == 500ms);
  CHECK(receipt.queue == 500ms);
  world.check_closed();
}

TEST_CASE(
    "base64 is fetched from fal's CDN without a key, and tells the size that was not known "
    "before") {
  GatewayWorld world;
  world.fal.documents["fal-ai/plain"] = model_document("fal-ai/plain");
  world.catalog.reload({}, {catalog_model("plain", "fal-ai/plain")}, {});
  const Outcome outcome = world.handle(in_base64(request_for("plain")));
  CHECK(only_content(outcome) == testing::base64(world.fal.picture));
  CHECK_FALSE(outcome.response->data[0].is_url);
  CHECK(outcome.response->size == "64x48");
  CHECK(outcome.response->output_format == "png");
  CHECK(world.fal.keys_to_strangers.empty());
  CHECK(outcome.receipt.answer_bytes == testing::base64(world.fal.picture).size());
  world.check_closed();
}

TEST_CASE("pictures of any length are encoded right, in pieces of any size") {
  for (const std::size_t length : {31u, 32u, 33u, 100'000u}) {
    for (const std::size_t piece : {1u, 2u, 3u, 7u, 4096u}) {
      if (length / piece > 20'000) continue;
      GatewayWorld world;
      std::string bytes = tests::png_head(8, 8);
      while (bytes.size() < length) bytes += static_cast<char>(bytes.size() * 7);
      bytes.resize(std::max(length, std::size_t{29}));
      world.fal.fault = [&](const HttpRequest& request) -> std::optional<Script> {
        if (!request.url.starts_with("https://v3.fal.media/")) return std::nullopt;
        Script script;
        for (std::size_t i = 0; i < bytes.size(); i += piece)
          script.chunks.push_back({0ms, bytes.substr(i, piece)});
        return script;
      };
      CAPTURE(length);
      CAPTURE(piece);
      CHECK(only_content(world.handle(in_base64(request_for("flux")))) == testing::base64(bytes));
    }
  }
}

TEST_CASE(
    "data URIs are passed on: whole as an address, without their prefix as base64, never fetched") {
  for (const bool base64 : {false, true}) {
    GatewayWorld world;
    const std::string data = testing::base64(world.fal.picture);
    const std::string uri = "data:image/png;base64," + data;
    world.fal.result = [&](const auto&) { return R"({"images":[{"url":")" + uri + R"("}]})"; };
    const Outcome outcome =
        world.handle(base64 ? in_base64(request_for("flux")) : request_for("flux"));
    CHECK(only_content(outcome) == (base64 ? data : uri));
    CHECK(world.transport.count("GET https://v3") == 0);
  }
}

TEST_CASE("an image that cannot be had is told so, after it was paid for") {
  struct Row {
    const char* name;
    Script script;
    const char* words;
    std::size_t fetches;
  };
  const std::vector<Row> rows = {
      {"404", answer(404, ""), "answered 404", 3},
      {"no image", answer(200, "<html>hello</html>"), "no image", 1},
      {"too large", answer(200, std::string(2000, 'x'), {{"content-length", "2000"}}),
       "MAX_DOWNLOAD_BYTES", 1},
      {"too large, unannounced", answer(200, std::string(2000, 'x')), "MAX_DOWNLOAD_BYTES", 1},
      {"a redirect", answer(302, "", {{"location", "https://evil.example/"}}), "answered 302", 3},
      {"broken", testing::broken(TransportFault::interrupted), "could not be fetched", 3},
  };
  for (const Row& row : rows) {
    SUBCASE(row.name) {
      GatewayWorld world({catalog_model("flux", "fal-ai/flux/dev")}, {.max_download_bytes = 1000});
      world.fal.fault = fail_on("GET https://v3.fal.media/", row.script);
      const Outcome outcome = world.handle(in_base64(request_for("flux")));
      REQUIRE_FALSE(outcome.response);
      const Error& error = outcome.response.error();
      CHECK(error.kind == ErrorKind::download_failed);
      CHECK_MESSAGE(error.message.find(row.words) != std::string::npos, error.message);
      CHECK(error.submitted);
      CHECK(error.fal_request_id == "job-1");
      CHECK(world.transport.count("GET https://v3.fal.media/") == row.fetches);
      world.check_closed();
    }
  }
}

TEST_CASE("an image on another host is not fetched") {
  GatewayWorld world;
  world.fal.result = [](const auto&) {
    return R"({"images":[{"url":"https://evil.example/x.png"}]})";
  };
  const Outcome outcome = world.handle(in_base64(request_for("flux")));
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().kind == ErrorKind::upstream_untrusted_url);
  CHECK(world.transport.count("GET https://evil") == 0);
  CHECK(only_content(world.handle(request_for("flux"))) == "https://evil.example/x.png");
}

TEST_CASE("a download that fails once is tried again") {
  GatewayWorld world;
  world.fal.fault = fail_on("GET https://v3.fal.media/", answer(503, ""), 2);
  CHECK(world.handle(in_base64(request_for("flux"))).response);
}

TEST_CASE("the model that is not named is the default, else the first") {
  const std::vector<CatalogModel> models = {catalog_model("first", "fal-ai/flux/dev"),
                                            catalog_model("second", "fal-ai/flux/dev")};
  openai::ImageRequest request = request_for("");
  request.model.reset();
  GatewayWorld plain(models);
  CHECK(plain.handle(request).receipt.served_model == "first");
  GatewayWorld with_default(models, {.default_model = "second"});
  CHECK(with_default.handle(request).receipt.served_model == "second");
}

TEST_CASE("a model that is not configured costs nothing") {
  GatewayWorld world;
  const Outcome outcome = world.handle(request_for("dall-e-3"));
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().kind == ErrorKind::unknown_model);
  CHECK(outcome.response.error().field == "model");
  CHECK(outcome.receipt.requested_model == "dall-e-3");
  CHECK(world.transport.requests().empty());
}

TEST_CASE("a request that the document refuses is refused before anything is paid") {
  GatewayWorld world;
  openai::ImageRequest request = request_for("flux");
  request.native = {{"seed", Json::string("seven")}};
  const Outcome outcome = world.handle(request);
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().field == "seed");
  CHECK(world.transport.count("POST") == 0);
}

TEST_CASE("plan() says what would be sent, and sends nothing") {
  GatewayWorld world;
  const auto plan = world.gateway.plan(request_for("flux"), {.deadline = world.clock.now() + 10s});
  REQUIRE(plan);
  CHECK(plan->jobs.size() == 1);
  CHECK(world.transport.count("POST") == 0);
}

// ---- Several jobs.

TEST_CASE("more images than a model makes at once are made by several jobs, in order") {
  GatewayWorld world;
  openai::ImageRequest request = request_for("flux");
  request.n = 3;
  const Outcome outcome = world.handle(request);
  REQUIRE(outcome.response);
  REQUIRE(outcome.response->data.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(outcome.response->data[i].content.str() ==
          "https://v3.fal.media/files/job-" + std::to_string(i + 1) + ".png");
  }
  CHECK(outcome.receipt.jobs.size() == 3);
  CHECK(outcome.receipt.images == 3);
  world.check_closed();
}

TEST_CASE(
    "when one job fails for good, no other is submitted any more, and its failure is the answer") {
  GatewayWorld world;
  world.fal.fault = fail_result(answer(
      422,
      R"({"detail":[{"loc":["body","prompt"],"msg":"no","type":"content_policy_violation"}]})"));
  openai::ImageRequest request = request_for("flux");
  request.n = 3;
  const Outcome outcome = world.handle(request);
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().kind == ErrorKind::content_policy);
  CHECK(outcome.response.error().submitted);
  CHECK(outcome.response.error().fal_request_id == "job-1");
  CHECK(world.fal.jobs.size() == 1);
  CHECK(outcome.receipt.jobs.size() == 3);
  world.check_closed();
}

// ---- Completion.

TEST_CASE("each way of completion brings the image") {
  struct Row {
    const char* name;
    Completion completion;
    const char* request;  // that tells it from the others
  };
  for (const Row row : {Row{"stream", Completion::stream,
                            "GET https://queue.fal.run/fal-ai/flux/requests/job-1/status/stream"},
                        Row{"poll", Completion::poll,
                            "GET https://queue.fal.run/fal-ai/flux/requests/job-1/status"},
                        Row{"sync", Completion::sync, "POST https://fal.run/fal-ai/flux/dev"}}) {
    SUBCASE(row.name) {
      GatewayWorld world({catalog_model("flux", "fal-ai/flux/dev")},
                         {.completion = row.completion});
      CHECK(world.handle(request_for("flux")).response);
      CHECK(world.transport.count(row.request) >= 1);
      world.check_closed();
    }
  }
}

TEST_CASE("a model's own completion setting wins") {
  CatalogModel model = catalog_model("flux", "fal-ai/flux/dev");
  model.settings.completion = Completion::sync;
  GatewayWorld world({model});
  CHECK(world.handle(request_for("flux")).response);
  CHECK(world.transport.count("POST https://fal.run/") == 1);
}

TEST_CASE(
    "a stream that is refused, dies, or says nothing for half a minute does not lose the image") {
  struct Row {
    const char* name;
    Script script;
  };
  const std::vector<Row> rows = {
      {"refused", answer(404, "")},
      {"not an event stream", answer(200, "{}", {{"content-type", "application/json"}})},
      {"ends early",
       answer(200, "data: {\"status\":\"IN_QUEUE\"}\n\n", {{"content-type", "text/event-stream"}})},
      {"breaks", testing::broken(TransportFault::interrupted)},
      {"silent", {.headers = {{"content-type", "text/event-stream"}}, .silent = true}},
      {"garbage", answer(200, "data: {{{\n\n", {{"content-type", "text/event-stream"}})},
  };
  for (const Row& row : rows) {
    SUBCASE(row.name) {
      GatewayWorld world;
      world.fal.job_time = 40s;
      world.fal.fault = fail_on("/status/stream", row.script);
      const Outcome outcome = world.handle(request_for("flux"));
      CHECK(outcome.response);
      CHECK(outcome.receipt.total < 45s);
      CHECK(world.transport.count("POST") == 1);
      world.check_closed();
    }
  }
}

TEST_CASE("past MAX_UPSTREAM_STREAMS a request polls") {
  GatewayWorld world({catalog_model("flux", "fal-ai/flux/dev")}, {.max_upstream_streams = 0});
  CHECK(world.handle(request_for("flux")).response);
  CHECK(world.fal.jobs[0].streams == 0);
  world.check_closed();
}

TEST_CASE("keys take turns, and the next one is tried at once when fal refuses one") {
  GatewayWorld world;
  world.fal.fault = [](const HttpRequest& request) -> std::optional<Script> {
    const bool first_key = request.headers.find("authorization") == "Key key-a:secret-a";
    if (request.method == "POST" && first_key) return answer(401, "{}");
    return std::nullopt;
  };
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

// ---- Edits.

TEST_CASE(
    "an image is uploaded to fal's storage, the bytes without a key, and the job gets its "
    "address") {
  GatewayWorld world({catalog_model("edit", "fal-ai/edit")}, {.upload_ttl = 60s});
  world.fal.documents["fal-ai/edit"] = model_document("fal-ai/edit", edit_properties);
  const std::string bytes = tests::png_head(5, 5) + "mine";
  const Outcome outcome = world.handle(edit_of("edit", {picture_of(bytes)}));
  CHECK(outcome.response);
  CHECK(world.fal.uploads == std::vector<std::string>{bytes});
  REQUIRE(world.fal.jobs.size() == 1);
  CHECK(world.fal.jobs[0].input.find("https://v3.fal.media/files/up1.png") != std::string::npos);
  CHECK(world.fal.keys_to_strangers.empty());
  world.check_closed();
}

TEST_CASE(
    "inline, an image travels as a data URI; an address is passed on untouched and never fetched") {
  SUBCASE("bytes") {
    GatewayWorld world({catalog_model("edit", "fal-ai/edit")},
                       {.image_upload = ImageUpload::inline_data});
    world.fal.documents["fal-ai/edit"] = model_document("fal-ai/edit", edit_properties);
    const std::string bytes = tests::png_head(5, 5) + "mine";
    CHECK(world.handle(edit_of("edit", {picture_of(bytes)})).response);
    CHECK(world.fal.jobs.at(0).input.find("data:image/png;base64," + testing::base64(bytes)) !=
          std::string::npos);
    CHECK(world.fal.uploads.empty());
  }
  SUBCASE("address") {
    GatewayWorld world({catalog_model("edit", "fal-ai/edit")});
    world.fal.documents["fal-ai/edit"] = model_document("fal-ai/edit", edit_properties);
    openai::ImageInput image;
    image.url = "https://example.com/cat.png?x=1&y=\"2\"";
    CHECK(world.handle(edit_of("edit", {image})).response);
    const auto input = nlohmann::json::parse(world.fal.jobs.at(0).input);
    CHECK(input["image_url"] == image.url);
    CHECK(world.transport.count("GET https://example.com") == 0);
    CHECK(world.fal.uploads.empty());
  }
  SUBCASE("a client's data URI, to storage") {
    GatewayWorld world({catalog_model("edit", "fal-ai/edit")});
    world.fal.documents["fal-ai/edit"] = model_document("fal-ai/edit", edit_properties);
    const std::string bytes = tests::png_head(5, 5) + "mine";
    openai::ImageInput image;
    image.url = "data:image/png;base64," + testing::base64(bytes);
    CHECK(world.handle(edit_of("edit", {image})).response);
    CHECK(world.fal.uploads == std::vector<std::string>{bytes});
  }
}

TEST_CASE(
    "an upload is tried again, with the next key where fal refuses one, and costs nothing when it "
    "fails") {
  SUBCASE("a storage that stumbles") {
    GatewayWorld world({catalog_model("edit", "fal-ai/edit")});
    world.fal.documents["fal-ai/edit"] = model_document("fal-ai/edit", edit_properties);
    world.fal.fault = fail_on("PUT https://v3.fal.media/put", answer(503, ""), 2);
    CHECK(world.handle(edit_of("edit", {picture_of(tests::png_head(5, 5))})).response);
  }
  SUBCASE("a key that is refused") {
    GatewayWorld world({catalog_model("edit", "fal-ai/edit")});
    world.fal.documents["fal-ai/edit"] = model_document("fal-ai/edit", edit_properties);
    world.fal.fault = fail_on("POST https://rest.fal.ai", answer(401, "{}"), 1);
    CHECK(world.handle(edit_of("edit", {picture_of(tests::png_head(5, 5))})).response);
    world.check_closed();
  }
  SUBCASE("a storage that is down") {
    GatewayWorld world({catalog_model("edit", "fal-ai/edit")});
    world.fal.documents["fal-ai/edit"] = model_document("fal-ai/edit", edit_properties);
    world.fal.fault = fail_on("POST https://rest.fal.ai", answer(500, "{}"));
    const Outcome outcome = world.handle(edit_of("edit", {picture_of(tests::png_head(5, 5))}));
    REQUIRE_FALSE(outcome.response);
    CHECK(outcome.response.error().kind == ErrorKind::upstream_failed);
    CHECK_FALSE(outcome.response.error().submitted);
    CHECK(world.fal.jobs.empty());
    world.check_closed();
  }
}

TEST_CASE("edits go to the edit endpoint, generations to the other") {
  GatewayWorld world({catalog_model("nano", "fal-ai/nano", "fal-ai/nano/edit")});
  world.fal.documents["fal-ai/nano"] = model_document("fal-ai/nano");
  world.fal.documents["fal-ai/nano/edit"] = model_document("fal-ai/nano/edit", edit_properties);
  CHECK(world.handle(request_for("nano")).response);
  CHECK(world.handle(edit_of("nano", {picture_of(tests::png_head(5, 5))})).response);
  openai::ImageRequest with_image = request_for("nano");
  with_image.images = {picture_of(tests::png_head(5, 5))};
  CHECK(world.handle(with_image).response);
  REQUIRE(world.fal.jobs.size() == 3);
  CHECK(world.fal.jobs[0].endpoint == "fal-ai/nano");
  CHECK(world.fal.jobs[1].endpoint == "fal-ai/nano/edit");
  CHECK(world.fal.jobs[2].endpoint == "fal-ai/nano/edit");
}

TEST_CASE("a model that takes no image says which do, and what its sibling may be called") {
  GatewayWorld world({catalog_model("flux", "fal-ai/flux/dev"),
                      catalog_model("nano", "fal-ai/nano", "fal-ai/nano/edit"),
                      catalog_model("seedream", "fal-ai/seedream/text-to-image")});
  world.fal.documents["fal-ai/seedream/text-to-image"] =
      model_document("fal-ai/seedream/text-to-image");
  const auto refused = [&](const char* name) {
    const Outcome outcome = world.handle(edit_of(name, {picture_of(tests::png_head(5, 5))}));
    REQUIRE_FALSE(outcome.response);
    CHECK(outcome.response.error().kind == ErrorKind::edit_unsupported);
    return outcome.response.error().message;
  };
  const std::string message = refused("flux");
  CHECK_MESSAGE(message.find("These do: nano.") != std::string::npos, message);
  CHECK_MESSAGE(message.find("'fal-ai/flux/dev/edit'") != std::string::npos, message);
  CHECK(refused("seedream").find("'seedream:fal-ai/seedream/text-to-image+fal-ai/seedream/edit'") !=
        std::string::npos);
  CHECK(world.fal.jobs.empty());
  CHECK(world.fal.uploads.empty());
}

TEST_CASE("a mask becomes what the model takes; without a converter it is passed on with a note") {
  class Inverter final : public media::MaskConverter {
   public:
    Result<std::string> convert(std::string_view png, MaskConvention to) const override {
      if (png.find("broken") != std::string_view::npos)
        return Error{ErrorKind::invalid_mask, "broken", "mask"};
      return "converted to " + std::string(to == MaskConvention::white ? "white" : "other");
    }
  };
  const auto masked = [](const char* bytes) {
    openai::ImageRequest request = edit_of("edit", {picture_of(tests::png_head(5, 5))});
    request.mask = picture_of(tests::png_head(5, 5) + bytes);
    return request;
  };
  const Inverter inverter;
  GatewayWorld world({catalog_model("edit", "fal-ai/edit")});
  world.fal.documents["fal-ai/edit"] = model_document("fal-ai/edit", edit_properties);
  SUBCASE("without") {
    const Outcome outcome = world.handle(masked("mask"));
    CHECK(outcome.response);
    REQUIRE(world.fal.uploads.size() == 2);
    CHECK(world.fal.uploads[1].ends_with("mask"));
    CHECK(std::ranges::any_of(outcome.receipt.notes,
                              [](const auto& note) { return note.field == "mask"; }));
  }
  SUBCASE("with") {
    ImageGateway gateway({.transport = world.transport,
                          .clock = world.clock,
                          .executor = world.inline_executor,
                          .codecs = world.codecs,
                          .keys = world.keys,
                          .catalog = world.catalog,
                          .masks = &inverter,
                          .random = [] { return 0.5; }},
                         GatewayWorld::with_hosts({}));
    const CallContext context{.deadline = world.clock.now() + 60s};
    CHECK(gateway.handle(masked("mask"), context).response);
    REQUIRE(world.fal.uploads.size() == 2);
    CHECK(world.fal.uploads[1] == "converted to white");
    const Outcome broken = gateway.handle(masked("broken"), context);
    REQUIRE_FALSE(broken.response);
    CHECK(broken.response.error().kind == ErrorKind::invalid_mask);
    CHECK(world.fal.jobs.size() == 1);
  }
}

// ---- Progress.

namespace {

struct Listener final : Progress {
  void queued(std::optional<int> position) override {
    heard.push_back("queued " + std::to_string(position.value_or(-1)));
  }
  void running() override { heard.push_back("running"); }
  void partial_image(const openai::ImageEvent& event) override {
    heard.push_back("partial " + std::to_string(event.partial_image_index));
    last = event;
  }
  std::vector<std::string> heard;
  openai::ImageEvent last;
};

}  // namespace

TEST_CASE("who waits hears of the queue and of the start") {
  GatewayWorld world;
  Listener listener;
  CHECK(world.handle(request_for("flux"), {.progress = &listener}).response);
  CHECK(listener.heard == std::vector<std::string>{"queued 2", "queued 1", "running"});
}

TEST_CASE("a model's own stream gives partial images, and its last event is the answer") {
  CatalogModel model = catalog_model("flux", "fal-ai/flux/dev");
  model.settings.stream = true;
  GatewayWorld world({model});
  Listener listener;
  openai::ImageRequest request = in_base64(request_for("flux"));
  SUBCASE("streamed") {
    request.stream = true;
    request.partial_images = 2;
    const Outcome outcome = world.handle(request, {.progress = &listener});
    CHECK(only_content(outcome) == testing::base64(world.fal.picture));
    CHECK(listener.heard == std::vector<std::string>{"partial 0", "partial 1"});
    CHECK(listener.last.b64_json.str() == testing::base64(world.fal.picture));
    CHECK(listener.last.size == "64x48");
    CHECK(listener.last.output_format == "png");
    CHECK(world.transport.count("POST https://fal.run/fal-ai/flux/dev/stream") == 1);
  }
  SUBCASE("streamed, without partial images") {
    request.stream = true;
    CHECK(world.handle(request, {.progress = &listener}).response);
    CHECK(listener.heard.empty());
  }
  SUBCASE("not streamed") {
    CHECK(world.handle(request, {.progress = &listener}).response);
    CHECK(world.transport.count("POST https://queue.fal.run/") == 1);
  }
  world.check_closed();
}

// ---- The rest.

TEST_CASE("Server-Timing tells where the time went") {
  Receipt receipt;
  receipt.map = 120us;
  receipt.submit = 80ms;
  receipt.inference = 1500ms;
  receipt.total = 1600ms;
  CHECK(server_timing(receipt) ==
        "map;dur=0.120, submit;dur=80.000, inference;dur=1500.000, total;dur=1600.000");
  CHECK(server_timing({}) == "map;dur=0.000, total;dur=0.000");
}

TEST_CASE("new options count from the next request on") {
  GatewayWorld world;
  CHECK(world.handle(request_for("flux")).response);
  world.gateway.reload(GatewayWorld::with_hosts({.completion = Completion::sync}));
  CHECK(world.handle(request_for("flux")).response);
  CHECK(world.transport.count("POST https://fal.run/") == 1);
}

TEST_CASE("the debug log shows exchanges and inputs, without keys and without base64") {
  GatewayWorld world({catalog_model("edit", "fal-ai/edit")},
                     {.image_upload = ImageUpload::inline_data});
  world.fal.documents["fal-ai/edit"] = model_document("fal-ai/edit", edit_properties);
  openai::ImageRequest request =
      edit_of("edit", {picture_of(tests::png_head(5, 5) + std::string(10'000, 'x'))});
  CHECK(world.handle(request).response);
  std::size_t bytes = 0;
  bool saw_submit = false, saw_input = false;
  for (const std::string& line : world.debug_lines) {
    bytes += line.size();
    saw_submit = saw_submit || line == "POST https://queue.fal.run/fal-ai/edit -> 200";
    saw_input = saw_input || line.find("a fox") != std::string::npos;
  }
  CHECK(saw_submit);
  CHECK(saw_input);
  CHECK(bytes < 2000);
  world.check_closed();
}

}  // namespace falproxy
