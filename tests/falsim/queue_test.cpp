#include "client.hpp"

using namespace falsim_test;
using falsim::FalsimStats;

TEST_CASE("a job goes from submit to picture") {
  Falsim sim = start({.job_time = 1s});
  Client client(sim.url());
  const Heard submitted =
      client.post("/fal-ai/flux/dev", {{"prompt", "a lighthouse"},
                                       {"output_format", "png"},
                                       {"image_size", {{"width", 640}, {"height", 360}}}});
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
  const Heard early = client.get(job["response_url"]);
  CHECK(early.status == 400);
  CHECK(early.parsed()["detail"] == "Request is still in progress");

  const json done = client.wait(job);
  CHECK(done["status"] == "COMPLETED");
  CHECK(done["metrics"]["inference_time"].get<double>() >= 1);

  const Heard result = client.get(job["response_url"]);
  REQUIRE(result.status == 200);
  CHECK(result.header("x-fal-billable-units") == "1");
  CHECK(result.header("x-fal-request-id") == id);
  CHECK(client.get(job["response_url"].get<std::string>() + "/response").status == 200);
  const json picture = result.parsed()["images"][0];
  CHECK(picture["width"] == 640);
  CHECK(picture["height"] == 360);
  const Heard file = client.get(picture["url"], {});
  CHECK(file.status == 200);
  CHECK(file.header("content-type") == "image/png");
  CHECK(file.body.substr(16, 8) == std::string("\0\0\x02\x80\0\0\x01\x68", 8));

  const FalsimStats stats = sim.stats();
  CHECK(stats.submits == 1);
  CHECK(stats.completed == 1);
  CHECK(stats.results_fetched == 1);
  CHECK(stats.result_requests == 3);
  CHECK(stats.results_too_early == 1);
  CHECK(stats.media_requests == 1);
  CHECK(stats.misplaced_keys.empty());
  REQUIRE(sim.submits().size() == 1);
  CHECK(sim.submits()[0].request_id == id);
  CHECK(sim.submits()[0].endpoint == "fal-ai/flux/dev");
  CHECK(sim.submits()[0].key == good_key);
  CHECK(json::parse(sim.submits()[0].input)["prompt"] == "a lighthouse");
}

TEST_CASE("every address answers as fal's does") {
  Falsim sim = start({.keys = {good_key, "key-2:secret-2"}, .job_time = 0ms});
  Client client(sim.url());
  const std::string id = client.submit("fal-ai/flux/dev", {{"prompt", "x"}})["request_id"];
  const json not_found = {{"status", "NOT_FOUND"}};
  struct Case {
    const char* name;
    const char* method;
    std::string path;
    httplib::Headers headers;
    int status;
    json body;  // null: whatever it is
  };
  const Case cases[] = {
      {"no key", "POST", "/fal-ai/flux/dev", {}, 401, nullptr},
      {"a bearer token",
       "POST",
       "/fal-ai/flux/dev",
       {{"Authorization", "Bearer a:b"}},
       401,
       nullptr},
      {"a key without secret",
       "POST",
       "/fal-ai/flux/dev",
       with_key("a"),
       401,
       {{"detail", "Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'."}}},
      {"an unknown key",
       "POST",
       "/fal-ai/flux/dev",
       with_key("a:b"),
       401,
       {{"detail", "No user found for Key ID and Secret"}}},
      {"an unknown endpoint", "POST", "/fal-ai/nothing", with_key(), 404, nullptr},
      {"GET of an endpoint", "GET", "/fal-ai/flux/dev", with_key(), 405, nullptr},
      {"an unknown job", "GET", "/fal-ai/flux/requests/bogus/status", with_key(), 404, not_found},
      {"a job under its full id", "GET", "/fal-ai/flux/dev/requests/" + id + "/status", with_key(),
       405, nullptr},
      {"a result under its full id", "GET", "/fal-ai/flux/dev/requests/" + id, with_key(), 405,
       nullptr},
      {"a job of another app", "GET", "/fal-ai/fast-sdxl/requests/" + id + "/status", with_key(),
       404, not_found},
      {"a job of another key", "GET", "/fal-ai/flux/requests/" + id + "/status",
       with_key("key-2:secret-2"), 404, not_found},
      {"status", "GET", "/fal-ai/flux/requests/" + id + "/status", with_key(), 200, nullptr},
      {"result", "GET", "/fal-ai/flux/requests/" + id, with_key(), 200, nullptr},
      {"result, the other address", "GET", "/fal-ai/flux/requests/" + id + "/response", with_key(),
       200, nullptr},
      {"cancel of a job that has ended",
       "PUT",
       "/fal-ai/flux/requests/" + id + "/cancel",
       with_key(),
       400,
       {{"status", "ALREADY_COMPLETED"}}},
      {"cancel of an unknown job", "PUT", "/fal-ai/flux/requests/bogus/cancel", with_key(), 404,
       not_found},
      {"cancel by GET", "GET", "/fal-ai/flux/requests/" + id + "/cancel", with_key(), 405, nullptr},
      {"an unknown address of a job", "GET", "/fal-ai/flux/requests/" + id + "/other", with_key(),
       404, nullptr},
      {"a document",
       "GET",
       "/api/openapi/queue/openapi.json?endpoint_id=fal-ai%2Fflux%2Fdev",
       {},
       200,
       nullptr},
      {"an unknown document",
       "GET",
       "/api/openapi/queue/openapi.json?endpoint_id=fal-ai/nothing",
       {},
       404,
       nullptr},
      {"a file that is not there", "GET", "/files/koala/nothing.png", {}, 404, nullptr},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    httplib::Request request;
    request.method = c.method;
    request.path = c.path;
    request.headers = c.headers;
    if (request.method != "GET") request.body = R"({"prompt":"x"})";
    const Heard answer = heard(client.raw().send(request));
    CHECK(answer.status == c.status);
    if (!c.body.is_null()) CHECK(answer.parsed() == c.body);
  }
  const FalsimStats stats = sim.stats();
  CHECK(stats.foreign_keys == 1);
  CHECK(stats.cancels_late == 1);
  CHECK(stats.cancels_unknown == 1);
  CHECK(stats.submits == 1);
  CHECK(stats.submits_refused == 5);
}

