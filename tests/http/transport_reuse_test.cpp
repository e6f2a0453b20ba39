// Which connection carries a request, and which is not used again.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "pair.hpp"

using namespace falproxy;
using namespace falproxy_test;
using namespace std::chrono_literals;

TEST_CASE("a connection that may not carry another request is not kept") {
  struct Case {
    const char* name;
    std::string answer;
  };
  const std::vector<Case> cases{
      {"close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nfine"},
      {"close among others",
       "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 4\r\n\r\nfine"},
      {"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nfine"},
      {"more than the length says",
       "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfineHTTP/1.1 200 OK\r\n"},
      {"two ways to find the end",
       "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: "
       "chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    Pair pair([&](Peer& peer, int) {
      while (peer.read_request()) peer.write(c.answer);
    });
    const auto first = pair.get();
    REQUIRE(first);
    CHECK(first->body == "fine");
    CHECK(pair.transport->counters().idle == 0);
    REQUIRE(pair.get());
    CHECK(pair.server.connections() == 2);
  }
}

TEST_CASE_TEMPLATE("a stale connection is replaced without the caller noticing", Scheme, Http,
                   Https) {
  constexpr bool tls = Scheme::tls;
  SUBCASE("it was closed while idle") {
    std::promise<void> closed;
    Pair pair(
        [&](Peer& peer, int number) {
          if (number == 0) {
            peer.read_request();
            peer.answer("fine");
          } else {
            serve_all(peer, number);
          }
        },
        tls);
    for (int i = 0; i < 2; ++i) REQUIRE(pair.get());
    REQUIRE(pair.post("{}"));
  }
  SUBCASE("it is closed when the next GET arrives") {
    std::atomic<int> requests{0};
    Pair pair(
        [&](Peer& peer, int number) {
          if (number == 0) {
            peer.read_request();
            peer.answer("fine");
            peer.read_request();
            ++requests;
          } else {
            serve_all(peer, number);
          }
        },
        tls);
    REQUIRE(pair.get());
    const auto second = pair.get();
    REQUIRE(second);
    CHECK(second->body == "fine");
    CHECK(requests == 1);
    CHECK(pair.server.connections() == 2);
  }
}

TEST_CASE_TEMPLATE("a GET is repeated only once, and only on a connection that was reused", Scheme,
                   Http, Https) {
  constexpr bool tls = Scheme::tls;
  std::atomic<int> requests{0};
  Pair pair(
      [&](Peer& peer, int) {
        if (peer.read_request()) ++requests;
      },
      tls);
  check_failed(pair.get(), TransportFault::interrupted, false);
  CHECK(requests == 1);
}

TEST_CASE_TEMPLATE("a server that reads a submit and closes has seen it exactly once", Scheme, Http,
                   Https) {
  constexpr bool tls = Scheme::tls;
  for (const char* method : {"POST", "PUT"}) {
    for (const bool reused : {false, true}) {
      for (const bool reset : {false, true}) {
        CAPTURE(method);
        CAPTURE(reused);
        CAPTURE(reset);
        std::atomic<int> submits{0};
        Pair pair(
            [&](Peer& peer, int) {
              while (const auto request = peer.read_request()) {
                if (request->starts_with("GET")) {
                  peer.answer("fine");
                  continue;
                }
                ++submits;
                if (reset) peer.reset();
                return;
              }
            },
            tls);
        if (reused) REQUIRE(pair.get());
        const auto answer = pair.fetch({method, pair.server.url(), {}, Body("{\"prompt\":\"x\"}")});
        check_failed(answer, TransportFault::interrupted, false);
        CHECK(submits == 1);
        CHECK(pair.server.connections() == 1);
      }
    }
  }
}

TEST_CASE_TEMPLATE("a submit does not travel over a connection that has been idle for long", Scheme,
                   Http, Https) {
  constexpr bool tls = Scheme::tls;
  HttpTransport::Options options;
  options.max_submit_idle = 0s;
  Pair pair(serve_all, tls, options);
  REQUIRE(pair.get());
  REQUIRE(pair.post("{}"));
  CHECK(pair.server.connections() == 2);
  REQUIRE(pair.get());
  CHECK(pair.server.connections() == 2);
}

TEST_CASE("idle connections are bounded in age and in number") {
  SUBCASE("age") {
    HttpTransport::Options options;
    options.max_idle = 0s;
    Pair pair(serve_all, false, options);
    REQUIRE(pair.get());
    CHECK(pair.transport->counters().idle == 0);
    REQUIRE(pair.get());
    CHECK(pair.server.connections() == 2);
  }
  SUBCASE("number") {
    HttpTransport::Options options;
    options.max_idle_per_host = 2;
    std::atomic<int> waiting{0};
    Pair pair(
        [&](Peer& peer, int) {
          while (peer.read_request()) {
            for (++waiting; waiting < 4;) std::this_thread::yield();
            peer.answer("fine");
          }
        },
        false, options);
    std::vector<std::jthread> clients;
    for (int i = 0; i < 4; ++i) {
      clients.emplace_back([&] { CHECK(pair.get()); });
    }
    clients.clear();
    CHECK(pair.server.connections() == 4);
    CHECK(pair.transport->counters().idle == 2);
  }
}
