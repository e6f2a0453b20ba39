// A whole falproxy as its operator meets it: TLS to fal, limits, keep-alive, metrics, reload,
// stopping.
#include "service.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "app/folder.hpp"
#include "falproxy/openssl_codecs.hpp"
#include "served.hpp"

namespace falproxy::app {
namespace {

using With = Environment;
using falsim::FalsimStats;
using namespace test;
using testing::Folder;

const std::string generations = "/v1/images/generations";

std::string png(const Served& server) {
  const Received got =
      server.post(generations,
                  R"({"model":"flux","prompt":"a","size":"256x256","response_format":"b64_json"})");
  REQUIRE(got.status == 200);
  return OpensslCodecs().decode_base64(text_at(got.body, "data.0.b64_json")).value_or("");
}

std::string form(std::string_view path, const std::string& body, const std::string& boundary) {
  return "POST " + std::string(path) +
         " HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=" + boundary +
         "\r\n" + key_field() + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

std::string chunk_of(const std::string& bytes) {
  std::array<char, 16> size{};
  const auto end = std::to_chars(size.data(), size.data() + size.size(), bytes.size(), 16).ptr;
  return std::string(size.data(), end) + "\r\n" + bytes + "\r\n";
}

TEST_CASE("fal is reached over TLS, and only where its certificate is right") {
  const Folder folder;
  falsim::Tls tls = falsim::Tls::none;
  SUBCASE("right") { tls = falsim::Tls::valid; }
  SUBCASE("expired") { tls = falsim::Tls::expired; }
  SUBCASE("of another host") { tls = falsim::Tls::wrong_host; }
  SUBCASE("signed by itself") { tls = falsim::Tls::self_signed; }
  auto sim = falsim::Falsim::start(Served::quick(), {.tls = tls});
  REQUIRE(sim.has_value());
  const Served server({}, std::move(sim).value(), [&](const falsim::Falsim& running) {
    return With{{"SSL_CERT_FILE", folder.write("ca.pem", running.authority_pem())}};
  });
  const Received url = server.post(generations, lighthouse, "x-request-timeout: 3\r\n");
  if (tls == falsim::Tls::valid) {
    CHECK(url.status == 200);
    CHECK(text_at(url.body, "data.0.url").starts_with("https://"));
    CHECK(server.post(generations, R"({"model":"gpt-image-1","prompt":"a"})").status == 200);
  } else {
    CHECK(url.status >= 500);
    CHECK(server.sim.stats().requests == 0);
  }
}

TEST_CASE("pictures are uploaded as clients send them") {
  const Served server(
      With{{"SUPPORTED_MODELS",
            "flux:fal-ai/flux/dev,nano:fal-ai/nano-banana+fal-ai/nano-banana/edit"}});
  const std::string picture = png(server);
  const auto part = [&](const std::string& disposition, const std::string& type,
                        const std::string& content) {
    return "--b=_1\r\nContent-Disposition: form-data; " + disposition + "\r\n" +
           (type.empty() ? "" : "Content-Type: " + type + "\r\n") + "\r\n" + content + "\r\n";
  };
  const std::string prompt = part("name=prompt", "text/plain; charset=utf-8", "make it night");
  const std::string model = part("name=\"model\"", "", "nano");
  const std::string end = "--b=_1--\r\n";
  const std::uint64_t before = server.sim.stats().uploads;
  std::string body;
  std::uint64_t pictures = 1;
  SUBCASE("image") {
    body = part("name=\"image\"; filename=\"a.png\"", "image/png", picture) + prompt + model + end;
  }
  SUBCASE("image[] three times, as octet-stream") {
    for (int i = 0; i < 3; ++i)
      body += part("name=\"image[]\"; filename=\"blob\"", "application/octet-stream", picture);
    body += prompt + model + end;
    pictures = 3;
  }
  SUBCASE("image twice, without a type, unquoted, with filename*") {
    for (int i = 0; i < 2; ++i)
      body += part("name=image; filename=a.png; filename*=utf-8''a%20b.png", "", picture);
    body += model + prompt + end;
    pictures = 2;
  }
  for (const bool chunked : {false, true}) {
    CAPTURE(chunked);
    RawClient client(server.port());
    Received got;
    if (chunked) {
      client.send(
          "POST /v1/images/edits HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; "
          "boundary=\"b=_1\"\r\n" +
          key_field() + "Transfer-Encoding: chunked\r\n\r\n");
      for (std::size_t i = 0; i < body.size(); i += 1000)
        client.send(chunk_of(body.substr(i, 1000)));
      got = client.exchange("0\r\n\r\n");
    } else {
      got = client.exchange(form("/v1/images/edits", body, "\"b=_1\""));
    }
    CAPTURE(got.body);
    CHECK(got.status == 200);
  }
  CHECK(server.sim.stats().uploads - before == 2 * pictures);
  CHECK(server.sim.stats().misplaced_keys.empty());
}

TEST_CASE("an edit may be JSON, and what is no picture is refused by its name") {
  const Served server(
      With{{"SUPPORTED_MODELS",
            "flux:fal-ai/flux/dev,nano:fal-ai/nano-banana+fal-ai/nano-banana/edit"}});
  const std::string picture = png(server);
  std::string base64;
  OpensslCodecs().encode_base64(picture, base64);
  const std::string json =
      R"({"model":"nano","prompt":"make it night","images":[{"image_url":"data:image/png;base64,)" +
      base64 + "\"}]}";
  CHECK(server.post("/v1/images/edits", json).status == 200);
  RawClient client(server.port());
  const std::string text =
      "--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\nContent-Type: "
      "image/png\r\n\r\nhello\r\n"
      "--b\r\nContent-Disposition: form-data; "
      "name=\"prompt\"\r\n\r\na\r\n--b\r\nContent-Disposition: form-data; "
      "name=\"model\"\r\n\r\nnano\r\n--b--\r\n";
  const Received got = client.exchange(form("/v1/images/edits", text, "b"));
  CHECK(got.status == 400);
  CHECK(text_at(got.body, "error.code") == "unsupported_file_mimetype");
  const Received flux = server.post(
      "/v1/images/edits",
      R"({"model":"flux","prompt":"a","images":[{"image_url":"https://a.example/b.png"}]})");
  CHECK(flux.status == 400);
  CHECK(text_at(flux.body, "error.code") == "edit_unsupported");
}

TEST_CASE("a client that leaves has its job cancelled at fal") {
  const Served server({}, {.job_time = Milliseconds(60'000)});
  RawClient client(server.port());
  const auto began = std::chrono::steady_clock::now();
  SUBCASE("at once") {
    client.send(test::post(generations, lighthouse, key_field()));
    REQUIRE(server.sim.wait_for([](const FalsimStats& s) { return s.in_progress == 1; }));
    client.close();
    CHECK(server.sim.wait_for([](const FalsimStats& s) { return s.cancelled == 1; }));
  }
  SUBCASE("after a while, where it may come back") {
    client.send(
        test::post(generations, lighthouse, key_field() + "x-stainless-retry-count: 0\r\n"));
    REQUIRE(server.sim.wait_for([](const FalsimStats& s) { return s.in_progress == 1; }));
    client.close();
    CHECK(server.sim.wait_for([](const FalsimStats& s) { return s.cancelled == 1; }));
    CHECK(std::chrono::steady_clock::now() - began >= Milliseconds(1500));
  }
  SUBCASE("in the middle of a stream") {
    client.send(
        test::post(generations, R"({"model":"flux","prompt":"a","stream":true})", key_field()));
    REQUIRE(server.sim.wait_for([](const FalsimStats& s) { return s.in_progress == 1; }));
    client.reset();
    CHECK(server.sim.wait_for([](const FalsimStats& s) { return s.cancelled == 1; }));
  }
}

TEST_CASE("a request that comes back gets what its first attempt paid for") {
  const Served server({}, {.job_time = Milliseconds(800)});
  {
    RawClient first(server.port());
    first.send(test::post(generations, lighthouse, key_field() + "x-stainless-retry-count: 0\r\n"));
    REQUIRE(server.sim.wait_for([](const FalsimStats& s) { return s.in_progress == 1; }));
  }
  const Received got = server.post(generations, lighthouse, "x-stainless-retry-count: 1\r\n");
  CHECK(got.status == 200);
  CHECK(server.sim.stats().submits == 1);
}

TEST_CASE("a client's own time limit holds") {
  const Served server({}, {.job_time = Milliseconds(60'000)});
  const Received got = server.post(generations, lighthouse, "x-stainless-timeout: 0.3\r\n");
  CHECK(got.status == 504);
  CHECK(got.header("x-should-retry") == "false");
  CHECK(server.sim.wait_for([](const FalsimStats& s) { return s.cancelled == 1; }));
}

TEST_CASE("a rate limit is told as OpenAI tells it") {
  const Served server(With{{"RATE_LIMIT", "2/min"}});
  const Received first = server.post(generations, lighthouse);
  CHECK(first.header("x-ratelimit-limit-requests") == "2");
  CHECK(first.header("x-ratelimit-remaining-requests") == "1");
  CHECK(server.post(generations, lighthouse, "x-falproxy-explain: 1\r\n").status == 200);
  CHECK(server.post(generations, lighthouse).status == 200);
  const Received third = server.post(generations, lighthouse);
  CHECK(third.status == 429);
  CHECK(third.reason == "Too Many Requests");
  CHECK(text_at(third.body, "error.code") == "rate_limit_exceeded");
  CHECK(third.header("x-ratelimit-remaining-requests") == "0");
  CHECK(std::stoi(third.header("retry-after")) >= 1);
  CHECK(server.get("/v1/models").status == 200);
  CHECK(server.sim.stats().submits == 2);
}

TEST_CASE("past MAX_IN_FLIGHT an image request is told so at once, and nothing else suffers") {
  const Served server(With{{"MAX_IN_FLIGHT", "1"}}, {.job_time = Milliseconds(60'000)});
  RawClient first(server.port());
  first.send(test::post(generations, lighthouse, key_field()));
  REQUIRE(server.sim.wait_for([](const FalsimStats& s) { return s.in_progress == 1; }));
  const Received second = server.post(generations, lighthouse);
  CHECK(second.status == 503);
  CHECK(text_at(second.body, "error.code") == "server_is_overloaded");
  CHECK(std::stoi(second.header("retry-after")) >= 1);
  CHECK(second.header("x-should-retry").empty());
  CHECK(server.get("/health").status == 200);
  CHECK(server.get("/metrics").status == 200);
}

TEST_CASE("past MAX_BODY_MEMORY a body is refused, and later taken") {
  const Served server(With{{"MAX_BODY_MEMORY", "100000"}});
  const Received got =
      server.post(generations, R"({"model":"flux","prompt":")" + std::string(30'000, 'a') + "\"}");
  CHECK(got.status == 503);
  CHECK(server.post(generations, lighthouse).status == 200);
}

TEST_CASE("KEEPALIVE_SECONDS sends white space while it waits") {
  const Served server(With{{"KEEPALIVE_SECONDS", "1"}}, {.job_time = Milliseconds(1600)});
  const Received got = server.post(generations, lighthouse);
  CHECK(got.status == 200);
  CHECK(got.header("transfer-encoding") == "chunked");
  CHECK(got.header("content-type") == "application/json");
  CHECK(got.body.starts_with(" "));
  CHECK_FALSE(text_at(got.body, "data.0.url").empty());
  CHECK(server.post(generations, R"({"model":"flux"})").status == 400);
}

TEST_CASE("metrics need the key, or a port of their own") {
  const Served server(With{{"METRICS_PORT", "18090"}});
  CHECK(server.post(generations, lighthouse).status == 200);
  const Received got = server.get("/metrics");
  CHECK(got.header("content-type") == "text/plain; version=0.0.4; charset=utf-8");
  CHECK(eventually([&] {
    return server.get("/metrics")
               .body.find(
                   R"(falproxy_requests_total{route="/v1/images/generations",model="flux",status="200"} 1)") !=
           std::string::npos;
  }));
  CHECK(got.body.find("test-secret") == std::string::npos);
  RawClient open(server.service->metrics_port());
  const Received without = open.exchange(test::get("/metrics"));
  CHECK(without.status == 200);
  CHECK(without.body.find("falproxy_jobs_total{event=\"accepted\"} 1") != std::string::npos);
  CHECK(open.exchange(test::get("/v1/models")).status == 404);
}

TEST_CASE("the status is JSON for scripts and for the page") {
  Served server;
  server.sim.add_fault(
      {.step = falsim::Step::submit, .times = 1, .answer = falsim::Answer{.status = 500}});
  CHECK(server.post(generations, lighthouse).status >= 500);
  CHECK(server.post(generations, R"({"model":"flux","prompt":"a fox"})").status == 200);
  const Received got = server.get("/v1/falproxy/status");
  CHECK(got.status == 200);
  CHECK(text_at(got.body, "version").find_first_not_of("0123456789.") == std::string::npos);
  CHECK(at(got.body, "requests").as_integer() == 2);
  CHECK(at(got.body, "failures").as_integer() == 1);
  CHECK(at(got.body, "images").as_integer() == 1);
  CHECK(text_at(got.body, "accounts.0.state") == "ready");
  CHECK(text_at(got.body, "models.0.id") == "flux");
  CHECK(at(got.body, "models.0.available").as_boolean() == true);
  CHECK_FALSE(text_at(got.body, "errors.0.request_id").empty());
  CHECK(got.body.find("test-secret") == std::string::npos);
}

TEST_CASE("dry runs are neither counted nor logged, refused ones no more than others") {
  const Served server;
  const auto post = [&](const char* body, const char* fields) {
    return server.post(generations, body, fields).status;
  };
  constexpr auto dry = "x-falproxy-explain: 1\r\nx-request-id: a-dry-run\r\n";
  CHECK(post(R"({"model":"flux","prompt":"a"})", dry) == 200);
  CHECK(post(R"({"model":"none","prompt":"a"})", dry) == 400);
  CHECK(post("no JSON", dry) == 400);
  CHECK(post("no JSON", "x-request-id: a-real-one\r\n") == 400);
  const Received status = server.get("/v1/falproxy/status");
  CHECK(at(status.body, "requests").as_integer() == 1);
  CHECK(at(status.body, "failures").as_integer() == 1);
  CHECK(at(status.body, "errors").size() == 1);
  // The lines of a log keep their order.
  CHECK(eventually([&] { return server.log().find("a-real-one") != std::string::npos; }));
  CHECK(server.log().find("a-dry-run") == std::string::npos);
}

TEST_CASE("the page is there, and can be switched off") {
  const Served server;
  RawClient client(server.port());
  const Received root = client.exchange(test::get("/"));
  CHECK(root.status == 302);
  // Relative: the browser may see the server below a reverse proxy's prefix.
  CHECK(root.header("location") == "playground/");
  CHECK(client.exchange(test::get("/playground")).header("location") == "playground/");
  CHECK(client.exchange(test::get("/v1/playground")).header("location") == "playground/");
  const Received page = client.exchange(test::get("/playground/"));
  CHECK(page.status == 200);
  CHECK(page.header("content-type").starts_with("text/html"));
  CHECK(page.header("content-security-policy").find("default-src 'none'") != std::string::npos);
  CHECK(client.exchange(test::get("/playground/", "If-None-Match: " + page.header("etag") + "\r\n"))
            .status == 304);
  CHECK(client.exchange(test::get("/playground/app.js", "Accept-Encoding: gzip\r\n"))
            .header("content-encoding") == "gzip");
  CHECK(client.exchange(test::get("/playground/app.js", "Accept-Encoding: br, gzip;q=0\r\n"))
            .header("content-encoding")
            .empty());
  CHECK(client.exchange(test::get("/playground/nothing.js")).status == 404);
  const Served without(With{{"PLAYGROUND", "false"}});
  CHECK(without.get("/").status == 404);
  CHECK(without.get("/playground").status == 404);
}

TEST_CASE("a reload swaps everything in, and requests in flight end as they began") {
  const Served server({}, {.job_time = Milliseconds(700)});
  RawClient before(server.port());
  before.send(test::post(generations, lighthouse, key_field()));
  REQUIRE(server.sim.wait_for([](const FalsimStats& s) { return s.in_progress == 1; }));
  auto next = load_configuration(
      "/dev/null", server.environment({{"CUSTOM_ACCESS_KEY", "another-access-key"},
                                       {"SUPPORTED_MODELS", "sdxl:fal-ai/fast-sdxl"}}));
  REQUIRE(next.has_value());
  server.service->reload(std::move(next).value());
  CHECK(server.get("/v1/models").status == 401);
  RawClient after(server.port());
  const Received models = after.exchange(test::get("/v1/models", key_field("another-access-key")));
  CHECK(models.status == 200);
  CHECK(text_at(models.body, "data.0.id") == "sdxl");
  CHECK(at(models.body, "data").size() == 1);
  CHECK(after
            .exchange(test::post(generations, R"({"model":"sdxl","prompt":"a"})",
                                 key_field("another-access-key")))
            .status == 200);
  CHECK(before.receive().status == 200);
}

TEST_CASE("a reload with DEBUG_MODE shows what goes to fal") {
  const Served server;
  const auto shown = [&] { return server.log().find("input: {") != std::string::npos; };
  CHECK(server.post(generations, lighthouse).status == 200);
  CHECK(eventually([&] { return server.log().find("in=") != std::string::npos; }));
  CHECK_FALSE(shown());
  auto next = load_configuration("/dev/null", server.environment({{"DEBUG_MODE", "true"}}));
  REQUIRE(next.has_value());
  server.service->reload(std::move(next).value());
  CHECK(server.post(generations, lighthouse).status == 200);
  CHECK(eventually(shown));
}

TEST_CASE("stopping lets requests in flight finish") {
  Served server({}, {.job_time = Milliseconds(500)});
  RawClient client(server.port());
  client.send(test::post(generations, lighthouse, key_field()));
  REQUIRE(server.sim.wait_for([](const FalsimStats& s) { return s.in_progress == 1; }));
  std::thread stopping([&] { server.service->stop(Seconds(20)); });
  const Received got = client.receive();
  stopping.join();
  CHECK(got.status == 200);
  CHECK(got.header("connection") == "close");
  CHECK(server.sim.stats().cancelled == 0);
}

TEST_CASE("past the grace they are cancelled, at fal too, and told why") {
  Served server({}, {.job_time = Milliseconds(60'000)});
  RawClient client(server.port());
  client.send(test::post(generations, lighthouse, key_field()));
  REQUIRE(server.sim.wait_for([](const FalsimStats& s) { return s.in_progress == 1; }));
  server.service->stop(Milliseconds(100));
  const Received got = client.receive();
  CHECK(got.status == 503);
  CHECK(text_at(got.body, "error.message") == "The server is stopping.");
  CHECK(server.sim.stats().cancelled == 1);
}

TEST_CASE("a second server on the same port is an error that names the port") {
  const Served server;
  auto configuration = load_configuration(
      "/dev/null", server.environment({{"PORT", std::to_string(server.port())}}));
  REQUIRE(configuration.has_value());
  const auto second =
      Service::create(std::move(configuration).value(), {.write_log = [](std::string_view) {}});
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().field == "PORT");
  CHECK(second.error().message.find(std::to_string(server.port())) != std::string::npos);
}

TEST_CASE("an address that is none of this machine's is an error that names the host") {
  const Served server;
  auto configuration =
      load_configuration("/dev/null", server.environment({{"HOST", "192.0.2.1"}, {"PORT", "0"}}));
  REQUIRE(configuration.has_value());
  const auto other =
      Service::create(std::move(configuration).value(), {.write_log = [](std::string_view) {}});
  REQUIRE_FALSE(other.has_value());
  CHECK(other.error().field == "HOST");
}

TEST_CASE("with documents on disk it serves while fal's schema host is out of reach") {
  const Folder cache;
  const With kept = {{"SCHEMA_CACHE_DIR", cache.path().string()}};
  {
    const Served first(kept);
    CHECK(first.post(generations, lighthouse).status == 200);
  }
  With later = kept;
  later["FAL_SCHEMA_URL"] = "http://127.0.0.1:1/openapi.json";
  const Served second(later);
  CHECK(second.post(generations, lighthouse).status == 200);
  CHECK(second.sim.stats().document_requests == 0);
}

TEST_CASE("without a document a model is unavailable, and health is well") {
  const Served server(With{{"FAL_SCHEMA_URL", "http://127.0.0.1:1/openapi.json"}});
  CHECK(server.get("/health").status == 200);
  const Received got = server.post(generations, lighthouse, "x-request-timeout: 3\r\n");
  CHECK(got.status == 503);
  CHECK(text_at(got.body, "error.code") == "model_unavailable");
  CHECK(server.get("/v1/models").status == 200);
}

TEST_CASE("no secret is ever in the log") {
  std::string log;
  {
    const Served server(With{{"DEBUG_MODE", "true"}});
    CHECK(server.post(generations, lighthouse).status == 200);
    CHECK(server.post(generations, lighthouse, "x-api-key: another-secret\r\n").status == 200);
    CHECK(eventually([&] { return server.log().find("a lighthouse") != std::string::npos; }));
    log = server.log();
  }
  CHECK(log.find("test-secret") == std::string::npos);
  CHECK(log.find(test::access_key) == std::string::npos);
  CHECK(log.find("another-secret") == std::string::npos);
}

}  // namespace
}  // namespace falproxy::app
