#include "client.hpp"
#include "falsim/http_message.hpp"

using namespace falsim_test;
using falsim::RequestParser;

namespace {

constexpr const char* stats_request = "GET /_falsim/stats HTTP/1.1\r\nHost: test\r\n\r\n";
constexpr const char* input = R"({"prompt":"x"})";

/// Feeds `text` in pieces of `size` bytes, and says how it ended.
RequestParser::Progress feed(RequestParser& parser, std::string_view text, std::size_t size) {
  std::string in;
  for (std::size_t at = 0; at < text.size(); at += size) {
    in += text.substr(at, size);
    for (;;) {
      const RequestParser::Progress progress = parser.advance(in);
      if (progress == RequestParser::Progress::need_more) break;
      if (progress != RequestParser::Progress::head) return progress;
    }
  }
  return RequestParser::Progress::need_more;
}

}  // namespace

TEST_CASE("a request is read in pieces of any size") {
  const std::string chunked =
      "POST /a/b?x=1&y=%20z HTTP/1.1\r\nHost: h\r\ntransfer-encoding: Chunked\r\n\r\n"
      "5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nTrailer: t\r\n\r\n";
  const std::string sized =
      "POST /a/b?x=1&y=%20z HTTP/1.1\r\nhOST: h\r\nContent-Length: 11\r\n\r\nhello world";
  for (const std::string& text : {chunked, sized}) {
    for (const std::size_t size : {std::size_t{1}, std::size_t{3}, std::size_t{1000}}) {
      CAPTURE(size);
      RequestParser parser;
      REQUIRE(feed(parser, text, size) == RequestParser::Progress::complete);
      const falsim::Request request = parser.take();
      CHECK(request.method == "POST");
      CHECK(request.path == "/a/b");
      CHECK(request.parameter("x") == "1");
      CHECK(request.parameter("y") == " z");
      CHECK(!request.parameter("z").has_value());
      CHECK(request.header("HOST") == "h");
      CHECK(request.body == "hello world");
      CHECK(request.keep_alive);
    }
  }
}

TEST_CASE("what is not HTTP/1.1 is told from what is") {
  const std::string broken[] = {
      "GET\r\n\r\n",
      "GET /\r\n\r\n",
      "GET / HTTP/2.0\r\n\r\n",
      "GET relative HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\nno colon\r\n\r\n",
      "GET / HTTP/1.1\r\n: no name\r\n\r\n",
      "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
      "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
      "GET / HTTP/1.1\r\nX: " + std::string(70'000, 'x'),
  };
  for (const std::string& text : broken) {
    CAPTURE(text.substr(0, 100));
    RequestParser parser;
    CHECK(feed(parser, text, 1000) == RequestParser::Progress::broken);
  }
}

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
    CHECK(answer.find("connection: close\r\n") != std::string::npos);
  }
  {
    Wire wire(sim.url());
    wire.send("hello\r\n\r\n");
    CHECK(wire.read_to_end().starts_with("HTTP/1.1 400 Bad Request\r\n"));
  }
  CHECK(sim.wait_for([](const falsim::FalsimStats& s) { return s.connections_open == 0; }));
  CHECK(sim.stats().broken_requests == 1);
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
    CHECK(wire->read_until("0\r\n\r\n").find("COMPLETED") != std::string::npos);
  }
  CHECK(sim.stats().streams_open == 0);
}