TEST_CASE("the addresses have the name that the client calls falsim by") {
  Falsim sim = start();
  Client client("http://localhost" + sim.url().substr(sim.url().rfind(':')));
  const json job = client.submit("fal-ai/flux/dev", {{"prompt", "x"}});
  CHECK(job["status_url"].get<std::string>().starts_with("http://localhost:"));
}

TEST_CASE("the key where none is needed is noticed") {
  Falsim sim = start();
  Client client(sim.url());
  CHECK(client.get("/files/koala/x-0_64x64_1.png", with_key()).status == 200);
  CHECK(client.get("/api/openapi/queue/openapi.json?endpoint_id=fal-ai/flux/dev", with_key())
            .status == 200);
  Client elsewhere(sim.elsewhere_url());
  CHECK(elsewhere.get("/a.png", with_key()).status == 200);
  CHECK(elsewhere.get("/b.png", {}).status == 200);
  const FalsimStats stats = sim.stats();
  CHECK(stats.misplaced_keys == std::vector<std::string>{"GET /files/koala/x-0_64x64_1.png",
                                                         "GET /api/openapi/queue/openapi.json",
                                                         "elsewhere: GET /a.png"});
  CHECK(stats.elsewhere == 2);
}

TEST_CASE("a status stream tells each change once, pings in between, and closes after COMPLETED") {
  Falsim sim = start({.queue_time = 600ms, .job_time = 600ms, .ping_interval = 40ms});
  Client client(sim.url());
  const json job = client.submit("fal-ai/flux/dev", {{"prompt", "x"}});
  std::string text;
  const auto result = client.raw().Get(
      job["status_url"].get<std::string>().substr(sim.url().size()) + "/stream?logs=1", with_key(),
      [&](const char* data, std::size_t size) {
        text.append(data, size);
        return true;
      });
  REQUIRE(result);
  CHECK(result->get_header_value("content-type") == "text/event-stream");
  std::vector<json> events;
  int pings = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find("\n\n", at);
    REQUIRE(end != std::string::npos);
    const std::string event = text.substr(at, end - at);
    at = end + 2;
    if (event == ": ping") {
      ++pings;
    } else {
      REQUIRE(event.starts_with("data: "));
      events.push_back(json::parse(event.substr(6)));
    }
  }
  CHECK(pings >= 2);
  REQUIRE(events.size() == 3);
  CHECK(events[0]["status"] == "IN_QUEUE");
  CHECK(events[1]["status"] == "IN_PROGRESS");
  CHECK(events[1]["logs"].size() == 1);
  CHECK(events[2]["status"] == "COMPLETED");
  CHECK(events[2]["logs"].size() == 1);
  CHECK(events[2]["logs"][0]["message"] != events[1]["logs"][0]["message"]);
  // Asked for, they are all told.
  CHECK(client.get(job["status_url"].get<std::string>() + "?logs=1").parsed()["logs"].size() == 2);
  CHECK(sim.stats().streams == 1);
  CHECK(sim.stats().streams_open == 0);
}

