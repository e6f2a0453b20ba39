// Who is let in: keys, models, preflights and addresses, over real sockets.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "rate_limit.hpp"
#include "served.hpp"

namespace falproxy::app {
namespace {

using With = Environment;
using namespace test;

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

TEST_CASE("the eleventh wrong key of an address waits for its answer, and holds up nobody else") {
  const Served server;
  const auto try_one = [&](const std::string& request) {
    RawClient client(server.port());
    return client.exchange(request);
  };
  const std::string wrong = key_field("wrong-access-key");
  for (int i = 0; i < 10; ++i) CHECK(try_one(test::get("/v1/models", wrong)).status == 401);
  for (const std::string& request :
       {test::get("/v1/models", wrong), test::post("/v1/images/generations", lighthouse, wrong)}) {
    const auto before = std::chrono::steady_clock::now();
    RawClient late(server.port());
    late.send(request);
    // The right key is right from the same address, and many may wait.
    CHECK(server.get("/v1/models").status == 200);
    const Received got = late.receive();
    CHECK(std::chrono::steady_clock::now() - before >= WrongKeys::delay);
    CHECK(got.status == 401);
    CHECK(text_at(got.body, "error.code") == "invalid_api_key");
    CHECK(got.header("www-authenticate").starts_with("Bearer realm="));
    CHECK(got.header("access-control-allow-origin") == "*");
    CHECK_FALSE(got.header("x-request-id").empty());
  }
  // No key at all is no guess.
  CHECK(try_one(test::get("/v1/models")).status == 401);
}

TEST_CASE("the operator's key sees everything and makes no pictures, an access key sees its own") {
  const Served server(With{{"ADMIN_KEY", "the-operators-own-key"},
                           {"ACCESS_KEYS", "ann=ann-secret-key,bob=bob-secret-key"}});
  const auto ask = [&](const std::string& request) {
    RawClient client(server.port());
    return client.exchange(request);
  };
  const std::string admin = key_field("the-operators-own-key");
  const std::string ann = key_field("ann-secret-key");
  const std::string bob = key_field("bob-secret-key");
  const std::string path = "/v1/images/generations";
  CHECK(ask(test::post(path, lighthouse, ann)).status == 200);
  CHECK(ask(test::post(path, R"({"model":"anns-own-model","prompt":"a"})", ann)).status == 400);

  const std::string all = ask(test::get("/v1/falproxy/status", admin)).body;
  CHECK(at(all, "requests").as_integer() == 2);
  CHECK(text_at(all, "errors.0.model") == "anns-own-model");
  CHECK(at(all, "accounts").size() == 1);
  CHECK(ask(test::get("/metrics", admin)).status == 200);

  const std::string anns = ask(test::get("/v1/falproxy/status", ann)).body;
  CHECK(at(anns, "requests").as_integer() == 2);
  CHECK(at(anns, "failures").as_integer() == 1);
  CHECK(at(anns, "images").as_integer() == 1);
  CHECK(text_at(anns, "errors.0.model") == "anns-own-model");
  const std::string bobs = ask(test::get("/v1/falproxy/status", bob)).body;
  CHECK(at(bobs, "requests").as_integer() == 0);
  CHECK(at(bobs, "errors").size() == 0);
  CHECK(at(bobs, "models").size() == 3);
  for (const char* everybodys : {"accounts", "in_flight", "connections", "fibers"}) {
    CHECK(at(bobs, everybodys).is_null());
    CHECK_FALSE(at(all, everybodys).is_null());
  }
  CHECK(bobs.find("anns-own-model") == std::string::npos);

  for (const std::string& key : {ann, bob, key_field()}) {
    const Received refused = ask(test::get("/metrics", key));
    CHECK(refused.status == 403);
    CHECK(text_at(refused.body, "error.code") == "insufficient_permissions");
    CHECK(text_at(refused.body, "error.message").find("ADMIN_KEY") != std::string::npos);
  }
  const Received refused = ask(test::post(path, lighthouse, admin));
  CHECK(refused.status == 403);
  CHECK(text_at(refused.body, "error.message").find("Send an access key") != std::string::npos);
  CHECK(ask(test::get("/v1/models", admin)).status == 200);
  // Both keys at once: one makes the pictures, the other sees.
  CHECK(ask(test::post(path, lighthouse, ann + "X-Api-Key: the-operators-own-key\r\n")).status ==
        200);
}

TEST_CASE("CUSTOM_ACCESS_KEY is the operator's if it is the only key") {
  const Served alone;
  CHECK(alone.get("/metrics").status == 200);
  CHECK_FALSE(at(alone.get("/v1/falproxy/status").body, "accounts").is_null());
  const Served with_others(With{{"ACCESS_KEYS", "ann=ann-secret-key"}});
  CHECK(with_others.get("/metrics").status == 403);
  CHECK(at(with_others.get("/v1/falproxy/status").body, "accounts").is_null());
  const Served with_operator(With{{"ADMIN_KEY", "the-operators-own-key"}});
  CHECK(with_operator.get("/metrics").status == 403);
}

TEST_CASE("what a client sends is cut in its answer, the log and the status") {
  const Served server(With{{"STRICT_PARAMETERS", "true"}});
  const std::string path = "/v1/images/generations";
  const std::string name(4'000'000, 'n');
  for (const std::string& body :
       {R"({"prompt":"a",")" + name + R"(":1,")" + name + "\":2}",
        R"({"prompt":"a","model":")" + std::string(900'000, 'm') + "\"}",
        R"({"prompt":"a",")" + std::string(900'000, 'f') + "\":1}",
        R"({"prompt":"a","size":")" + std::string(900'000, 's') + "\"}"}) {
    const Received got = server.post(path, body);
    CHECK(got.status == 400);
    CHECK(got.body.size() < 6000);
    CHECK((got.body.find("bytes more)") != std::string::npos ||
           text_at(got.body, "error.param") == "model"));
  }
  CHECK(server.get("/v1/falproxy/status").body.size() < 40'000);
  for (int i = 0; i < 1000 && server.log().find("/v1/falproxy") == std::string::npos &&
                  std::ranges::count(server.log(), '\n') < 5;
       ++i)
    std::this_thread::sleep_for(Milliseconds(10));
  CHECK(server.log().size() < 40'000);
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
       {"/v1/models", "/models", "/v1/models/", "//v1//models", "/v1/models?api-version=1&x",
        "/v1/v1/models", "/api/v1/models", "/openai/v1/models"}) {
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
                           "/v1/falproxy/status", "/playground/"}) {
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
  for (const char* path :
       {"/v1/ddmodels", "/v2/models", "/v1/pictures", "/v1/images/generations/x", "/%zz"}) {
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

}  // namespace
}  // namespace falproxy::app
