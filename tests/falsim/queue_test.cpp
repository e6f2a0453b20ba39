#include <doctest/doctest.h>

#include "client.hpp"

using namespace std::chrono_literals;
using namespace falsim_test;
using falsim::Falsim;

namespace {

Falsim start(falsim::FalsimOptions options = {.job_time = 0ms}) {
  falproxy::Result<Falsim> sim = Falsim::start(std::move(options));
  REQUIRE(sim.has_value());
  return *std::move(sim);
}

}  // namespace

TEST_CASE("a job goes from submit to picture") {
  Falsim sim = start({.job_time = 100ms});
  Client client(sim.url());
  const Heard submitted =
      client.post("/fal-ai/flux/dev",
                  {{"prompt", "a lighthouse"}, {"image_size", {{"width", 640}, {"height", 360}}}});
  REQUIRE(submitted.status == 200);
  const json job = submitted.parsed();
  const std::string id = job["request_id"];
  CHECK(job["status"] == "IN_QUEUE");
  CHECK(job["queue_position"] == 0);
  CHECK(job["status_url"] == sim.url() + "/fal-ai/flux/requests/" + id + "/status");
  CHECK(job["response_url"] == sim.url() + "/fal-ai/flux/requests/" + id);
  CHECK(job["cancel_url"] == sim.url() + "/fal-ai/flux/requests/" + id + "/cancel");
  CHECK(submitted.header("x-fal-request-id") == id);

  const Heard running = client.get(job["status_url"]);
  CHECK(running.status == 202);
  CHECK(running.parsed()["status"] == "IN_PROGRESS");
  CHECK(running.parsed()["logs"].is_null());

  const json done = wait_until_completed(client, job);
  CHECK(done["status"] == "COMPLETED");
  CHECK(done["metrics"]["inference_time"].get<double>() >= 0.1);

  const Heard result = client.get(job["response_url"]);
  REQUIRE(result.status == 200);
  CHECK(result.header("x-fal-billable-units") == "1");
  const json picture = result.parsed()["images"][0];
  CHECK(picture["width"] == 640);
  CHECK(picture["height"] == 360);
  const Heard file = client.get(picture["url"], {});
  CHECK(file.status == 200);
  CHECK(file.header("content-type") == "image/png");
  CHECK(file.body.substr(1, 3) == "PNG");
  CHECK(file.body.substr(16, 8) == std::string("\0\0\x02\x80\0\0\x01\x68", 8));

  const falsim::FalsimStats stats = sim.stats();
  CHECK(stats.submits == 1);
  CHECK(stats.completed == 1);
  CHECK(stats.results_fetched == 1);
  CHECK(stats.media_requests == 1);
  CHECK(stats.misplaced_keys.empty());
}