TEST_CASE("a client that leaves a stream is no longer held") {
  Falsim sim = start({.job_time = 60s});
  Client client(sim.url());
  const json job = client.submit("fal-ai/flux/dev", {{"prompt", "x"}});
  {
    Wire wire(sim.url());
    wire.send(request_text(
        "GET " + job["status_url"].get<std::string>().substr(sim.url().size()) + "/stream", ""));
    CHECK(wire.read_until("\n\n\r\n").find("IN_PROGRESS") != std::string::npos);
    CHECK(sim.stats().streams_open == 1);
  }
  CHECK(sim.wait_for([](const FalsimStats& s) { return s.streams_open == 0; }));
}

TEST_CASE("a cancel ends a job that waits or runs") {
  struct Case {
    const char* name;
    std::chrono::milliseconds queue_time;
  };
  for (const Case& c : {Case{"waiting", 60s}, Case{"running", 0ms}}) {
    CAPTURE(c.name);
    Falsim sim = start({.queue_time = c.queue_time, .job_time = 60s});
    Client client(sim.url());
    const json job = client.submit("fal-ai/flux/dev", {{"prompt", "x"}});
    const Heard cancelled = client.put(job["cancel_url"]);
    CHECK(cancelled.status == 202);
    CHECK(cancelled.parsed() == json{{"status", "CANCELLATION_REQUESTED"}});
    const json status = client.get(job["status_url"]).parsed();
    CHECK(status["status"] == "COMPLETED");
    CHECK(status["error_type"] == "client_cancelled");
    CHECK(client.get(job["response_url"]).status == 499);
    CHECK(client.put(job["cancel_url"]).status == 400);
    const FalsimStats stats = sim.stats();
    CHECK(stats.cancelled == 1);
    CHECK(stats.in_queue == 0);
    CHECK(stats.in_progress == 0);
    CHECK(stats.completed == 0);
    CHECK(stats.failed == 0);
  }
}

TEST_CASE("a job that does not start in time ends with request_timeout") {
  Falsim sim = start({.queue_time = 60s});
  Client client(sim.url());
  httplib::Headers headers = with_key();
  headers.emplace("X-Fal-Request-Start-Timeout", "0.2");
  headers.emplace("X-Fal-Request-Timeout", "600");
  const json job = client.submit("fal-ai/flux/dev", {{"prompt", "x"}}, headers);
  const json status = client.wait(job);
  CHECK(status["error"] == "Request timed out");
  CHECK(status["error_type"] == "request_timeout");
  const Heard result = client.get(job["response_url"]);
  CHECK(result.status == 504);
  CHECK(result.header("x-fal-request-timeout-type") == "user");
  CHECK(result.header("x-fal-error-type") == "request_timeout");
  CHECK(result.parsed() ==
        json{{"detail", "Request timed out"}, {"error_type", "request_timeout"}});
}

TEST_CASE("jobs of one key wait for its slots, in order, and others do not") {
  Falsim sim = start({.slots_per_key = 1, .job_time = 60s});
  Client client(sim.url());
  const json first = client.submit("fal-ai/flux/dev", {{"prompt", "1"}});
  const json second = client.submit("fal-ai/flux/dev", {{"prompt", "2"}});
  const json third = client.submit("fal-ai/flux/dev", {{"prompt", "3"}});
  const json other = client.submit("fal-ai/fast-sdxl", {{"prompt", "4"}}, with_key("key-2:s"));
  CHECK(client.get(first["status_url"]).parsed()["status"] == "IN_PROGRESS");
  CHECK(client.get(second["status_url"]).parsed()["queue_position"] == 0);
  CHECK(client.get(third["status_url"]).parsed()["queue_position"] == 1);
  CHECK(client.get(other["status_url"], with_key("key-2:s")).parsed()["status"] == "IN_PROGRESS");
  CHECK(client.put(first["cancel_url"]).status == 202);
  CHECK(client.get(second["status_url"]).parsed()["status"] == "IN_PROGRESS");
  CHECK(client.get(third["status_url"]).parsed()["queue_position"] == 0);
  CHECK(sim.stats().most_in_progress == 2);
  CHECK(client.post("/fal-ai/flux/dev?fal_max_queue_length=0", {{"prompt", "5"}}).status == 429);
  CHECK(client.post("/fal-ai/flux/dev?fal_max_queue_length=1", {{"prompt", "6"}}).status == 200);
}

