// fal's own API, as fal's clients speak it, over real sockets and falsim.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "native.hpp"

namespace falproxy::app {

using namespace test;

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

}  // namespace falproxy::app
