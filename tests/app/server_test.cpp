// What clients are answered, over real sockets; docs/clients.md names the clients that each of
// these is for.
#include <doctest/doctest.h>

#include <array>
#include <string>
#include <thread>
#include <vector>

#include "falproxy/http.hpp"
#include "falproxy/media.hpp"
#include "falproxy/openssl_codecs.hpp"
#include "served.hpp"
#include "server/answers.hpp"

namespace falproxy::app {
namespace {

using With = Environment;
using test::at;
using test::key_field;
using test::lighthouse;
using test::RawClient;
using test::Received;
using test::Served;
using test::text_at;

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
  for (const auto& [name, type] :
       {std::pair("png", media::ImageType::png), std::pair("jpeg", media::ImageType::jpeg),
        std::pair("webp", media::ImageType::webp)}) {
    CAPTURE(name);
    const Received got = server.post(
        "/v1/images/generations",
        R"({"model":"banana","prompt":"a lighthouse","response_format":"b64_json","output_format":")" +
            std::string(name) + "\"}");
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

TEST_CASE("health needs no key") {
  const Served server;
  RawClient client(server.port());
  const Received got = client.exchange(test::get("/health"));
  CHECK(got.status == 200);
  CHECK(got.body == R"({"status":"ok"})");
  CHECK(got.header("content-type") == "application/json");
}

TEST_CASE("ready means that an account and a model are usable") {
  const Served server;
  server.wait_for_documents();
  for (int i = 0; i < 200 && server.get("/ready").status != 200; ++i)
    std::this_thread::sleep_for(Milliseconds(10));
  CHECK(server.get("/ready").status == 200);
  const Served without(With{{"SUPPORTED_MODELS", "none:fal-ai/not-there"}});
  const Received got = without.get("/ready");
  CHECK(got.status == 503);
  CHECK(text_at(got.body, "status") == "unavailable");
}

TEST_CASE("the access key may come in many ways") {
  const Served server;
  RawClient client(server.port());
  const std::string key(test::access_key);
  for (const std::string& field :
       {"Authorization: Bearer " + key, "Authorization: bearer " + key,
        "authorization: BEARER   " + key + "  ", "Authorization: Key " + key,
        "Authorization: Bearer\t" + key, "Authorization: " + key, "X-Api-Key: " + key,
        "api-key: " + key, "Authorization: Bearer wrong\r\nX-Api-Key: " + key}) {
    CAPTURE(field);
    CHECK(client.exchange(test::get("/v1/models", field + "\r\n")).status == 200);
  }
}

TEST_CASE("a wrong key and none are told apart") {
  const Served server;
  RawClient client(server.port());
  for (const char* path : {"/v1/models", "/v1/models/flux", "/metrics", "/v1/falproxy/status"}) {
    CAPTURE(path);
    const Received wrong = client.exchange(test::get(path, key_field("test-access-kex")));
    CHECK(wrong.status == 401);
    CHECK(wrong.reason == "Unauthorized");
    CHECK(wrong.header("www-authenticate").starts_with("Bearer realm="));
    CHECK(text_at(wrong.body, "error.code") == "invalid_api_key");
    CHECK(text_at(wrong.body, "error.type") == "invalid_request_error");
    CHECK(at(wrong.body, "error").find("param").has_value());
    CHECK(at(wrong.body, "error").size() == 4);
    CHECK(wrong.body.find("kex") == std::string::npos);
    const Received none = client.exchange(test::get(path));
    CHECK(none.status == 401);
    CHECK(at(none.body, "error").size() == 4);
    CHECK_FALSE(text_at(none.body, "error.code").empty());
  }
}

TEST_CASE("the key is checked before the body is read") {
  const Served server;
  RawClient client(server.port());
  client.send(
      "POST /v1/images/generations HTTP/1.1\r\nHost: a\r\nContent-Type: "
      "application/json\r\nContent-Length: "
      "1000000000\r\n\r\n");
  CHECK(client.receive().status == 401);
  RawClient waiting(server.port());
  waiting.send(
      "POST /v1/images/generations HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: "
      "100-continue\r\n\r\n");
  CHECK(waiting.receive().status == 401);
}

TEST_CASE("several access keys, each with its name") {
  const Served server(With{{"ACCESS_KEYS", "ann=ann-secret-key,bob=bob-secret-key"}});
  RawClient client(server.port());
  CHECK(
      client.exchange(test::post("/v1/images/generations", lighthouse, key_field("bob-secret-key")))
          .status == 200);
  CHECK(server.get("/v1/models").status == 200);
  for (int i = 0; i < 100 && server.log().find("client=bob") == std::string::npos; ++i) {
    std::this_thread::sleep_for(Milliseconds(10));
  }
  CHECK(server.log().find("client=bob") != std::string::npos);
  CHECK(server.log().find("bob-secret-key") == std::string::npos);
}

TEST_CASE("models are listed in OpenAI's shape, with what falproxy knows of them") {
  const Served server;
  server.wait_for_documents();
  for (int i = 0; i < 200 && server.get("/ready").status != 200; ++i)
    std::this_thread::sleep_for(Milliseconds(10));
  for (const char* path :
       {"/v1/models", "/models", "/v1/models/", "//v1//models", "/v1/models?api-version=1&x"}) {
    CAPTURE(path);
    const Received got = server.get(path, "Content-Type: application/json\r\n");
    REQUIRE(got.status == 200);
    CHECK(text_at(got.body, "object") == "list");
    CHECK(at(got.body, "data").size() == 3);
    CHECK(text_at(got.body, "data.0.id") == "flux");
    CHECK(text_at(got.body, "data.0.object") == "model");
    CHECK(text_at(got.body, "data.0.owned_by") == "fal-ai");
    CHECK(at(got.body, "data.0.created").as_integer().value_or(0) > 1'600'000'000);
    CHECK(text_at(got.body, "data.0.falproxy.endpoint") == "fal-ai/flux/dev");
    CHECK(at(got.body, "data.0.falproxy.sizes").size() > 0);
  }
}

TEST_CASE("one model is found by its name, also with slashes in it, raw and encoded") {
  const Served server;
  for (const char* path :
       {"/v1/models/flux", "/models/flux", "/v1/models/sub/dir", "/v1/models/sub%2Fdir",
        "/v1/models/sub%2fdir/", "/v1//models/gpt-image-1?x=y"}) {
    CAPTURE(path);
    const Received got = server.get(path);
    CHECK(got.status == 200);
    CHECK(text_at(got.body, "object") == "model");
  }
  for (const char* path :
       {"/v1/models/nope", "/v1/models/..%2F..%2Fetc%2Fpasswd", "/v1/models/../../etc/passwd",
        "/v1/models/flux%00", "/v1/models/a%0D%0AX-Injected:%20b"}) {
    CAPTURE(path);
    const Received got = server.get(path);
    CHECK(got.status == 404);
    CHECK(text_at(got.body, "error.code") == "model_not_found");
    CHECK(text_at(got.body, "error.param") == "model");
    CHECK_FALSE(got.headers.find("x-injected").has_value());
  }
}

TEST_CASE("PUBLIC_MODELS opens the list of models, and nothing else") {
  const Served server(With{{"PUBLIC_MODELS", "true"}});
  RawClient client(server.port());
  CHECK(client.exchange(test::get("/v1/models")).status == 200);
  CHECK(client.exchange(test::get("/v1/models/flux")).status == 200);
  CHECK(client.exchange(test::get("/metrics")).status == 401);
}

TEST_CASE("HEAD works where GET does") {
  const Served server;
  RawClient client(server.port());
  for (const char* path : {"/health", "/v1/models", "/v1/models/flux", "/metrics",
                           "/v1/falproxy/status", "/playground"}) {
    CAPTURE(path);
    client.send("HEAD " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n" + key_field() + "\r\n");
    const Received got = client.receive(false);
    CHECK(got.status == 200);
    CHECK(got.header("content-length") != "0");
  }
  CHECK(client.exchange(test::get("/health")).body == R"({"status":"ok"})");
}

TEST_CASE("an unknown address and a wrong method are JSON errors") {
  const Served server;
  RawClient client(server.port());
  for (const char* path : {"/v1/ddmodels", "/v2/models", "/v1/images", "/v1/images/generations/x",
                           "/%zz", "/v1/v1/models"}) {
    CAPTURE(path);
    const Received got = client.exchange(test::get(path));
    CHECK(got.status == 404);
    CHECK(text_at(got.body, "error.code") == "unknown_url");
    CHECK(text_at(got.body, "error.message").find(path) != std::string::npos);
    CHECK(got.header("content-type") == "application/json");
  }
  const Received got = client.exchange(test::get("/v1/images/generations"));
  CHECK(got.status == 405);
  CHECK(got.header("allow") == "POST, OPTIONS");
  CHECK(client.exchange("DELETE /v1/models HTTP/1.1\r\nHost: a\r\n\r\n").header("allow") ==
        "GET, HEAD, OPTIONS");
  CHECK(client.exchange("PATCH /v1/models/flux HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
            .status == 405);
  CHECK(client.exchange(test::get("/health")).status == 200);
}

TEST_CASE("a preflight needs no key and gets what it asks for") {
  const Served server;
  RawClient client(server.port());
  const std::string asked =
      "authorization, content-type, x-stainless-lang, x-stainless-retry-count, cache-control, "
      "pragma";
  for (const char* path : {"/v1/images/generations", "/v1/models", "/nothing", "*"}) {
    CAPTURE(path);
    const Received got = client.exchange(
        "OPTIONS " + std::string(path) +
        " HTTP/1.1\r\nHost: a\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: "
        "POST\r\nAccess-Control-Request-Headers: " +
        asked + "\r\n\r\n");
    CHECK(got.status == 204);
    CHECK(got.header("access-control-allow-origin") == "*");
    CHECK(got.header("access-control-allow-headers") == asked);
    CHECK(got.header("access-control-allow-methods").find("POST") != std::string::npos);
    CHECK_FALSE(got.header("access-control-max-age").empty());
    CHECK_FALSE(got.header("x-request-id").empty());
  }
}

TEST_CASE("every answer may be read from a web page, errors included") {
  const Served server;
  RawClient client(server.port());
  const std::vector<std::string> requests = {
      test::get("/health"),
      test::get("/nothing"),
      test::get("/v1/models"),
      test::get("/v1/images/generations"),
      test::get("/metrics", key_field()),
      test::post("/v1/images/generations", "{", key_field()),
      test::post("/v1/images/generations", lighthouse, key_field()),
  };
  for (const std::string& request : requests) {
    CAPTURE(request);
    const Received got = client.exchange(request);
    CHECK(got.status > 0);
    CHECK(got.header("access-control-allow-origin") == "*");
    for (const std::string_view name : exposed_fields) {
      CHECK(got.header("access-control-expose-headers").find(name) != std::string::npos);
    }
  }
  RawClient broken(server.port());
  CHECK(broken.exchange("GARBAGE\r\n\r\n").header("access-control-allow-origin") == "*");
}

TEST_CASE("origins may be limited") {
  const Served server(With{{"CORS_ALLOW_ORIGINS", "https://a.example,https://b.example"}});
  RawClient client(server.port());
  const Received b = client.exchange(test::get("/health", "Origin: https://b.example\r\n"));
  CHECK(b.header("access-control-allow-origin") == "https://b.example");
  CHECK(b.header("vary") == "Origin");
  CHECK(client.exchange(test::get("/health", "Origin: https://c.example\r\n"))
            .header("access-control-allow-origin")
            .empty());
  CHECK(client.exchange(test::get("/health")).header("access-control-allow-origin").empty());
}

TEST_CASE("an unknown model on images is 400, never 404") {
  const Served server;
  const Received got =
      server.post("/v1/images/generations", R"({"model":"invalid-model","prompt":"a"})");
  CHECK(got.status == 400);
  CHECK(text_at(got.body, "error.param") == "model");
  CHECK(text_at(got.body, "error.code") == "invalid_value");
  CHECK(text_at(got.body, "error.type") == "image_generation_user_error");
  CHECK(text_at(got.body, "error.message").find("'invalid-model' does not exist") !=
        std::string::npos);
}

TEST_CASE("bad input gets an error of its own, and the server goes on") {
  const Served server;
  struct Case {
    std::string name;
    std::string body;
    int status;
    std::string code;
    std::string param;
  };
  std::string fields = R"({"prompt":"a")";
  for (int i = 0; i < 100'001; ++i) fields += ",\"" + std::to_string(i) + "\":1";
  const std::vector<Case> cases = {
      {"empty body", "", 400, "invalid_json", ""},
      {"not JSON", "prompt=a", 400, "invalid_json", ""},
      {"half JSON", R"({"prompt":"a)", 400, "invalid_json", ""},
      {"array", R"(["a"])", 400, "invalid_json", ""},
      {"deep", R"({"prompt":)" + std::string(10'000, '['), 400, "invalid_json", ""},
      {"many fields", fields + "}", 400, "invalid_json", ""},
      {"invalid UTF-8", "{\"prompt\":\"\xff\xfe\"}", 400, "invalid_json", ""},
      {"no prompt", R"({"model":"flux"})", 400, "missing_required_parameter", "prompt"},
      {"prompt null", R"({"model":"flux","prompt":null})", 400, "missing_required_parameter",
       "prompt"},
      {"prompt as number", R"({"model":"flux","prompt":7})", 400, "invalid_type", "prompt"},
      {"n as text", R"({"model":"flux","prompt":"a","n":"2"})", 400, "invalid_type", "n"},
      {"n huge", R"({"model":"flux","prompt":"a","n":1e308})", 400, "", "n"},
      {"n negative", R"({"model":"flux","prompt":"a","n":-1})", 400, "invalid_value", "n"},
      {"n with a fraction", R"({"model":"flux","prompt":"a","n":2.5})", 400, "", "n"},
      {"n too large", R"({"model":"flux","prompt":"a","n":11})", 400, "invalid_value", "n"},
      {"size", R"({"model":"flux","prompt":"a","size":"banana"})", 400, "invalid_value", "size"},
      {"CRLF in the model", R"({"model":"a\r\nX-Injected: b","prompt":"a"})", 400, "invalid_value",
       "model"},
      {"NUL in the model", R"({"model":"flux\u0000","prompt":"a"})", 400, "invalid_value", "model"},
      {"NUL in the prompt", R"({"model":"flux","prompt":"a\u0000b"})", 400, "invalid_value",
       "prompt"},
      {"duplicate keys", R"({"model":"flux","prompt":"a","prompt":"b"})", 400, "", "prompt"},
  };
  RawClient client(server.port());
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const Received got = client.exchange(test::post("/v1/images/generations", c.body, key_field()));
    CHECK(got.status == c.status);
    CHECK(got.header("content-type") == "application/json");
    CHECK(at(got.body, "error").size() == 4);
    CHECK(text_at(got.body, "error.param") == c.param);
    if (!c.code.empty()) CHECK(text_at(got.body, "error.code") == c.code);
    CHECK_FALSE(text_at(got.body, "error.message").empty());
    CHECK_FALSE(got.headers.find("x-injected").has_value());
    CHECK(got.header("connection").empty());
  }
  CHECK(client.exchange(test::post("/v1/images/generations", lighthouse, key_field())).status ==
        200);
  CHECK(server.sim.stats().submits == 1);
}

TEST_CASE("a body that is not what its head says") {
  const Served server;
  const std::string head =
      "POST /v1/images/generations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" +
      key_field();
  SUBCASE("100 MB") {
    RawClient client(server.port());
    const Received got = client.exchange(head + "Content-Length: 104857600\r\n\r\n");
    CHECK(got.status == 413);
    CHECK(text_at(got.body, "error.code") == "request_too_large");
    CHECK(got.header("connection") == "close");
  }
  SUBCASE("100 MB in chunks") {
    RawClient client(server.port());
    std::thread sender([&] {
      client.send(head + "Transfer-Encoding: chunked\r\n\r\n");
      const std::string chunk = "100000\r\n" + std::string(1u << 20, 'a') + "\r\n";
      for (int i = 0; i < 100 && client.send(chunk); ++i) {
      }
    });
    const Received got = client.receive();
    CHECK(got.status == 413);
    sender.join();
  }
  SUBCASE("2 MB of JSON without pictures") {
    const Received got =
        server.post("/v1/images/generations",
                    R"({"model":"flux","prompt":")" + std::string(2u << 20, 'a') + "\"}");
    CHECK(got.status == 413);
    CHECK(text_at(got.body, "error.code") == "request_too_large");
  }
  SUBCASE("shorter than it says: the client leaves") {
    RawClient client(server.port());
    client.send(head + "Content-Length: 100\r\n\r\n" + lighthouse);
    client.close();
    CHECK(server.get("/health").status == 200);
  }
  SUBCASE("longer than it says: what is left is no request") {
    RawClient client(server.port());
    client.send(head + "Content-Length: 2\r\n\r\n{}" + lighthouse + "\r\n\r\n");
    CHECK(client.receive().status == 400);
    const Received second = client.receive();
    CHECK(second.status == 400);
    CHECK(text_at(second.body, "error.code") == "bad_request");
    CHECK(client.at_end());
  }
  SUBCASE("chunks that are none") {
    RawClient client(server.port());
    const Received got =
        client.exchange(head + "Transfer-Encoding: chunked\r\n\r\nhello world\r\n");
    CHECK(got.status == 400);
    CHECK(text_at(got.body, "error.code") == "bad_request");
  }
  CHECK(server.sim.stats().submits == 0);
}

TEST_CASE("content types that an endpoint does not take") {
  const Served server;
  RawClient client(server.port());
  const auto sent_as = [&](std::string_view path, const std::string& type) {
    return client.exchange("POST " + std::string(path) +
                           " HTTP/1.1\r\nHost: a\r\nContent-Type: " + type + "\r\n" + key_field() +
                           "Content-Length: " + std::to_string(lighthouse.size()) + "\r\n\r\n" +
                           lighthouse);
  };
  CHECK(sent_as("/v1/images/generations", "application/json; charset=utf-8").status == 200);
  CHECK(sent_as("/v1/images/generations", "Application/JSON").status == 200);
  for (const char* type :
       {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"}) {
    CAPTURE(type);
    const Received got = sent_as("/v1/images/generations", type);
    CHECK(got.status == 415);
    CHECK(text_at(got.body, "error.code") == "unsupported_content_type");
  }
  CHECK(sent_as("/v1/images/edits", "text/plain").status == 415);
  CHECK(client
            .exchange(test::post("/v1/images/generations", lighthouse,
                                 key_field() + "Content-Encoding: gzip\r\n"))
            .status == 415);
}

TEST_CASE("heads and addresses that are too long") {
  const Served server;
  RawClient client(server.port());
  const Received path = client.exchange(test::get("/" + std::string(8000, 'a')));
  CHECK(path.status == 404);
  CHECK(path.body.size() < 1000);
  const Received head =
      client.exchange(test::get("/health", "X-Long: " + std::string(64u << 10, 'a') + "\r\n"));
  CHECK(head.status == 431);
  CHECK(text_at(head.body, "error.code") == "headers_too_large");
}

TEST_CASE("what OpenAI's clients send besides never breaks a request") {
  const Served server;
  RawClient client(server.port());
  for (
      const char* more :
      {R"("n":null,"size":null,"quality":null)",
       R"("size":"auto","quality":"hd","style":"natural","user":"u")",
       R"("background":"auto","moderation":"low","output_compression":100,"safety_identifier":"s")",
       R"("seed":7,"negative_prompt":"b","guidance_scale":3.5,"steps":20)",
       R"("quality":"xhigh","partial_images":0)"}) {
    CAPTURE(more);
    const std::string body = R"({"model":"flux","prompt":"ä🗼",)" + std::string(more) + "}";
    CHECK(client.exchange(test::post("/v1/images/generations", body, key_field())).status == 200);
  }
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
  server.sim.add_fault(
      {.step = falsim::Step::submit,
       .answer = falsim::Answer{
           .status = 429, .body = R"({"detail":"slow down"})", .headers = {{"retry-after", "7"}}}});
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
