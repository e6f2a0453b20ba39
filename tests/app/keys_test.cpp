// Keys of KEYS_FILE: who they let in, and to what.
#include <doctest/doctest.h>

#include <chrono>
#include <fstream>
#include <string>

#include "access.hpp"
#include "falproxy/openssl_codecs.hpp"
#include "folder.hpp"
#include "served.hpp"

namespace falproxy::app {
namespace {

using namespace test;

const std::string keys_pictures = "/v1/images/generations";

/// A server with a keys file and, unless `more` says so, no other key.
struct WithKeys {
  explicit WithKeys(std::string_view keys, Environment more = {})
      : server([&] {
          const std::string file = (folder.path() / "keys.json").string();
          std::ofstream(file) << keys;
          more.emplace("KEYS_FILE", file);
          more.emplace("STATE_DIR", (folder.path() / "state").string());
          return more;
        }()) {
    server.wait_for_documents();
  }
  [[nodiscard]] Received ask(const std::string& request) const {
    RawClient client(server.port());
    return client.exchange(request);
  }
  testing::Folder folder;
  Served server;
};

}  // namespace

TEST_CASE("a key of KEYS_FILE lets in, and CUSTOM_ACCESS_KEY may be left out") {
  const WithKeys world(
      R"({"ann": {"key": "ann-has-this-key"}, "bob": {"key": "bob-has-this-key"}})",
      {{"CUSTOM_ACCESS_KEY", ""}});
  CHECK(world.ask(test::get("/v1/models", key_field("ann-has-this-key"))).status == 200);
  CHECK(world.ask(test::get("/v1/models", key_field("bob-has-this-key"))).status == 200);
  CHECK(world.ask(test::get("/v1/models", key_field("bob-has-that-key"))).status == 401);
  CHECK(world.ask(test::get("/v1/models", key_field())).status == 401);
  CHECK(world.ask(test::post(keys_pictures, lighthouse, key_field("ann-has-this-key"))).status ==
        200);
  // Two keys: neither is the operator's.
  CHECK(world.ask(test::get("/metrics", key_field("ann-has-this-key"))).status == 403);
}

TEST_CASE("beside a key in a file CUSTOM_ACCESS_KEY is not the operator's") {
  const WithKeys alone(R"({"default": {"models": ["flux"]}})");
  CHECK(alone.ask(test::get("/metrics", key_field())).status == 200);
  const WithKeys beside(R"({"ann": {"key": "ann-has-this-key"}})");
  CHECK(beside.ask(test::get("/metrics", key_field())).status == 403);
}

TEST_CASE("a model outside of a key's list is refused before anything is paid, and not listed") {
  const WithKeys world(R"({"ann": {"key": "ann-has-this-key", "models": ["fl*"]}})");
  const std::string ann = key_field("ann-has-this-key");
  const Received all = world.ask(test::get("/v1/models", key_field()));
  const Received listed = world.ask(test::get("/v1/models", ann));
  CHECK(listed.status == 200);
  CHECK(listed.body.find("\"flux\"") != std::string::npos);

  std::string name;
  for (const Json& model : at(all.body, "data").elements()) {
    const std::string_view listed_name = *model["id"].as_string();
    if (!listed_name.starts_with("fl")) name = listed_name;
  }
  REQUIRE_FALSE(name.empty());
  CHECK(listed.body.find("\"" + name + "\"") == std::string::npos);
  CHECK(world.ask(test::get("/v1/models/" + name, ann)).status == 404);
  CHECK(world.ask(test::get("/v1/models/flux", ann)).status == 200);
  CHECK(world.ask(test::get("/v1/falproxy/status", ann)).body.find(name) == std::string::npos);
  for (const std::string& more : {std::string(), std::string("x-falproxy-explain: 1\r\n")}) {
    const Received refused = world.ask(
        test::post(keys_pictures, R"({"model":")" + name + R"(","prompt":"a"})", ann + more));
    CHECK(refused.status == 403);
    CHECK(text_at(refused.body, "error.code") == "model_not_allowed");
    CHECK(text_at(refused.body, "error.param") == "model");
    CHECK(refused.header("x-should-retry") == "false");
  }
  CHECK(world.ask(test::post(keys_pictures, lighthouse, ann)).status == 200);
  CHECK(world.server.sim.stats().submits == 1);
}

TEST_CASE("an expired key is told so, and its own rate is counted") {
  const WithKeys world(R"({"old": {"key": "old-has-this-key", "expires": "2020-01-01"},
                           "ann": {"key": "ann-has-this-key", "rate_limit": "2/day"},
                           "bob": {"key": "bob-has-this-key"}})");
  const Received old = world.ask(test::get("/v1/models", key_field("old-has-this-key")));
  CHECK(old.status == 401);
  CHECK(text_at(old.body, "error.message").find("expired on 2020-01-01") != std::string::npos);
  const std::string ann = key_field("ann-has-this-key"), bob = key_field("bob-has-this-key");
  for (int i = 0; i < 2; ++i)
    CHECK(world.ask(test::post(keys_pictures, lighthouse, ann)).status == 200);
  CHECK(world.ask(test::post(keys_pictures, lighthouse, ann)).status == 429);
  for (int i = 0; i < 3; ++i)
    CHECK(world.ask(test::post(keys_pictures, lighthouse, bob)).status == 200);
}

