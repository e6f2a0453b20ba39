// What clients are answered, over real sockets; docs/clients.md names the clients that each of
// these is for.
#include <doctest/doctest.h>

#include <string>
#include <utility>

#include "falproxy/media.hpp"
#include "falproxy/openssl_codecs.hpp"
#include "served.hpp"

namespace falproxy::app {
namespace {

using With = Environment;
using namespace test;

const falsim::Fault slow_down{
    .step = falsim::Step::submit,
    .answer = falsim::Answer{
        .status = 429, .body = R"({"detail":"slow down"})", .headers = {{"retry-after", "7"}}}};

TEST_CASE("names that a pattern serves get their pictures, and are models when asked for") {
  const Served server(
      With{{"SUPPORTED_MODELS", "gpt-image-*:fal-ai/flux/dev,flux:fal-ai/flux/dev"}});
  server.wait_for_documents();
  const std::string body = R"({"model":"gpt-image-2.5-flare","prompt":"a lighthouse"})";
  const Received made = server.post("/v1/images/generations", body);
  CHECK(made.status == 200);
  CHECK(text_at(made.body, "data.0.b64_json").size() > 1000);
  CHECK(server.post("/v1/images/generations", R"({"model":"dall-e-3","prompt":"x"})").status ==
        400);
  CHECK(text_at(server.get("/v1/models/gpt-image-2").body, "id") == "gpt-image-2");
  CHECK(text_at(server.get("/v1/models").body, "data.0.id") == "flux");
  CHECK(at(server.get("/v1/models").body, "data").size() == 1);
  const std::string metrics = server.get("/metrics").body;
  CHECK(metrics.find("model=\"gpt-image-*\"") != std::string::npos);
  CHECK(metrics.find("flare") == std::string::npos);
}

TEST_CASE("a picture comes as an address or as base64, as it was asked for") {
  const Served server;
  SUBCASE("url") {
    const Received got = server.post("/v1/images/generations",
                                     R"({"model":"flux","prompt":"a","response_format":"url"})");
    REQUIRE(got.status == 200);
    CHECK(got.header("content-type") == "application/json");
    CHECK(text_at(got.body, "data.0.url").starts_with("http://127.0.0.1"));
    CHECK(at(got.body, "data.0").size() == 1);
    CHECK(at(got.body, "usage.total_tokens").as_integer() == 0);
    const std::int64_t now =
        std::chrono::floor<Seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    CHECK(std::abs(at(got.body, "created").as_integer().value_or(0) - now) < 60);
  }
  SUBCASE("b64_json") {
    const Received got =
        server.post("/v1/images/generations",
                    R"({"model":"flux","prompt":"a","n":3,"response_format":"b64_json"})");
    REQUIRE(got.status == 200);
    CHECK(at(got.body, "data").size() == 3);
    const std::string base64 = text_at(got.body, "data.2.b64_json");
    const auto bytes = OpensslCodecs().decode_base64(base64);
    REQUIRE(bytes.has_value());
    CHECK(media::sniff(*bytes) == media::ImageType::jpeg);  // the model's own default
    CHECK(at(got.body, "data.2").size() == 1);
  }
  SUBCASE("absent: by the model's name") {
    CHECK_FALSE(
        text_at(server.post("/v1/images/generations", lighthouse).body, "data.0.url").empty());
    CHECK_FALSE(
        text_at(
            server.post("/v1/images/generations", R"({"model":"gpt-image-1","prompt":"a"})").body,
            "data.0.b64_json")
            .empty());
  }
}

TEST_CASE("the format that was asked for is in the bytes, and said (rows 7 and 19)") {
  const Served server(With{{"SUPPORTED_MODELS", "banana:fal-ai/nano-banana"}});
  for (const auto& [format, type] :
       {std::pair("png", media::ImageType::png), std::pair("jpeg", media::ImageType::jpeg),
        std::pair("webp", media::ImageType::webp)}) {
    const std::string name = format;
    CAPTURE(name);
    const Received got = server.post(
        "/v1/images/generations",
        R"({"model":"banana","prompt":"a lighthouse","response_format":"b64_json","output_format":")" +
            name + "\"}");
    REQUIRE(got.status == 200);
    CHECK(text_at(got.body, "output_format") == name);
    // Nothing but base64: no "data:", no blank.
    const auto bytes = OpensslCodecs().decode_base64(text_at(got.body, "data.0.b64_json"));
    REQUIRE(bytes.has_value());
    CHECK(media::sniff(*bytes) == type);
  }
}

TEST_CASE("an answer says what happened on its way") {
  const Served server;
  const Received got =
      server.post("/v1/images/generations", R"({"model":"flux","prompt":"a","style":"vivid"})");
  REQUIRE(got.status == 200);
  CHECK(got.header("server-timing").find("total") != std::string::npos);
  CHECK(got.header("x-falproxy-model") == "flux");
  CHECK_FALSE(got.header("x-fal-request-id").empty());
  CHECK_FALSE(got.header("x-falproxy-notes").empty());
  CHECK(got.header("x-request-id").starts_with("req_"));
  CHECK(server.sim.stats().misplaced_keys.empty());
}

TEST_CASE("every answer carries a request id of its own, or the client's where that is sane") {
  const Served server;
  const std::string first = server.get("/health").header("x-request-id");
  CHECK(first.size() > 20);
  CHECK(server.get("/health").header("x-request-id") != first);
  CHECK(server.get("/nothing").header("x-request-id").size() > 20);
  CHECK(server.get("/health", "X-Request-ID: mine-1.2:3\r\n").header("x-request-id") ==
        "mine-1.2:3");
  CHECK(server.get("/health", "X-Request-ID: not mine\r\n")
            .header("x-request-id")
            .starts_with("req_"));
  CHECK(server.post("/v1/images/generations", "{}", "x-request-id: a\r\n").header("x-request-id") ==
        "a");
}

TEST_CASE("x-falproxy-explain shows what would be sent, and sends nothing") {
  const Served server;
  const Received got =
      server.post("/v1/images/generations", R"({"model":"flux","prompt":"a","size":"1024x768"})",
                  "x-falproxy-explain: 1\r\n");
  CHECK(got.status == 200);
  CHECK(at(got.body, "jobs").size() == 1);
  CHECK(text_at(got.body, "jobs.0.body.prompt") == "a");
  CHECK(at(got.body, "mappings").size() > 0);
  CHECK(server.sim.stats().submits == 0);
}

TEST_CASE("a stream brings comments while it waits, and one event for each picture") {
  const Served server(With{}, {.job_time = Milliseconds(50)});
  const Received got =
      server.post("/v1/images/generations", R"({"model":"flux","prompt":"a","n":2,"stream":true})");
  CHECK(got.status == 200);
  CHECK(got.header("content-type").starts_with("text/event-stream"));
  CHECK(got.body.find(": running\n\n") != std::string::npos);
  std::size_t events = 0;
  for (std::size_t i = 0;
       (i = got.body.find("event: image_generation.completed\n", i)) != std::string::npos; ++i)
    ++events;
  CHECK(events == 2);
  CHECK(server.post("/v1/images/generations", R"({"model":"none","prompt":"a","stream":true})")
            .status == 400);
}

TEST_CASE("a stream that begins with its end says in its head what came of it") {
  const Served server(With{{"FAL_COMPLETION", "sync"}});
  const Received got =
      server.post("/v1/images/generations", R"({"model":"flux","prompt":"a","stream":true})");
  CHECK(got.status == 200);
  CHECK(got.header("x-falproxy-model") == "flux");
  CHECK_FALSE(got.header("x-fal-request-id").empty());
  CHECK(got.body.find("event: image_generation.completed\n") != std::string::npos);
}

TEST_CASE("a stream that fails before anything is out fails with a status of its own") {
  Served server;
  server.sim.add_fault(slow_down);
  const Received got =
      server.post("/v1/images/generations", R"({"model":"flux","prompt":"a","stream":true})");
  CHECK(got.status == 429);
  CHECK(got.header("content-type") == "application/json");
  CHECK(text_at(got.body, "error.code") == "rate_limit_exceeded");
  CHECK(std::stoi(got.header("retry-after")) >= 1);
}

TEST_CASE("a stream that fails once fal has the job ends with an event that says so") {
  Served server(With{}, {.job_time = Milliseconds(50)});
  falsim::Fault made{.step = falsim::Step::submit};
  made.job.error = "the model broke";
  made.job.error_type = "internal_server_error";
  server.sim.add_fault(made);
  const Received got =
      server.post("/v1/images/generations", R"({"model":"flux","prompt":"a","stream":true})");
  CHECK(got.status == 200);
  CHECK(got.header("content-type").starts_with("text/event-stream"));
  CHECK(got.body.find("event: error\n") != std::string::npos);
}

TEST_CASE("an HTTP/1.0 proxy in between gets a stream, too") {
  const Served server;
  RawClient client(server.port());
  const std::string body = R"({"model":"flux","prompt":"a","stream":true})";
  client.send("POST /v1/images/generations HTTP/1.0\r\nContent-Type: application/json\r\n" +
              key_field() + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  const Received got = client.receive();
  CHECK(got.status == 200);
  CHECK(got.header("transfer-encoding").empty());
  CHECK(got.header("connection") == "close");
  CHECK(got.body.find("event: image_generation.completed\n") != std::string::npos);
}

TEST_CASE("a failure at fal after a submit is not to be repeated by the client") {
  Served server;
  falsim::Fault made{.step = falsim::Step::submit};
  made.job.error = "the model broke";
  made.job.error_type = "internal_server_error";
  server.sim.add_fault(made);
  const Received got = server.post("/v1/images/generations", lighthouse);
  CHECK(got.status >= 500);
  CHECK(got.header("x-should-retry") == "false");
  CHECK(at(got.body, "error").size() == 4);
}

TEST_CASE("fal's refusal of our key is the operator's affair") {
  Served server;
  server.sim.add_fault(
      {.step = falsim::Step::submit,
       .answer = falsim::Answer{.status = 401, .body = R"({"detail":"secret words"})"}});
  const Received got = server.post("/v1/images/generations", lighthouse);
  CHECK(got.status == 503);
  CHECK(got.body.find("secret words") == std::string::npos);
  CHECK(server.get("/ready").status == 503);
}

TEST_CASE("all keys resting is 429 with a time to wait") {
  Served server;
  server.sim.add_fault(slow_down);
  const Received got =
      server.post("/v1/images/generations", lighthouse, "x-request-timeout: 1\r\n");
  CHECK(got.status == 429);
  const int seconds = std::stoi(got.header("retry-after"));
  CHECK(seconds >= 1);
  CHECK(seconds <= 60);
  CHECK(std::stoi(got.header("retry-after-ms")) > 0);
}

}  // namespace
}  // namespace falproxy::app
