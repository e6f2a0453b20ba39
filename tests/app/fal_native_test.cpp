// fal's own API, as fal's clients speak it, over real sockets and falsim.
#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include "folder.hpp"
#include "served.hpp"

namespace falproxy::app {
namespace {

using namespace test;

const Environment native_models{
    {"SUPPORTED_MODELS", "flux:fal-ai/flux/dev,nano:fal-ai/nano-banana+fal-ai/nano-banana/edit"},
    {"ACCESS_KEYS", "other=other-key-of-16-letters"},
    {"AI_KEYS", "one-id:one-secret,two-id:two-secret"}};
const std::string fox = R"({"prompt":"a fox","seed":9007199254740993})";

// As @fal-ai/client sends it with a proxyUrl.
Received by_proxy(const Served& served, const std::string& method, const std::string& target,
                  const std::string& body = {}, std::string_view key = access_key) {
  RawClient client(served.port());
  client.send(method + " /api/fal/proxy HTTP/1.1\r\nHost: a.example\r\nAuthorization: Key " +
              std::string(key) + "\r\nx-fal-target-url: " + target +
              "\r\nContent-Type: application/json\r\nx-fal-queue-priority: low\r\nCookie: a=b\r\n"
              "Content-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
  return client.receive();
}

Received below(const Served& served, const std::string& method, const std::string& path,
               const std::string& body = {}, const std::string& fields = {}) {
  RawClient client(served.port());
  client.send(method + " " + path + " HTTP/1.1\r\nHost: a.example\r\n" + key_field() + fields +
              "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
              "\r\n\r\n" + body);
  return client.receive();
}

constexpr const char* queue = "https://queue.fal.run/";

// Waits for the end; the result.
Received result_of(const Served& served, const std::string& fal_id) {
  const std::string job = std::string(queue) + "fal-ai/flux/requests/" + fal_id;
  for (int tries = 0; tries < 1'000; ++tries) {
    const Received status = by_proxy(served, "GET", job + "/status?logs=1");
    if (text_at(status.body, "status") == "COMPLETED") break;
    std::this_thread::sleep_for(Milliseconds(10));
  }
  return by_proxy(served, "GET", job);
}

}  // namespace

TEST_CASE("fal's client submits, asks and fetches through the proxy, with this server's key") {
  Served served(native_models);
  const Received submitted =
      by_proxy(served, "POST", std::string(queue) + "fal-ai/flux/dev?fal_max_queue_length=5", fox);
  CAPTURE(submitted.body);
  REQUIRE(submitted.status == 200);
  const std::string fal_id = text_at(submitted.body, "request_id");
  const auto seen = served.sim.submits().at(0);
  CHECK(seen.input == fox);
  CHECK(seen.headers.find("authorization")->starts_with("Key "));
  CHECK(seen.headers.find("authorization")->find(access_key) == std::string_view::npos);
  CHECK(seen.headers.find("x-fal-queue-priority") == "low");
  CHECK_FALSE(seen.headers.find("cookie"));
  CHECK_FALSE(seen.headers.find("x-fal-target-url"));
  CHECK(text_at(submitted.body, "status_url").starts_with(served.sim.url()));
  const Received result = result_of(served, fal_id);
  CHECK(result.status == 200);
  CHECK(text_at(result.body, "images.0.url").starts_with(served.sim.url()));
  CHECK_FALSE(result.header("x-fal-request-id").empty());
  CHECK_FALSE(result.header("x-fal-billable-units").empty());
  CHECK(result.header("access-control-expose-headers").find("x-fal-billable-units") !=
        std::string::npos);
  CHECK(served.sim.stats().foreign_keys == 0);
}

TEST_CASE("below /fal/queue the addresses of a job lead back here") {
  Served served(native_models);
  const Received submitted =
      below(served, "POST", "/fal/queue/fal-ai/flux/dev", fox, "X-Forwarded-Proto: https\r\n");
  REQUIRE(submitted.status == 200);
  const std::string fal_id = text_at(submitted.body, "request_id");
  const std::string here = "https://a.example/fal/queue/fal-ai/flux/requests/" + fal_id;
  CHECK(text_at(submitted.body, "status_url") == here + "/status");
  CHECK(text_at(submitted.body, "response_url") == here);
  CHECK(text_at(submitted.body, "cancel_url") == here + "/cancel");
  const std::string path = "/fal/queue/fal-ai/flux/requests/" + fal_id;
  CHECK(eventually([&] {
    return text_at(below(served, "GET", path + "/status").body, "status") == "COMPLETED";
  }));
  CHECK(text_at(below(served, "GET", path + "/status").body, "response_url")
            .starts_with("http://a.example/fal/queue/"));
  CHECK(at(below(served, "GET", path).body, "images").size() == 1);
  CHECK(below(served, "GET", path + "/status/stream")
            .header("content-type")
            .starts_with("text/event-stream"));
}

TEST_CASE("a run answers with the raw output, and a model's own stream as it comes") {
  Served served(native_models);
  const Received run = below(served, "POST", "/fal/run/fal-ai/flux/dev", fox);
  CHECK(run.status == 200);
  CHECK(text_at(run.body, "images.0.url").starts_with(served.sim.url()));
  const Received stream = by_proxy(served, "POST", "https://fal.run/fal-ai/flux/dev/stream", fox);
  CHECK(stream.header("content-type").starts_with("text/event-stream"));
  CHECK(stream.body.find("data: ") != std::string::npos);
  const Received wrong = below(served, "POST", "/fal/run/fal-ai/flux/dev", R"({"prompt":7})");
  CHECK(wrong.status == 422);
  CHECK(at(wrong.body, "detail").is_array());
}

TEST_CASE("a job is its submitter's: to others, and if nobody has it, fal is not asked") {
  Served served(native_models);
  const Received submitted = by_proxy(served, "POST", std::string(queue) + "fal-ai/flux/dev", fox);
  const std::string job = std::string(queue) + "fal-ai/flux/requests/";
  const std::string fal_id = text_at(submitted.body, "request_id");
  const std::uint64_t before = served.sim.stats().requests;
  for (const Received& got :
       {by_proxy(served, "GET", job + fal_id + "/status", {}, "other-key-of-16-letters"),
        by_proxy(served, "PUT", job + fal_id + "/cancel", {}, "other-key-of-16-letters"),
        by_proxy(served, "GET", job + "00000000-0000-4000-8000-000000000000")}) {
    CHECK(got.status == 404);
    CHECK(got.body == R"({"status":"NOT_FOUND"})");
  }
  CHECK(served.sim.stats().requests == before);
}

TEST_CASE("a job is cancelled by who submitted it, with the key that did") {
  falsim::FalsimOptions slow;
  slow.queue_time = std::chrono::milliseconds(60'000);
  Served served(native_models, slow);
  for (int i = 0; i < 4; ++i) {
    const Received submitted =
        by_proxy(served, "POST", std::string(queue) + "fal-ai/flux/dev", fox);
    const std::string fal_id = text_at(submitted.body, "request_id");
    const Received cancelled =
        by_proxy(served, "PUT", std::string(queue) + "fal-ai/flux/requests/" + fal_id + "/cancel");
    CHECK(cancelled.status == 202);
  }
  CHECK(served.sim.stats().cancelled == 4);
  CHECK(served.sim.stats().foreign_keys == 0);
}

TEST_CASE("only fal's own hosts and this server's models are asked for") {
  Served served(native_models);
  for (const char* target :
       {"http://queue.fal.run/fal-ai/flux/dev",
        "https://queue.fal.run.evil.example/fal-ai/flux/dev",
        "https://queue.fal.run:443/fal-ai/flux/dev", "https://a@queue.fal.run/fal-ai/flux/dev",
        "https://queue.fal.run./fal-ai/flux/dev",
        "https://queue.fal.run\\@evil.example/fal-ai/flux/dev", "https://api.fal.ai/v1/models",
        "https://evil.example/", "", "https://queue.fal.run"}) {
    CAPTURE(target);
    const Received got = by_proxy(served, "POST", target, fox);
    CHECK(got.status == 400);
    CHECK_FALSE(text_at(got.body, "detail").empty());
  }
  for (const char* target :
       {"https://rest.fal.ai/tokens/", "https://rest.fal.ai/storage/upload/initiate/../../tokens",
        "https://queue.fal.run/fal-ai/flux/dev/../../../evil", "https://queue.fal.run/",
        "https://queue.fal.run/fal-ai/flux/requests/a%2fb",
        "https://queue.fal.run/fal-ai/flux/requests/../x/status"}) {
    CAPTURE(target);
    const Received got = by_proxy(served, "POST", target, fox);
    CHECK((got.status == 404 || got.status == 405));
  }
  const Received other = by_proxy(served, "POST", std::string(queue) + "fal-ai/fast-sdxl", fox);
  CHECK(other.status == 403);
  CHECK_FALSE(text_at(other.body, "detail").empty());
  CHECK(by_proxy(served, "GET", std::string(queue) + "fal-ai/flux/dev").status == 405);
  const Received stranger =
      by_proxy(served, "POST", std::string(queue) + "fal-ai/flux/dev", fox, "no-such-key-at-all");
  CHECK(stranger.status == 401);
  CHECK_FALSE(text_at(stranger.body, "detail").empty());
  CHECK(served.sim.stats().submits == 0);
  CHECK(served.sim.stats().elsewhere == 0);
}

TEST_CASE("an upload is begun through the proxy, and the switch turns all of it off") {
  {
    Served served(native_models);
    const Received upload = by_proxy(
        served, "POST", "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3",
        R"({"content_type":"image/png","file_name":"a.png"})");
    CHECK(upload.status == 200);
    CHECK_FALSE(text_at(upload.body, "upload_url").empty());
  }
  Environment settings = native_models;
  settings["FAL_NATIVE"] = "false";
  Served served(settings);
  CHECK(by_proxy(served, "POST", std::string(queue) + "fal-ai/flux/dev", fox).status == 404);
}

TEST_CASE("a submit that fal refuses for its key goes to the next account") {
  Served served(native_models);
  falsim::Fault locked;
  locked.step = falsim::Step::submit;
  locked.key = "one-id:one-secret";
  locked.answer = falsim::Answer{
      .status = 403, .body = R"({"detail":"User is locked. Reason: Exhausted balance."})"};
  served.sim.add_fault(locked);
  for (int i = 0; i < 3; ++i) {
    const Received submitted =
        by_proxy(served, "POST", std::string(queue) + "fal-ai/flux/dev", fox);
    CHECK(submitted.status == 200);
    CHECK(result_of(served, text_at(submitted.body, "request_id")).status == 200);
  }
}

TEST_CASE(
    "a native job of a key with a budget is reserved at the submit and settled with its result") {
  testing::Folder folder;
  Environment settings = native_models;
  settings["KEYS_FILE"] = folder.write(
      "keys.json",
      R"({"team":{"key":"team-key-of-16-letters","budget":"0.10/day","on_state_loss":"allow"}})");
  settings["PRICES_FILE"] =
      folder.write("prices.json", R"({"fal-ai/flux/dev":{"unit_price":"0.06","unit":"images"}})");
  Served served(settings);
  const auto submit = [&] {
    return by_proxy(served, "POST", std::string(queue) + "fal-ai/flux/dev", fox,
                    "team-key-of-16-letters");
  };
  Received first;
  REQUIRE(eventually([&] {
    first = submit();
    return first.status != 503;
  }));
  CAPTURE(first.body);
  REQUIRE(first.status == 200);
  const Received second = submit();
  CHECK(second.status == 429);
  CHECK_FALSE(text_at(second.body, "detail").empty());
  CHECK(served.sim.stats().submits == 1);
  const std::string job =
      std::string(queue) + "fal-ai/flux/requests/" + text_at(first.body, "request_id");
  CHECK(eventually(
      [&] { return by_proxy(served, "GET", job, {}, "team-key-of-16-letters").status == 200; }));
  CHECK(eventually([&] {
    RawClient client(served.port());
    const Received usage =
        client.exchange(get("/v1/falproxy/usage", key_field("team-key-of-16-letters")));
    return at(usage.body, "data.0.cost_usd").as_number() == 0.06;
  }));
}

TEST_CASE("a restart still knows whose a job is, and asks fal for it") {
  const testing::Folder folder;
  Environment settings = native_models;
  settings["STATE_DIR"] = folder.path();
  std::string fal_id;
  {
    Served served(settings);
    fal_id = text_at(by_proxy(served, "POST", std::string(queue) + "fal-ai/flux/dev", fox).body,
                     "request_id");
  }
  Served served(settings);
  const std::string job = std::string(queue) + "fal-ai/flux/requests/" + fal_id;
  served.wait_for_documents();
  const std::uint64_t before = served.sim.stats().requests;
  CHECK(by_proxy(served, "GET", job, {}, "other-key-of-16-letters").status == 404);
  CHECK(served.sim.stats().requests == before);
  CHECK(by_proxy(served, "GET", job).status == 404);  // this falsim does not know it
  CHECK(served.sim.stats().requests > before);
}

}  // namespace falproxy::app
