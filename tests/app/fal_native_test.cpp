// fal's own API, as fal's clients speak it, over real sockets and falsim.
#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "falproxy/system_clock.hpp"
#include "folder.hpp"
#include "served.hpp"
#include "support/changed_store.hpp"
#include "support/pictures.hpp"

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

constexpr const char* native_team = "team-key-of-16-letters";

// Of a team; a picture costs 0.06.
Environment native_budget(const testing::Folder& folder, const std::string& budget = "0.10") {
  Environment settings = native_models;
  settings["STATE_DIR"] = folder.at("state");
  settings["ADMIN_KEY"] = "admin-key-of-16-letters";
  settings["KEYS_FILE"] = folder.write(
      "keys.json", R"({"team":{"key":"team-key-of-16-letters","budget":")" + budget + R"(/day"}})");
  settings["PRICES_FILE"] =
      folder.write("prices.json", R"({"fal-ai/flux/dev":{"unit_price":"0.06","unit":"images"}})");
  return settings;
}

// Once what was spent is known.
Received native_submit(const Served& served, const std::string& body = fox) {
  Received submitted;
  CHECK(eventually([&] {
    submitted = by_proxy(served, "POST", std::string(queue) + "fal-ai/flux/dev", body, native_team);
    return submitted.status != 503;
  }));
  return submitted;
}

// As the report of its key tells it.
std::optional<double> native_cost(const Served& served) {
  RawClient client(served.port());
  return at(client.exchange(get("/v1/falproxy/usage", key_field(native_team))).body,
            "data.0.cost_usd")
      .as_number();
}

falsim::Fault at_status(int status, const std::string& body) {
  falsim::Fault fault;
  fault.step = falsim::Step::status;
  fault.answer = falsim::Answer{.status = status, .body = body};
  fault.name = "status";
  return fault;
}

