#include "client.hpp"

using namespace falsim_test;

namespace {

constexpr const char* stats_request = "GET /_falsim/stats HTTP/1.1\r\nHost: test\r\n\r\n";
constexpr const char* input = R"({"prompt":"x"})";

}  // namespace

TEST_CASE("requests that come at once are answered one after the other") {
  Falsim sim = start();
  Wire wire(sim.url());
  wire.send(std::string(stats_request) + stats_request +
            request_text("POST /fal-ai/flux/dev", input) + stats_request);
  for (const char* member : {"requests", "requests", "request_id", "requests"}) {
    const auto [head, body] = wire.read_answer();
    CHECK(head.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(json::parse(body, nullptr, false).contains(member));
  }
}

TEST_CASE("100 Continue is sent before the body, and not where a fault says so") {
  Falsim sim = start();
  const std::string request =
      request_text("POST /fal-ai/flux/dev", input, "Expect: 100-continue\r\n");
  const std::string head = request.substr(0, request.size() - std::string_view(input).size());
  {
    Wire wire(sim.url());
    wire.send(head);
    CHECK(wire.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
    wire.send(input);
    CHECK(wire.read_until("\r\n\r\n").starts_with("HTTP/1.1 200 OK\r\n"));
  }
  sim.add_fault(falsim::Fault::preset("expect_ignored").value());
  Wire wire(sim.url());
  wire.send(head);
  CHECK(wire.is_silent_for(100ms));
  wire.send(input);
  CHECK(sim.wait_for([](const falsim::FalsimStats& s) { return s.submits == 2; }));
  CHECK(sim.stats().faults.at("expect_ignored") == 1);
}

TEST_CASE("a connection closes when the client says so, and after what is no request") {
  Falsim sim = start();
  {
    Wire wire(sim.url());
    wire.send("GET /_falsim/stats HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    const std::string answer = wire.read_to_end();
    CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(answer.find("Connection: close\r\n") != std::string::npos);
  }
  {
    Wire wire(sim.url());
    wire.send("hello\r\n\r\n");
    CHECK(wire.read_to_end().starts_with("HTTP/1.1 400 Bad Request\r\n"));
  }
  CHECK(sim.wait_for([](const falsim::FalsimStats& s) { return s.connections_open == 0; }));
  CHECK(sim.stats().broken_requests == 1);
}

TEST_CASE("an answer that drips holds up nobody, nor does what is refused after it") {
  Falsim sim = start();
  falsim::Fault drip{
      .step = falsim::Step::submit, .times = 1, .drip_bytes = 16, .drip_tick = 100ms};
  sim.add_fault(drip);
  Wire dripping(sim.url());
  const auto began = std::chrono::steady_clock::now();
  dripping.send(request_text("POST /fal-ai/flux/dev", input));
  Wire other(sim.url());
  other.send(stats_request);
  CHECK(other.read_answer().first.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(std::chrono::steady_clock::now() - began < 1s);
  CHECK(dripping.read_answer().first.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(std::chrono::steady_clock::now() - began > 1s);
  dripping.send("hello\r\n\r\n");
  CHECK(dripping.read_until(" ") == "HTTP/1.1 ");
  other.send(stats_request);
  const auto asked = std::chrono::steady_clock::now();
  CHECK(other.read_answer().first.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(std::chrono::steady_clock::now() - asked < 500ms);
  CHECK(dripping.read_to_end().starts_with("400 Bad Request\r\n"));
}

TEST_CASE("HEAD of a file tells its length and no more") {
  Falsim sim = start();
  Wire wire(sim.url());
  wire.send(
      "HEAD /files/koala/x-0_64x64_1.png HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
  const std::string answer = wire.read_to_end();
  CHECK(answer.find("content-type: image/png\r\n") != std::string::npos);
  CHECK(answer.ends_with("\r\n\r\n"));
  CHECK(answer.find("PNG") == std::string::npos);
}

TEST_CASE("hundreds of streams are held at once") {
  Falsim sim = start({.job_time = 60s});
  Client client(sim.url());
  const std::string id = client.submit("fal-ai/flux/dev", {{"prompt", "x"}})["request_id"];
  std::vector<std::unique_ptr<Wire>> wires;
  for (int i = 0; i < 300; ++i) {
    wires.push_back(std::make_unique<Wire>(sim.url()));
    wires.back()->send(request_text("GET /fal-ai/flux/requests/" + id + "/status/stream", ""));
  }
  CHECK(sim.wait_for([](const falsim::FalsimStats& s) { return s.streams_open == 300; }));
  CHECK(client.put("/fal-ai/flux/requests/" + id + "/cancel").status == 202);
  for (const std::unique_ptr<Wire>& wire : wires) {
    CHECK(wire->read_until("\r\n0\r\n\r\n").find("COMPLETED") != std::string::npos);
  }
  CHECK(sim.stats().streams_open == 0);
}
