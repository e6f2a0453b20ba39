// What becomes of a job of fal's own API: its price, its place, its end.
#include <doctest/doctest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "falproxy/system_clock.hpp"
#include "native.hpp"
#include "support/changed_store.hpp"
#include "support/pictures.hpp"

namespace falproxy::app {

using namespace test;

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
