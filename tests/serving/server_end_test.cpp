// How requests and the server end: clients that leave, stops, draining.
#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <thread>

#include "echo_server.hpp"

namespace falproxy::serving {
namespace {

TEST_CASE("a client that leaves is noticed") {
  Running server;
  RawClient client(server.port());
  const auto begin = [&] {
    client.send(post("/wait", "a"));
    REQUIRE(server.echo.waiting.wait());
  };
  SUBCASE("at once, when it closes") {
    begin();
    client.close();
    CHECK(server.echo.stopped.wait());
  }
  SUBCASE("at once, when it resets") {
    begin();
    client.reset();
    CHECK(server.echo.stopped.wait());
  }
  SUBCASE("after the hold that the request asked for") {
    server.echo.hold = Milliseconds(600);
    begin();
    client.close();
    CHECK_FALSE(server.echo.stopped.wait(Milliseconds(300)));
    CHECK(server.echo.stopped.wait());
  }
  SUBCASE("but not when it only sends more") {
    begin();
    client.send(get_fixed);
    CHECK_FALSE(server.echo.stopped.wait(Milliseconds(300)));
    server.echo.release.raise();
    CHECK(client.receive().body == "a");
    CHECK(client.receive().body == "fixed");
  }
}

TEST_CASE("draining lets what runs end, and closes the rest") {
  Running server;
  RawClient idle(server.port());
  CHECK(idle.exchange(get_fixed).status == 200);
  RawClient busy(server.port());
  busy.send(post("/wait", "a"));
  REQUIRE(server.echo.waiting.wait());
  server.server->drain();
  CHECK(idle.at_end());
  RawClient late(server.port());
  CHECK_FALSE(late.send(get_fixed));
  SUBCASE("the one that runs ends by itself") { server.echo.release.raise(); }
  SUBCASE("or is stopped") { server.server->stop_requests(); }
  const Received got = busy.receive();
  CHECK(got.body == "a");
  CHECK(got.header("connection") == "close");
  CHECK(busy.at_end());
}

TEST_CASE("clients that send nothing, or take nothing, do not keep it from ending") {
  std::optional<Running> server(std::in_place,
                                Server::Options{.body_grace = std::chrono::hours(1)});
  RawClient sends_nothing(server->port());
  sends_nothing.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf");
  RawClient takes_nothing(server->port());
  takes_nothing.send(post("/echo", std::string(20u << 20, 'b')));
  REQUIRE(eventually([&] { return server->server->counters().busy == 2; }));
  server.reset();
  CHECK(sends_nothing.rest().empty());
  CHECK(takes_nothing.receive().status == 0);
}

TEST_CASE("a stream goes on while the server drains") {
  Running server;
  RawClient client(server.port());
  client.send(post("/stream", "a"));
  REQUIRE(server.echo.waiting.wait());
  server.server->drain();
  server.echo.release.raise();
  CHECK(client.receive().body == "first\nlast\n");
  CHECK(client.at_end());
}

TEST_CASE("what runs beside a request is stopped with its answer, and waited for") {
  Running server;
  RawClient client(server.port());
  CHECK(client.exchange(post("/beside", "a")).body == "beside");
  CHECK(server.echo.stopped.wait());
  CHECK(client.exchange(get_fixed).body == "fixed");
}

}  // namespace
}  // namespace falproxy::serving
