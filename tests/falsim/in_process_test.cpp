#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "falproxy/fal_desk.hpp"
#include "falproxy/media.hpp"

using namespace std::chrono_literals;
using falproxy::TransportFault;
using falproxy::testing::DeskOptions;
using falproxy::testing::Fault;
using falproxy::testing::InProcessFal;
using falproxy::testing::Step;
using falproxy::testing::VirtualClock;

namespace {

/// A caller of fal over nothing but function calls.
struct Caller {
  explicit Caller(DeskOptions options = {.job_time = 60s}) : fal(clock, std::move(options)) {}

  falproxy::Result<falproxy::HttpResponse, falproxy::TransportError> ask(
      const std::string& method, const std::string& url, const std::string& body = {},
      std::chrono::seconds within = 600s) {
    const falproxy::HttpRequest request{.method = method,
                                        .url = url,
                                        .headers = {{"Authorization", "Key id:secret"}},
                                        .body = falproxy::Body(body)};
    return fetch(fal, request, clock.now() + within, stop, 64u << 20);
  }
  nlohmann::json submit(const std::string& input) {
    const auto answer =
        ask("POST", std::string(InProcessFal::queue_url) + "/fal-ai/flux/dev", input);
    REQUIRE(answer.has_value());
    REQUIRE(answer->head.status == 200);
    return nlohmann::json::parse(answer->body);
  }

  VirtualClock clock;
  InProcessFal fal;
  std::stop_token stop;
};

}  // namespace

TEST_CASE("in the process a job of a minute takes a minute of the virtual clock") {
  Caller caller;
  const falproxy::TimePoint before = caller.clock.now();
  const nlohmann::json job = caller.submit(R"({"prompt":"x","image_size":"square"})");
  CHECK(caller.clock.now() == before);
  const auto stream = caller.ask("GET", std::string(job["status_url"]) + "/stream");
  REQUIRE(stream.has_value());
  CHECK(stream->body.find("COMPLETED") != std::string::npos);
  CHECK(stream->body.find(": ping") != std::string::npos);
  CHECK(caller.clock.now() - before == 60s);
  const auto result = caller.ask("GET", job["response_url"]);
  REQUIRE(result.has_value());
  const nlohmann::json image = nlohmann::json::parse(result->body)["images"][0];
  const auto picture = caller.ask("GET", image["url"]);
  REQUIRE(picture.has_value());
  CHECK(falproxy::media::dimensions(picture->body) == falproxy::media::Dimensions{512, 512});
  CHECK(caller.fal.desk().stats().submits == 1);
  CHECK(caller.fal.desk().stats().results_fetched == 1);
}

TEST_CASE("what the encoder does not make becomes a PNG, and says so") {
  Caller caller;
  const nlohmann::json job = caller.submit(R"({"prompt":"x","output_format":"jpeg"})");
  (void)caller.ask("GET", std::string(job["status_url"]) + "/stream");
  const auto result = caller.ask("GET", job["response_url"]);
  REQUIRE(result.has_value());
  const nlohmann::json image = nlohmann::json::parse(result->body)["images"][0];
  CHECK(image["content_type"] == "image/png");
  CHECK(std::string(image["url"]).ends_with(".png"));
}

TEST_CASE("in the process faults of the wire are faults of the transport") {
  struct Row {
    const char* fault;
    TransportFault want;
  };
  for (const Row& row : {Row{"submit_reset_unread", TransportFault::interrupted},
                         Row{"submit_reset", TransportFault::interrupted},
                         Row{"submit_silence", TransportFault::timed_out}}) {
    CAPTURE(row.fault);
    Caller caller;
    caller.fal.desk().add_fault(*Fault::preset(row.fault));
    const auto answer = caller.ask(
        "POST", std::string(InProcessFal::queue_url) + "/fal-ai/flux/dev", R"({"prompt":"x"})");
    REQUIRE(!answer.has_value());
    CHECK(answer.error().fault == row.want);
    CHECK(!answer.error().nothing_sent);
    CHECK(caller.fal.desk().submits().size() == 1);
  }
}

TEST_CASE(
    "in the process answers are cut and dripped, and hosts that there are not are out of reach") {
  Caller caller;
  const std::string document =
      std::string(InProcessFal::schema_url) + "?endpoint_id=fal-ai/flux/dev";
  const auto whole = caller.ask("GET", document);
  REQUIRE(whole.has_value());
  caller.fal.desk().add_fault({.step = Step::document, .times = 1, .cut_after = 500});
  const auto cut = caller.ask("GET", document);
  REQUIRE(!cut.has_value());
  CHECK(cut.error().fault == TransportFault::interrupted);
  caller.fal.desk().add_fault(
      {.step = Step::document, .drip_bytes = 100, .drip_tick = std::chrono::milliseconds(50)});
  const falproxy::TimePoint before = caller.clock.now();
  const auto dripped = caller.ask("GET", document);
  REQUIRE(dripped.has_value());
  CHECK(dripped->body == whole->body);
  const auto drips = static_cast<long>((dripped->body.size() + 99) / 100);
  CHECK(caller.clock.now() - before == 50ms * (drips - 1));
  const auto nowhere = caller.ask("GET", "https://fal.example/");
  REQUIRE(!nowhere.has_value());
  CHECK(nowhere.error().fault == TransportFault::unreachable);
  CHECK(nowhere.error().nothing_sent);
}

TEST_CASE("in the process a caller that stops or has no more time leaves") {
  Caller caller;
  const nlohmann::json job = caller.submit(R"({"prompt":"x"})");
  const auto late = caller.ask("GET", std::string(job["status_url"]) + "/stream", {}, 5s);
  REQUIRE(!late.has_value());
  CHECK(late.error().fault == TransportFault::timed_out);
  std::stop_source source;
  caller.stop = source.get_token();
  caller.clock.at(caller.clock.now() + 3s, [&source] { source.request_stop(); });
  const auto stopped = caller.ask("GET", std::string(job["status_url"]) + "/stream");
  REQUIRE(!stopped.has_value());
  CHECK(stopped.error().fault == TransportFault::cancelled);
  CHECK(caller.fal.desk().stats().streams_open == 0);
  CHECK(caller.fal.desk().stats().in_progress == 1);
}

TEST_CASE("many threads ask one desk at once") {
  Caller caller({.job_time = 2s});
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&caller] {
      for (int k = 0; k < 20; ++k)
        (void)caller.ask("POST", std::string(InProcessFal::run_url) + "/fal-ai/flux/dev",
                         R"({"prompt":"x"})");
    });
  }
  threads.clear();
  CHECK(caller.fal.desk().stats().completed == 160);
}