std::uint64_t status_faults(const falsim::FalsimStats& stats) {
  const auto found = stats.faults.find("status");
  return found == stats.faults.end() ? 0 : found->second;
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
  const Received events = below(served, "GET", path + "/status/stream");
  CHECK(events.header("content-type").starts_with("text/event-stream"));
  CAPTURE(events.body);
  CHECK(events.body.find(R"("response_url":"http://a.example/fal/queue/)") != std::string::npos);
  CHECK(events.body.find(served.sim.url()) == std::string::npos);
  CHECK(events.body.ends_with("\n\n"));
}

TEST_CASE("what fal has taken is no 502 to fal's clients, which would send it again") {
  Served served(native_models);
  served.sim.add_fault(*falsim::Fault::preset("submit_accepts_and_closes"));
  const Received got = by_proxy(served, "POST", std::string(queue) + "fal-ai/flux/dev", fox);
  CAPTURE(got.body);
  CHECK(got.status == 500);
  CHECK_FALSE(text_at(got.body, "detail").empty());
  CHECK(served.sim.stats().submits == 1);
  served.sim.add_fault(*falsim::Fault::preset("run_reset"));
  CHECK(below(served, "POST", "/fal/run/fal-ai/flux/dev", fox).status == 500);
}

TEST_CASE("an endpoint whose id ends with /stream can be run") {
  Environment settings = native_models;
  settings["SUPPORTED_MODELS"] = "speech:fal-ai/speech-to-text/stream";
  Served served(settings);
  CHECK(below(served, "POST", "/fal/run/fal-ai/speech-to-text/stream", fox).status != 403);
  CHECK(below(served, "POST", "/fal/run/fal-ai/speech-to-text", fox).status == 403);
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
  REQUIRE(served.sim.wait_for([](const falsim::FalsimStats& s) { return s.results_fetched == 1; }));
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
        "https://evil.example/", "", "https://queue.fal.run", "https://rest.fal.ai/tokens/",
        "https://rest.fal.ai/storage/upload/initiate/../../tokens"}) {
    CAPTURE(target);
    const Received got = by_proxy(served, "POST", target, fox);
    CHECK(got.status == 400);
    CHECK_FALSE(text_at(got.body, "detail").empty());
  }
  for (const char* target :
       {"https://queue.fal.run/fal-ai/flux/dev/../../../evil", "https://queue.fal.run/",
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

TEST_CASE("a native job is priced by what its model makes: seconds, characters, minutes heard") {
  const testing::Folder folder;
  // 8000 samples of 8 bit a second.
  const auto wav = [](std::uint32_t milliseconds) {
    const std::uint32_t bytes = milliseconds * 8;
    const auto number = [](std::uint32_t value) {
      std::string text(4, '\0');
      for (int i = 0; i < 4; ++i) text[i] = static_cast<char>(value >> (8 * i));
      return text;
    };
    const std::string format("\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0", 16);
    return "RIFF" + number(36 + bytes) + "WAVEfmt " + number(16) + format + "data" + number(bytes) +
           std::string(bytes, '\x80');
  };
  const auto heard = [&](std::uint32_t milliseconds) {
    return R"({"audio_url":")" + tests::data_url(wav(milliseconds), "audio/wav") + "\"}";
  };
  struct Case {
    std::string endpoint, price, too_dear, fits;
  };
  for (const Case& c : std::vector<Case>{
           {"falsim/clip/text-to-video", R"({"unit_price":"0.02","unit":"seconds"})",
            R"({"prompt":"a fox","duration":"10"})", R"({"prompt":"a fox"})"},
           {"falsim/storyteller", R"({"unit_price":"1","unit":"1000 characters"})",
            R"({"prompt":")" + std::string(200, 'a') + "\"}", R"({"prompt":"a fox"})"},
           {"falsim/listener", R"({"unit_price":"6","unit":"minutes"})", heard(2000),
            heard(500)}}) {
    CAPTURE(c.endpoint);
    Environment settings = native_budget(folder);
    settings["SUPPORTED_MODELS"] = "m:" + c.endpoint;
    settings["STATE_DIR"] = folder.at("state-" + std::to_string(c.endpoint.size()));
    settings["PRICES_FILE"] =
        folder.write("prices.json", "{\"" + c.endpoint + "\":" + c.price + "}");
    const Served served(settings);
    served.wait_for_documents();
    const auto submit = [&](const std::string& body) {
      Received got;
      CHECK(eventually([&] {
        got = by_proxy(served, "POST", queue + c.endpoint, body, native_team);
        return got.status != 503;
      }));
      return got;
    };
    const Received dear = submit(c.too_dear);
    CAPTURE(dear.body);
    CHECK(dear.status == 429);
    const Received cheap = submit(c.fits);
    CAPTURE(cheap.body);
    CHECK(cheap.status == 200);
    CHECK(served.sim.stats().submits == 1);
  }
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
    CHECK(result_of(served, fal_id).status == 200);
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

TEST_CASE("what a native job cost counts once, however often its result is fetched") {
  const testing::Folder folder;
  const Environment settings = native_budget(folder, "0.20");
  auto first = std::make_unique<Served>(settings);
  const Received submitted = native_submit(*first);
  REQUIRE(submitted.status == 200);
  const std::string job =
      std::string(queue) + "fal-ai/flux/requests/" + text_at(submitted.body, "request_id");
  const auto fetch = [&](const Served& served) {
    return by_proxy(served, "GET", job, {}, native_team).status;
  };
  CHECK(eventually([&] { return fetch(*first) == 200; }));
  CHECK(eventually([&] { return native_cost(*first) == 0.06; }));
  CHECK(fetch(*first) == 200);
  RawClient metrics(first->port());
  CHECK(metrics.exchange(get("/metrics", key_field("admin-key-of-16-letters")))
            .body.find(R"(falproxy_cost_usd_total{key="team",model="flux"} 0.06)") !=
        std::string::npos);
  first->service.reset();
  const Served second(settings, std::move(first->sim),
                      [](const falsim::Falsim&) { return Environment(); });
  CHECK(eventually([&] { return fetch(second) == 200; }));
  // What is noted after all that went before is on the disk by now.
  CHECK(native_submit(second).status == 200);
  CHECK(native_cost(second) == 0.06);
}

TEST_CASE("a native job that fails on fal's side, or is cancelled in the queue, costs nothing") {
  const testing::Folder folder;
  falsim::FalsimOptions slow;
  slow.queue_time = std::chrono::milliseconds(60'000);
  Served served(native_budget(folder), slow);
  const Received first = native_submit(served);
  REQUIRE(first.status == 200);
  CHECK(native_submit(served).status == 429);
  const auto job = [](const Received& submitted) {
    return std::string(queue) + "fal-ai/flux/requests/" + text_at(submitted.body, "request_id");
  };
  CHECK(by_proxy(served, "PUT", job(first) + "/cancel", {}, native_team).status == 202);
  const Received second = native_submit(served);
  REQUIRE(second.status == 200);
  falsim::Fault failed;
  failed.step = falsim::Step::result;
  failed.answer = falsim::Answer{.status = 500, .body = R"({"detail":"Internal Server Error"})"};
  served.sim.add_fault(failed);
  CHECK(by_proxy(served, "GET", job(second), {}, native_team).status == 500);
  CHECK(native_submit(served).status == 200);
  CHECK(native_submit(served).status == 429);
}

TEST_CASE("a run whose input fal refuses without saying its units keeps what was reserved") {
  const testing::Folder folder;
  Served served(native_budget(folder));
  falsim::Fault refused;
  refused.step = falsim::Step::run;
  refused.answer = falsim::Answer{.status = 422, .body = R"({"detail":"unsafe"})"};
  served.sim.add_fault(refused);
  const auto run = [&] {
    return by_proxy(served, "POST", "https://fal.run/fal-ai/flux/dev", fox, native_team).status;
  };
  int status = 0;
  CHECK(eventually([&] { return (status = run()) != 503; }));
  CHECK(status == 422);
  CHECK(run() == 429);
}

TEST_CASE("a native job is known though its client left while it was submitted") {
  Served served(native_models);
  falsim::Fault slow;
  slow.step = falsim::Step::submit;
  slow.delay = std::chrono::milliseconds(500);
  served.sim.add_fault(slow);
  {
    RawClient client(served.port());
    client.send("POST /fal/queue/fal-ai/flux/dev HTTP/1.1\r\nHost: a.example\r\n" + key_field() +
                "Content-Type: application/json\r\nContent-Length: " + std::to_string(fox.size()) +
                "\r\n\r\n" + fox);
    CHECK(served.sim.wait_for([](const falsim::FalsimStats& s) { return s.submits == 1; }));
  }
  const std::string fal_id = served.sim.submits().at(0).request_id;
  CHECK(eventually([&] {
    return below(served, "GET", "/fal/queue/fal-ai/flux/requests/" + fal_id + "/status").status ==
           200;
  }));
}

TEST_CASE("a failure longer than what is read of it is whole in its framing") {
  Served served(native_models);
  falsim::Fault refused;
  refused.step = falsim::Step::run;
  refused.answer =
      falsim::Answer{.status = 422, .body = "{\"detail\":\"" + std::string(100'000, 'x') + "\"}"};
  served.sim.add_fault(refused);
  const Received got = below(served, "POST", "/fal/run/fal-ai/flux/dev", fox);
  CHECK(got.status == 422);
  CHECK(got.body.size() == 64u << 10);
}

TEST_CASE("an answer of fal's queue that breaks off is not told as whole") {
  Served served(native_models);
  const Received whole = below(served, "POST", "/fal/queue/fal-ai/flux/dev", fox);
  REQUIRE(whole.status == 200);
  falsim::Fault cut;
  cut.step = falsim::Step::submit;
  cut.cut_after = 10;
  served.sim.add_fault(cut);
  cut.step = falsim::Step::status;
  served.sim.add_fault(cut);
  // fal's clients would send it again after a 502.
  CHECK(below(served, "POST", "/fal/queue/fal-ai/flux/dev", fox).status == 500);
  CHECK(below(served, "GET",
              "/fal/queue/fal-ai/flux/requests/" + text_at(whole.body, "request_id") + "/status")
            .status == 502);
}

TEST_CASE("a native job that cannot be noted is cancelled, and answered 503") {
  struct Full final : StateStore {
    void write(const RunRecord&, Durability, TimePoint, Callback<Done> done) override {
      done(StoreError{StoreFault::unavailable, "the disk is full"});
    }
    void erase(const RunId&, TimePoint, Callback<Done> done) override { done(Done{}); }
    void find(const RunQuery&, TimePoint, Callback<std::vector<RunRecord>> done) override {
      done(std::vector<RunRecord>());
    }
    void forget_expired(WallTime, TimePoint, Callback<std::uint64_t> done) override { done(0u); }
    [[nodiscard]] StoreStatus status() const override { return {}; }
  };
  falsim::FalsimOptions slow;
  slow.queue_time = std::chrono::milliseconds(60'000);
  Served served(native_models, slow, std::make_unique<Full>());
  const Received got = by_proxy(served, "POST", std::string(queue) + "fal-ai/flux/dev", fox);
  CHECK(got.status == 503);
  CHECK_FALSE(text_at(got.body, "detail").empty());
  CHECK(served.sim.stats().cancelled == 1);
  CHECK(served.sim.stats().foreign_keys == 0);
}

TEST_CASE("a native job is settled once, though its end could not be noted at first") {
  // Told as failed, though it may be done.
  static SystemClock system;
  struct Failing final : tests::ChangedStore {
    explicit Failing(bool done) : ChangedStore(system), is_done(done) {}
    void write(const RunRecord& record, Durability durability, TimePoint deadline,
               Callback<Done> done) override {
      const bool fails = record.state == RunState::completed && failures < 1;
      if (!fails) return ChangedStore::write(record, durability, deadline, std::move(done));
      ++failures;
      if (is_done)
        ChangedStore::write(record, durability, deadline, [](const auto& /*written*/) {});
      done(StoreError{StoreFault::timed_out, "the disk is slow", true});
    }
    const bool is_done;
    std::atomic<int> failures = 0;
  };
  for (const bool is_done : {false, true}) {
    CAPTURE(is_done);
    const testing::Folder folder;
    auto store = std::make_unique<Failing>(is_done);
    const Failing& failing = *store;
    const Served served(native_budget(folder), Served::quick(), std::move(store));
    REQUIRE(native_submit(served).status == 200);
    CHECK(eventually([&] { return native_cost(served) == 0.06; }));
    CHECK(failing.failures == 1);
    CHECK(native_submit(served).status == 429);
  }
}

TEST_CASE("looking at a native job does not say that fal takes more from its key") {
  Environment settings = native_models;
  settings["AI_KEYS"] = "one-id:one-secret";
  Served served(settings);
  const auto draw = [&] {
    return served.post("/v1/images/generations", lighthouse, "x-request-timeout: 1\r\n").status;
  };
  const Received submitted = by_proxy(served, "POST", std::string(queue) + "fal-ai/flux/dev", fox);
  REQUIRE(submitted.status == 200);
  falsim::Fault busy;
  busy.step = falsim::Step::submit;
  busy.times = 1;
  busy.answer = falsim::Answer{.status = 429, .body = R"({"detail":"Too many requests"})"};
  busy.answer->headers.set("Retry-After", "60");
  served.sim.add_fault(busy);
  CHECK(draw() != 200);
  result_of(served, text_at(submitted.body, "request_id"));
  CHECK(draw() != 200);
  CHECK(served.sim.stats().submits == 1);
}

TEST_CASE("a native job holds its place at the account until it ends") {
  Environment settings = native_models;
  settings["AI_KEYS"] = "one-id:one-secret";
  settings["MAX_JOBS_PER_ACCOUNT"] = "1";
  Served served(settings);
  const Received submitted = by_proxy(served, "POST", std::string(queue) + "fal-ai/flux/dev",
                                      R"({"prompt":"a fox falsim:queue_time=60000"})");
  REQUIRE(submitted.status == 200);
  const auto draw = [&] {
    return served.post("/v1/images/generations", lighthouse, "x-request-timeout: 1\r\n").status;
  };
  CHECK(draw() != 200);
  CHECK(served.sim.stats().submits == 1);
  CHECK(by_proxy(served, "PUT",
                 std::string(queue) + "fal-ai/flux/requests/" +
                     text_at(submitted.body, "request_id") + "/cancel")
            .status == 202);
  CHECK(eventually([&] { return draw() == 200; }));
  // A job that has ended gives it back, though nobody asks for it.
  CHECK(by_proxy(served, "POST", std::string(queue) + "fal-ai/flux/dev", fox).status == 200);
  CHECK(eventually([&] { return draw() == 200; }));
}

TEST_CASE("a native job whose result nobody fetches is settled by what fal says of it") {
  const testing::Folder folder;
  const Served served(native_budget(folder));
  REQUIRE(native_submit(served).status == 200);
  CHECK(eventually([&] { return native_cost(served) == 0.06; }));
  CHECK(native_submit(served).status == 429);
}

TEST_CASE("a native job that fails costs nothing, though nobody asks for it") {
  const testing::Folder folder;
  Served served(native_budget(folder));
  falsim::Fault failing;
  failing.step = falsim::Step::result;
  failing.answer = falsim::Answer{.status = 500, .body = R"({"detail":"Internal Server Error"})"};
  served.sim.add_fault(failing);
  for (int i = 0; i < 3; ++i) {
    CAPTURE(i);
    CHECK(eventually([&] { return native_submit(served).status == 200; }));
  }
  CHECK(native_cost(served) == 0);
}

TEST_CASE("the next process goes on with a native job, and settles it once") {
  const testing::Folder folder;
  const Environment settings = native_budget(folder, "0.20");
  auto first = std::make_unique<Served>(settings);
  // Nobody sees its end.
  first->sim.add_fault(at_status(500, R"({"detail":"Internal Server Error"})"));
  REQUIRE(native_submit(*first).status == 200);
  CHECK(first->sim.wait_for([](const falsim::FalsimStats& s) { return status_faults(s) > 1; }));
  first->service.reset();
  CHECK(first->sim.stats().results_fetched == 0);
  first->sim.clear_faults();
  {
    const Served second(settings, std::move(first->sim),
                        [](const falsim::Falsim&) { return Environment(); });
    CHECK(eventually([&] { return native_cost(second) == 0.06; }));
    CHECK(second.log().find("earlier process were found") == std::string::npos);
  }
}

TEST_CASE(
    "a native job that fal knows a moment later than it has said so is settled all the same") {
  const testing::Folder folder;
  Served served(native_budget(folder));
  falsim::Fault unknown = at_status(404, R"({"detail":"Not Found"})");
  unknown.times = 2;
  served.sim.add_fault(unknown);
  REQUIRE(native_submit(served).status == 200);
  CHECK(eventually([&] { return native_cost(served) == 0.06; }));
  CHECK(status_faults(served.sim.stats()) == 2);
}

}  // namespace falproxy::app