TEST_CASE("the operator makes, changes and takes away keys, which count at once") {
  const WithKeys world(R"({"ann": {"key": "ann-has-this-key"}})",
                       {{"ADMIN_KEY", "the-operators-own-key"}});
  const std::string admin = key_field("the-operators-own-key");
  const std::string keys = "/v1/falproxy/keys";
  const auto send = [&](std::string_view method, const std::string& path, const std::string& body,
                        const std::string& key) {
    std::string request = test::post(path, body, key);
    request.replace(0, 4, method);
    return world.ask(request);
  };
  CHECK(world.ask(test::get(keys, key_field("ann-has-this-key"))).status == 403);
  const Received made = send("POST", keys, R"({"name":"bob","models":["fl*"]})", admin);
  REQUIRE(made.status == 200);
  const std::string bob = key_field(text_at(made.body, "key"));
  CHECK(text_at(made.body, "key").starts_with(text_at(made.body, "prefix")));
  CHECK(world.ask(test::get("/v1/models/flux", bob)).status == 200);
  CHECK(world.ask(test::get("/v1/models/gpt-image-1", bob)).status == 404);
  const std::string all = world.ask(test::get(keys, admin)).body;
  CHECK(all.find(text_at(made.body, "key")) == std::string::npos);
  CHECK(all.find("has-this-key") == std::string::npos);
  CHECK(at(all, "data").size() == 3);
  CHECK(send("POST", keys, R"({"name":"bob"})", admin).status == 400);
  CHECK(send("POST", keys, R"({"name":"cat","budget":"5/year"})", admin).status == 400);
  CHECK(send("POST", keys, R"({"name":"*"})", admin).body.find("KEYS_FILE") != std::string::npos);
  CHECK(send("POST", keys, R"({"name":"cat","budgt":"5/day"})", admin)
            .body.find(R"(did you mean \"budget\"?")") != std::string::npos);
  CHECK(send("POST", keys, R"({"name":"cat","key":"my-own-key-here"})", admin).status == 400);
  const Received configured = send("DELETE", keys + "/ann", "", admin);
  CHECK(configured.status == 409);
  CHECK(configured.body.find("keys.json") != std::string::npos);
  CHECK(send("PATCH", keys + "/ann", R"({"budget":"1/day"})", admin).status == 409);
  CHECK(send("PATCH", keys + "/ann", R"({"blocked":false})", admin).status == 200);
  for (const char* fixed : {"key", "name"}) {
    const Received refused =
        send("PATCH", keys + "/bob", std::string("{\"") + fixed + R"(":"a-key-of-my-own"})", admin);
    CHECK(refused.status == 400);
    CHECK(text_at(refused.body, "error.param") == fixed);
    CHECK(text_at(refused.body, "error.message").find("cannot be changed") != std::string::npos);
  }
  CHECK(send("PATCH", keys + "/cat", R"({"budget":"1/day"})", admin).status == 404);
  CHECK(send("PATCH", keys + "/bob", R"({"models":null,"max_in_flight":3})", admin).status == 200);
  CHECK(world.ask(test::get("/v1/models/gpt-image-1", bob)).status == 200);
  CHECK(send("DELETE", keys + "/bob", "", admin).status == 200);
  CHECK(world.ask(test::get("/v1/models/flux", bob)).status == 401);
}

TEST_CASE("without ADMIN_KEY nobody makes keys") {
  const Served server;
  const Received refused = server.get("/v1/falproxy/keys");
  CHECK(refused.status == 403);
  CHECK(text_at(refused.body, "error.message").find("ADMIN_KEY") != std::string::npos);
}

TEST_CASE("of ten thousand keys each is found, and no other text is") {
  Settings settings;
  for (int i = 0; i < 10'000; ++i) {
    const std::string number = std::to_string(i);
    settings.keys.push_back({.name = "k" + number, .key = Secret("key-number-" + number)});
  }
  const OpensslCodecs hashes;
  const AccessBook book(settings, hashes);
  const auto check = [&](const std::string& key) {
    RequestHead head;
    head.fields.push_back({"authorization", key});
    return book.check(head, std::chrono::system_clock::now());
  };
  for (const int i : {0, 4711, 9'999}) {
    const std::string number = std::to_string(i);
    REQUIRE(check("Bearer key-number-" + number).has_value());
    CHECK(check("Bearer key-number-" + number)->client == "k" + number);
  }
  CHECK_FALSE(check("Bearer key-number-10000").has_value());
  CHECK_FALSE(check("Bearer key-number-").has_value());
}

}  // namespace falproxy::app
