// What a client may cost: time, room and turns.
#include <doctest/doctest.h>

#include <chrono>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "echo_server.hpp"

namespace falproxy::serving {
namespace {

TEST_CASE("who sends blank lines takes nobody's room") {
  Running server({.max_parked_bytes = 48u << 10});
  std::vector<std::unique_ptr<RawClient>> others;
  std::string blank;
  for (int i = 0; i < 6000; ++i) blank += "\r\n";
  for (int i = 0; i < 16; ++i) {
    others.push_back(std::make_unique<RawClient>(server.port()));
    others.back()->send(blank + "\r");
  }
  CHECK(RawClient(server.port()).exchange(get_fixed).body == "fixed");
  RawClient slow(server.port());
  slow.send(get_fixed.substr(0, 10));
  CHECK(RawClient(server.port()).exchange(get_fixed).body == "fixed");
  CHECK(slow.exchange(get_fixed.substr(10)).body == "fixed");
  for (const auto& other : others) CHECK(other->exchange("\n" + get_fixed).body == "fixed");
}

TEST_CASE("past the limit of connections, if none is idle, a client is told so and closed") {
  Running server({.max_connections = 1});
  RawClient busy(server.port());
  busy.send(post("/wait", "a"));
  REQUIRE(server.echo.waiting.wait());
  SUBCASE("before it has sent anything") {
    RawClient other(server.port());
    CHECK(other.receive().status == 503);
    CHECK(other.at_end());
  }
  SUBCASE("though it has sent its request") {
    for (int i = 0; i < 20; ++i) {
      RawClient other(server.port());
      CHECK(other.exchange(post("/echo", std::string(9000, 'b'))).status == 503);
      CHECK(other.at_end());
    }
  }
  server.echo.release.raise();
  CHECK(busy.receive().body == "a");
}

TEST_CASE("a head that cannot be read is refused and ends the connection") {
  Running server;
  struct Case {
    std::string head;
    int status;
  };
  const std::vector<Case> cases = {
      {"GARBAGE\r\n\r\n", 400},
      {"GET / HTTP/1.1\nHost: a\n\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
       400},
      {"GET / HTTP/1.1\r\nHost: a\r\n" + std::string(64u << 10, 'a') + "\r\n\r\n", 431},
      {"GET / HTTP/1.1\r\nHost: a\r\nA: " + std::string(64u << 10, 'a') + "\r\n\r\n", 431},
      {"GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 431},
  };
  for (const Case& c : cases) {
    CAPTURE(c.head.substr(0, 100));
    RawClient client(server.port());
    const Received got = client.exchange(c.head);
    CHECK(got.status == c.status);
    CHECK(got.header("connection") == "close");
    CHECK(client.at_end());
  }
  RawClient client(server.port());
  CHECK(client.exchange(get_fixed).status == 200);
}

TEST_CASE("clients that are too slow are let go") {
  Running server({.head_timeout = Milliseconds(200), .idle_timeout = Milliseconds(300)});
  SUBCASE("with half a head: told so") {
    RawClient client(server.port());
    client.send("GET /fixed HTTP/1.1\r\nHost:");
    CHECK(client.receive().status == 408);
    CHECK(client.at_end());
  }
  SUBCASE("idle: silently") {
    RawClient client(server.port());
    CHECK(client.exchange(get_fixed).status == 200);
    CHECK(client.at_end());
    RawClient silent(server.port());
    CHECK(silent.at_end());
  }
  SUBCASE("while others are served") {
    std::vector<std::unique_ptr<RawClient>> slow;
    for (int i = 0; i < 200; ++i) {
      slow.push_back(std::make_unique<RawClient>(server.port()));
      slow.back()->send("GET /fixed HTTP/1.1\r\nHost: a\r\nX");
    }
    RawClient client(server.port());
    CHECK(client.exchange(get_fixed).status == 200);
    CHECK(client.exchange(post("/echo", "a")).body == "a");
    CHECK(server.reactors.front()->stacks() <= 1);
  }
}

TEST_CASE("past the limit of fibers a request is told so at once") {
  Running server({}, {.max_fibers = 1});
  RawClient first(server.port());
  first.send(post("/wait", "a"));
  REQUIRE(server.echo.waiting.wait());
  RawClient second(server.port());
  CHECK(second.exchange(post("/echo", "b")).status == 503);
  CHECK(second.at_end());
  RawClient third(server.port());
  third.send("HEAD /fixed HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(third.receive(false).status == 503);
  CHECK(third.at_end());
  server.echo.release.raise();
  CHECK(first.receive().body == "a");
}

TEST_CASE(
    "blank lines before a head are skipped however they are cut, and do not begin the time anew") {
  Running server({.idle_timeout = Milliseconds(300)});
  RawClient client(server.port());
  CHECK(client.exchange(get_fixed).body == "fixed");
  SUBCASE("before a head") {
    for (const char* piece : {"\r", "\n\r", "\n", "G", "ET /fixed HTTP/1.1\r\nHost: a\r\n\r", "\n"})
      client.send(piece);
    CHECK(client.receive().body == "fixed");
  }
  SUBCASE("without one") {
    const TimePoint began = std::chrono::steady_clock::now();
    while (client.send("\r\n") && std::chrono::steady_clock::now() - began < Seconds(20))
      std::this_thread::sleep_for(Milliseconds(50));
    CHECK(std::chrono::steady_clock::now() - began < Seconds(10));
  }
}

TEST_CASE("at the limit of connections the longest idle one makes room") {
  Running server({.max_connections = 2});
  RawClient busy(server.port());
  busy.send(post("/wait", "a"));
  REQUIRE(server.echo.waiting.wait());
  RawClient idle(server.port());
  CHECK(idle.exchange(get_fixed).body == "fixed");
  RawClient newcomer(server.port());
  CHECK(newcomer.exchange(get_fixed).body == "fixed");
  CHECK(idle.at_end());
  server.echo.release.raise();
  CHECK(busy.receive().body == "a");
}

TEST_CASE("what clients leave lying is bounded, and the longest waiting are told so") {
  Running server({.max_parked_bytes = 64u << 10});
  RawClient other(server.port());
  RawClient small(server.port());
  small.send(get_fixed.substr(0, 10));
  CHECK(other.exchange(get_fixed).body == "fixed");
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.port()));
    clients.back()->send("GET /fixed HTTP/1.1\r\nHost: a\r\nX: " + std::string(20'000, 'x'));
    // Twice: after that the server has looked at what was sent before.
    for (int k = 0; k < 2; ++k) CHECK(other.exchange(get_fixed).body == "fixed");
  }
  CHECK(clients.front()->receive().status == 408);
  CHECK(clients.back()->exchange("\r\n\r\n").status == 431);    // it was waited for
  CHECK(small.exchange(get_fixed.substr(10)).body == "fixed");  // it takes nobody's room
}

TEST_CASE("a client that pipelines waits for its turn like others") {
  Running server;
  RawClient greedy(server.port());
  RawClient other(server.port());
  for (RawClient* client : {&greedy, &other}) CHECK(client->exchange(get_fixed).body == "fixed");
  std::string many;
  for (int i = 0; i < 300; ++i) many += post("/echo", std::to_string(i));
  std::latch begun(1), sent(1);
  server.echo.call = [&] {
    begun.count_down();
    sent.wait();
  };
  greedy.send(post("/call", "") + many);
  begun.wait();
  other.send(test::get("/echoed"));
  sent.count_down();
  CHECK(std::stoi("0" + other.receive().body) < 10);
  CHECK(greedy.receive().status == 200);
  for (int i = 0; i < 300; ++i) REQUIRE(greedy.receive().body == std::to_string(i));
}

}  // namespace
}  // namespace falproxy::serving
