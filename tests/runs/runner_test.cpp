// One request from parsed to answered, over a scripted fal in virtual time.
#include "falproxy/runner.hpp"

#include <doctest/doctest.h>

#include "runs/scripted_fal.hpp"

namespace falproxy {

using namespace std::chrono_literals;
using namespace testing;

TEST_CASE("a request becomes a job, and its result an answer with an address") {
  GatewayWorld world;
  const Outcome outcome = world.handle(request_for("flux"));
  CHECK(only_content(outcome) == "https://v3.fal.media/files/job-1.png");
  CHECK(outcome.response->at(0).is_address);
  CHECK(outcome.response->front().created == 1'760'000'001);
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
  CHECK_FALSE(outcome.response->at(0).is_address);
  CHECK(outcome.response->front().size == "64x48");
  CHECK(outcome.response->front().output_format == "png");
  CHECK(world.fal.keys_to_strangers.empty());
  CHECK(outcome.receipt.answer_bytes == testing::base64(world.fal.picture).size());
  world.check_closed();
}

TEST_CASE("each route tells fal what the model's settings ask for, and nothing else does") {
  struct Case {
    const char* name;
    Completion completion;
    bool stream;
    std::string submit;
  };
  for (const Case& c :
       {Case{"queue", Completion::stream, false, "https://queue.fal.run/fal-ai/flux/dev"},
        Case{"polled", Completion::poll, false, "https://queue.fal.run/fal-ai/flux/dev"},
        Case{"run", Completion::sync, false, "https://fal.run/fal-ai/flux/dev"},
        Case{"stream", Completion::stream, true, "https://fal.run/fal-ai/flux/dev/stream"}}) {
    CAPTURE(c.name);
    CatalogModel model = catalog_model("flux", "fal-ai/flux/dev");
    model.settings.completion = c.completion;
    model.settings.stream = c.stream;
    model.settings.fal = {.queue_priority = QueuePriority::low, .runner_hint = "warm"};
    GatewayWorld world({model});
    int told = 0;
    world.fal.fault = [&](const HttpRequest& request) -> std::optional<Script> {
      const bool submits = request.method == "POST" && request.url == c.submit;
      CHECK(request.headers.find("X-Fal-Queue-Priority").has_value() == submits);
      CHECK(request.headers.find("X-Fal-Runner-Hint").value_or("") == (submits ? "warm" : ""));
      told += submits ? 1 : 0;
      return std::nullopt;
    };
    Wish request = request_for("flux");
    request.stream = c.stream;
    CHECK(world.handle(std::move(request)).response.has_value());
    CHECK(told == 1);
    world.check_closed();
  }
}

TEST_CASE("pictures of any length are encoded right, in pieces of any size") {
  for (const std::size_t length : {45u, 46u, 47u, 100'000u}) {
    for (const std::size_t piece : {1u, 2u, 3u, 7u, 4096u}) {
      if (length / piece > 20'000) continue;
      GatewayWorld world;
      std::string bytes = tests::whole_png(8, 8);
      while (bytes.size() < length) bytes += static_cast<char>(bytes.size() * 7);
      REQUIRE(bytes.size() == length);
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

TEST_CASE("an image that cannot be had is told so, with its address, after it was paid for") {
  struct Row {
    const char* name;
    Script script;
    const char* words;
    std::size_t fetches;
  };
  const std::vector<Row> rows = {
      {"404", answer(404, ""), "answered 404", 8},
      {"no image", answer(200, "<html>hello</html>"), "no image", 8},
      {"too large", answer(200, std::string(2000, 'x'), {{"content-length", "2000"}}),
       "MAX_DOWNLOAD_BYTES", 1},
      {"too large, unannounced", answer(200, std::string(2000, 'x')), "MAX_DOWNLOAD_BYTES", 1},
      {"a redirect", answer(302, "", {{"location", "https://evil.example/"}}), "answered 302", 8},
      {"broken", testing::broken(TransportFault::interrupted), "could not be fetched", 8},
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
      CHECK(error.message.ends_with(" It is at https://v3.fal.media/files/job-1.png"));
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

TEST_CASE("the model that is not named is the default, else the first") {
  const std::vector<CatalogModel> models = {catalog_model("first", "fal-ai/flux/dev"),
                                            catalog_model("second", "fal-ai/flux/dev")};
  Wish request = request_for("");
  request.model.reset();
  GatewayWorld plain(models);
  CHECK(plain.handle(request).receipt.served_model == "first");
  GatewayWorld with_default(models, {.default_model = "second"});
  CHECK(with_default.handle(request).receipt.served_model == "second");
}

TEST_CASE("a default model that a pattern serves keeps its name, by which the format is told") {
  GatewayWorld world({catalog_model("gpt-*", "fal-ai/flux/dev")}, {.default_model = "gpt-image-1"});
  Wish request = request_for("");
  request.model.reset();
  CHECK(world.handle(request).receipt.served_model == "gpt-*");
  const auto plan = world.runner.plan(request, {.deadline = world.clock.now() + 60s});
  REQUIRE(plan);
  CHECK(plan->response_format == ResponseFormat::b64_json);
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
  Wish request = request_for("flux");
  request.native = {{"seed", Json::string("seven")}};
  const Outcome outcome = world.handle(request);
  REQUIRE_FALSE(outcome.response);
  CHECK(outcome.response.error().field == "seed");
  CHECK(world.transport.count("POST") == 0);
}

TEST_CASE("plan() says what would be sent, and sends nothing") {
  GatewayWorld world;
  const auto plan = world.runner.plan(request_for("flux"), {.deadline = world.clock.now() + 10s});
  REQUIRE(plan);
  CHECK(plan->jobs.size() == 1);
  CHECK(world.transport.count("POST") == 0);
}

TEST_CASE("an SVG that comes as text is wrapped as the client wants it") {
  GatewayWorld world;
  world.fal.result = [](const auto&) { return R"({"svg_content":"<svg xmlns='x'></svg>"})"; };
  const std::string encoded = testing::base64("<svg xmlns='x'></svg>");
  CHECK(only_content(world.handle(request_for("flux"))) == "data:image/svg+xml;base64," + encoded);
  CHECK(only_content(world.handle(in_base64(request_for("flux")))) == encoded);
}

// ---- Several jobs.

TEST_CASE("more images than a model makes at once are made by several jobs, in order") {
  GatewayWorld world;
  Wish request = request_for("flux");
  request.n = 3;
  const Outcome outcome = world.handle(request);
  REQUIRE(outcome.response);
  REQUIRE(outcome.response->size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(outcome.response->at(i).content.str() ==
          "https://v3.fal.media/files/job-" + std::to_string(i + 1) + ".png");
  }
  CHECK(outcome.receipt.jobs.size() == 3);
  CHECK(outcome.receipt.images == 3);
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

}  // namespace falproxy