TEST_CASE("fal.run answers with the result itself") {
  Falsim sim = start({.job_time = 50ms});
  Client client(sim.run_url());
  const Heard answer = client.post("/fal-ai/flux/dev", {{"prompt", "x"}, {"num_images", 2}});
  CHECK(answer.status == 200);
  CHECK(answer.header("x-fal-billable-units") == "2");
  const json result = answer.parsed();
  REQUIRE(result["images"].size() == 2);
  CHECK(result["images"][0]["url"].get<std::string>().starts_with(sim.url() + "/files/"));
  CHECK(
      Client(sim.url()).get("/fal-ai/flux/requests/" + answer.header("x-fal-request-id")).status ==
      404);
  CHECK(sim.stats().runs == 1);
  CHECK(sim.stats().submits == 0);
}

TEST_CASE("fal.run refuses what is past the slots of a key, and counts clients that leave") {
  Falsim sim = start({.slots_per_key = 1, .job_time = 60s});
  {
    Wire wire(sim.run_url());
    wire.send(request_text("POST /fal-ai/flux/dev", R"({"prompt":"x"})"));
    CHECK(sim.wait_for([](const FalsimStats& s) { return s.in_progress == 1; }));
    const Heard refused = Client(sim.run_url()).post("/fal-ai/flux/dev", {{"prompt", "y"}});
    CHECK(refused.status == 429);
    CHECK(refused.parsed()["type"] == "concurrent_requests_limit");
    CHECK(refused.header("x-fal-needs-retry") == "1");
    CHECK(sim.stats().runs_abandoned == 0);
  }
  CHECK(sim.wait_for([](const FalsimStats& s) { return s.runs_abandoned == 1; }));
}

TEST_CASE("a model's own /stream gives partial results and then the whole") {
  Falsim sim = start({.job_time = 60ms});
  Client client(sim.run_url());
  const Heard answer =
      client.post("/fal-ai/flux/dev/stream", {{"prompt", "x"}, {"sync_mode", true}});
  CHECK(answer.status == 200);
  CHECK(answer.header("content-type") == "text/event-stream");
  std::vector<json> events;
  for (std::size_t at = answer.body.find("data: "); at != std::string::npos;
       at = answer.body.find("data: ", at + 1)) {
    events.push_back(json::parse(answer.body.substr(at + 6, answer.body.find('\n', at) - at - 6)));
  }
  REQUIRE(events.size() == 3);
  for (const json& event : events) {
    CHECK(event["images"][0]["url"].get<std::string>().starts_with("data:image/jpeg;base64,/9j/"));
  }
  CHECK(events[0]["images"][0]["url"] != events[2]["images"][0]["url"]);
  CHECK(client.post("/fal-ai/fast-sdxl/stream", {{"prompt", "x"}}).status == 404);
}

TEST_CASE("every partial result comes before the whole, however late falsim is") {
  Falsim sim = start({.job_time = 20ms, .stream_partials = 9});
  Client client(sim.run_url());
  for (int i = 0; i < 20; ++i) {
    const std::string body = client.post("/fal-ai/flux/dev/stream", {{"prompt", "x"}}).body;
    int events = 0;
    for (std::size_t at = 0; (at = body.find("data: ", at)) != std::string::npos; ++at) ++events;
    CHECK(events == 10);
  }
}

TEST_CASE("a port that is taken is said so") {
  Falsim sim = start();
  const auto port =
      static_cast<std::uint16_t>(std::stoi(sim.url().substr(sim.url().rfind(':') + 1)));
  const falproxy::Result<Falsim> second = Falsim::start({}, {.port = port});
  REQUIRE(!second.has_value());
  CHECK(second.error().message.find("Address already in use; choose another port") !=
        std::string::npos);
}
