// What becomes of requests and their answers.
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "echo_server.hpp"

namespace falproxy::serving {
namespace {

TEST_CASE("requests follow each other on one connection, in any pieces") {
  Running server;
  RawClient client(server.port());
  SUBCASE("one after the other") {
    for (int i = 0; i < 3; ++i) {
      CHECK(client.exchange(get_fixed).body == "fixed");
      const Received echo = client.exchange(post("/echo", "hello"));
      CHECK(echo.status == 200);
      CHECK(echo.reason == "OK");
      CHECK(echo.body == "hello");
      CHECK(echo.header("x-own") == "1");
      CHECK(echo.header("content-type") == "application/json");
      CHECK_FALSE(echo.header("date").empty());
    }
  }
  SUBCASE("byte by byte") {
    for (const char c : get_fixed + post("/echo", "hello")) client.send({&c, 1});
    CHECK(client.receive().body == "fixed");
    CHECK(client.receive().body == "hello");
  }
  SUBCASE("all at once") {
    client.send(get_fixed + post("/echo", "1") + get_fixed + post("/echo", "2") + "\r\n" +
                get_fixed);
    for (const char* body : {"fixed", "1", "fixed", "2", "fixed"})
      CHECK(client.receive().body == body);
  }
  SUBCASE("a chunked body, and a head that waits for 100 Continue") {
    client.send(
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: "
        "100-continue\r\n\r\n");
    client.send("3\r\nabc\r\n");
    client.send("2;x=y\r\nde\r\n0\r\n\r\n");
    CHECK(client.receive().body == "abcde");
    CHECK(client.exchange(get_fixed).body == "fixed");
  }
  SUBCASE("no body at all") {
    CHECK(client.exchange("POST /echo HTTP/1.1\r\nHost: a\r\n\r\n").status == 200);
    CHECK(client.exchange("GET /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").status ==
          200);
    client.send("HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(client.receive(false).status == 200);
    CHECK(client.exchange(get_fixed).body == "fixed");
  }
}

TEST_CASE("no answer to HEAD has a body, whatever the path") {
  Running server;
  for (const auto& [path, status] :
       {std::pair{"/fixed", 200}, std::pair{"/none", 404}, std::pair{"/unread", 405}}) {
    const std::string target = path;
    CAPTURE(target);
    RawClient client(server.port());
    client.send("HEAD " + target + " HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(client.receive(false).status == status);
    CHECK(client.exchange(get_fixed).body == "fixed");
  }
}

TEST_CASE("the connection ends where the client says so") {
  Running server;
  for (const char* request :
       {"GET /fixed HTTP/1.0\r\n\r\n",
        "GET /fixed HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "POST /echo HTTP/1.0\r\nContent-Length: 1\r\n\r\na",
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\na"}) {
    CAPTURE(request);
    RawClient client(server.port());
    const Received got = client.exchange(request);
    CHECK(got.status == 200);
    CHECK(got.header("connection") == "close");
    CHECK(client.at_end());
  }
  RawClient client(server.port());
  for (const char* request :
       {"GET /fixed HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na"}) {
    CHECK(client.exchange(request).header("connection") == "keep-alive");
  }
}

TEST_CASE("a client that sends its end of file right away still gets what needs no work") {
  Running server;
  RawClient client(server.port());
  client.send(get_fixed + get_fixed);
  client.finish_sending();
  CHECK(client.receive().body == "fixed");
  CHECK(client.receive().body == "fixed");
  CHECK(client.at_end());
}

TEST_CASE("a task that throws is an answer, not the end") {
  Running server;
  RawClient client(server.port());
  CHECK(client.exchange(post("/throw", "a")).status == 500);
  RawClient other(server.port());
  CHECK(other.exchange(get_fixed).status == 200);
}

TEST_CASE("many clients at once") {
  std::size_t count = 1;
  SUBCASE("on one reactor") {}
  SUBCASE("on three") { count = 3; }
  Running server({}, {}, count);
  std::atomic<int> right{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 32; ++i) {
    clients.emplace_back([&, i] {
      RawClient client(server.port());
      for (int n = 0; n < 20; ++n) {
        const std::string body = std::to_string(i * 100 + n);
        if (client.exchange(post("/echo", body)).body == body &&
            client.exchange(get_fixed).body == "fixed")
          ++right;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(right == 32 * 20);
}

TEST_CASE("a streamed answer goes out as it comes, and the connection stays") {
  Running server;
  RawClient client(server.port());
  client.send(post("/stream", "a"));
  REQUIRE(server.echo.waiting.wait());
  CHECK(client.fill_to(100));  // the head, at least
  server.echo.release.raise();
  const Received got = client.receive();
  CHECK(got.header("content-type") == "text/event-stream");
  CHECK(got.header("transfer-encoding") == "chunked");
  CHECK(got.body == "first\nlast\n");
  CHECK(client.exchange(get_fixed).body == "fixed");
}

TEST_CASE("to HTTP/1.0 a stream ends with its connection") {
  Running server;
  server.echo.release.raise();
  RawClient client(server.port());
  const Received got = client.exchange(
      "POST /stream HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n");
  CHECK(got.header("transfer-encoding").empty());
  CHECK(got.header("connection") == "close");
  CHECK(got.body == "first\nlast\n");
}

TEST_CASE("a stream that throws is cut off, and nothing else") {
  Running server;
  RawClient client(server.port());
  CHECK(client.exchange(post("/broken", "a")).status == 0);
  CHECK(client.at_end());
  RawClient other(server.port());
  CHECK(other.exchange(get_fixed).body == "fixed");
}

TEST_CASE("each method finds its row, and a long path finds none in every method") {
  Running server;
  const std::string path = "/models/" + std::string(8000, 'a');
  for (const char* method :
       {"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PRI", "PURGE"}) {
    CAPTURE(method);
    RawClient client(server.port());
    const std::string fields = " HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    const Received known = client.exchange(std::string(method) + " " + path + fields);
    CHECK(known.status == 405);
    CHECK(known.header("allow") == "GET, HEAD, OPTIONS");
    CHECK(client.exchange(std::string(method) + " /no" + path + fields).status == 404);
    CHECK(client.exchange(get_fixed).body == "fixed");
  }
  RawClient client(server.port());
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE"}) {
    CAPTURE(method);
    CHECK(client
              .exchange(std::string(method) +
                        " /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
              .body == "x");
  }
  CHECK(client.exchange(test::get(path)).body.size() == 8000);
  CHECK(client.exchange(test::get("/v1/models/fal-ai%2Fflux/dev?x=%zz")).body == "fal-ai/flux/dev");
}

TEST_CASE("httplib reads nothing into fields that it knows") {
  Running server;
  RawClient client(server.port());
  const std::string fields =
      "Range: bytes=0-1\r\nAccept: ;;;\r\nUpgrade: websocket\r\nConnection: "
      "Upgrade\r\nSec-WebSocket-Key: "
      "x\r\nSec-WebSocket-Version: 13\r\nX-Forwarded-For: a\r\n";
  CHECK(client.exchange(test::get("/fixed", fields)).body == "fixed");
  CHECK(client.exchange(post("/echo", "--b--", fields)).body == "--b--");
  const std::string form = "Content-Type: multipart/form-data\r\n";
  CHECK(client.exchange("POST /echo HTTP/1.1\r\nHost: a\r\n" + form + "Content-Length: 2\r\n\r\n--")
            .body == "--");
  CHECK(
      client
          .exchange("POST /unknown HTTP/1.1\r\nHost: a\r\n" + form + "Content-Length: 2\r\n\r\n--")
          .status == 404);
}

}  // namespace
}  // namespace falproxy::serving
