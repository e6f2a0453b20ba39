// Exchanges that end before their answer does: deadlines, silence and stops.
#include <doctest/doctest.h>

#include <chrono>
#include <future>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "pair.hpp"

using namespace falproxy;
using namespace falproxy_test;
using namespace std::chrono_literals;

// A busy machine may not even connect in a short time: then the exchange gets twice as much.
static void check_that_deadline_ends(Pair& pair, const HttpRequest& request) {
  auto time = 50ms;
  auto result = pair.fetch(request, in(time));
  while (!result && result.error().nothing_sent && time < 60s) {
    result = pair.fetch(request, in(time *= 2));
  }
  check_failed(result, TransportFault::timed_out, false);
}

TEST_CASE_TEMPLATE("the deadline holds for the exchange as a whole", Scheme, Http, Https) {
  constexpr bool tls = Scheme::tls;
  SUBCASE("silence") {
    Pair pair([](Peer& peer, int) { peer.wait_for_end(); }, tls);
    check_that_deadline_ends(pair, {"GET", pair.server.url()});
  }
  SUBCASE("an answer that drips") {
    Pair pair(
        [](Peer& peer, int) {
          peer.read_request();
          peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
          while (peer.write("1\r\nx\r\n")) std::this_thread::sleep_for(1ms);
        },
        tls);
    check_that_deadline_ends(pair, {"GET", pair.server.url()});
  }
  SUBCASE("a body that nobody reads") {
    std::promise<void> done;
    const std::shared_future<void> over = done.get_future().share();
    Pair pair([&over](Peer&, int) { over.wait(); }, tls);
    const HttpRequest request{"POST", pair.server.url(), {}, Body(std::string(50'000'000, 'x'))};
    check_that_deadline_ends(pair, request);
    done.set_value();
  }
  SUBCASE("it has passed already") {
    Pair pair(serve_all, tls);
    check_failed(pair.fetch({"GET", pair.server.url()}, in(-1s)), TransportFault::timed_out, true);
    check_failed(pair.fetch({"GET", pair.server.url()}, TimePoint::min()),
                 TransportFault::timed_out, true);
  }
  SUBCASE("there is none") {
    Pair pair(serve_all, tls);
    CHECK(pair.fetch({"GET", pair.server.url()}, TimePoint::max()));
  }
}

TEST_CASE_TEMPLATE("a peer that never pauses cannot outlast the deadline", Scheme, Http, Https) {
  struct Case {
    const char* name;
    std::string head;
    std::string forever;
  };
  const std::string comments(60'000, ':');
  std::string tiny;
  while (tiny.size() < 60'000) tiny += "1\r\nx\r\n";
  const std::vector<Case> cases{
      {"a body with a length", "Content-Length: 9000000000000000000\r\n\r\n", comments},
      {"a body without one", "\r\n", comments},
      {"chunks", "Transfer-Encoding: chunked\r\n\r\n", "ea60\r\n" + comments + "\r\n"},
      {"tiny chunks", "Transfer-Encoding: chunked\r\n\r\n", tiny},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    Pair pair(
        [&](Peer& peer, int) {
          peer.read_request();
          peer.write("HTTP/1.1 200 OK\r\n" + c.head);
          while (peer.write(c.forever)) {
          }
        },
        Scheme::tls);
    struct Sink final : ResponseSink {
      bool head(HttpHead) override { return true; }
      bool data(std::string_view) override { return true; }
    } sink;
    const auto ended = pair.transport->send({"GET", pair.server.url()}, in(100ms), {}, sink);
    REQUIRE_FALSE(ended);
    CHECK(ended.error().fault == TransportFault::timed_out);
  }
}

TEST_CASE("a peer that sends session tickets without end cannot outlast the deadline") {
  Pair pair(
      [](Peer& peer, int) {
        peer.read_request();
        while (peer.offer_session()) {
        }
      },
      true);
  check_that_deadline_ends(pair, {"GET", pair.server.url()});
}

TEST_CASE("chunk lines that carry more than their chunks are no answer") {
  Pair pair([](Peer& peer, int) {
    peer.read_request();
    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (peer.write("1;" + std::string(1000, 'x') + "\r\nx\r\n")) {
    }
  });
  check_failed(pair.get(), TransportFault::interrupted, false);
}

TEST_CASE_TEMPLATE("an exchange can end on silence before its deadline", Scheme, Http, Https) {
  constexpr bool tls = Scheme::tls;
  Pair pair(
      [](Peer& peer, int) {
        peer.read_request();
        peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n");
        peer.wait_for_end();
      },
      tls);
  HttpRequest request{"GET", pair.server.url()};
  request.max_silence = 50ms;
  check_failed(pair.fetch(request), TransportFault::timed_out, false);
}

// Of a request that nobody ever lets connect.
static void check_that_connecting_ends(const HttpRequest& request) {
  SUBCASE("at the deadline") {
    const auto transport = make_transport();
    check_failed(fetch(*transport, request, in(50ms), {}, unlimited), TransportFault::timed_out,
                 true);
  }
  SUBCASE("after the time for connecting") {
    HttpTransport::Options options;
    options.connect_timeout = 50ms;
    const auto transport = make_transport(options);
    check_failed(fetch(*transport, request, some_day(), {}, unlimited), TransportFault::unreachable,
                 true);
  }
}

TEST_CASE_TEMPLATE("a stop ends an exchange wherever it is", Scheme, Http, Https) {
  constexpr bool tls = Scheme::tls;
  std::stop_source source;
  std::promise<void> reached;
  // Asks for the stop once the server has seen what it waits for.
  const auto stopped = [&](Pair& pair, HttpRequest request) {
    std::jthread stopper([&] {
      reached.get_future().wait();
      source.request_stop();
    });
    return pair.fetch(std::move(request), some_day(), source.get_token());
  };
  SUBCASE("before it begins") {
    Pair pair(serve_all, tls);
    source.request_stop();
    check_failed(pair.fetch({"GET", pair.server.url()}, some_day(), source.get_token()),
                 TransportFault::cancelled, true);
    CHECK(pair.server.connections() == 0);
  }
  SUBCASE("while it waits for the answer") {
    Pair pair(
        [&](Peer& peer, int) {
          peer.read_request();
          reached.set_value();
          peer.wait_for_end();
        },
        tls);
    check_failed(stopped(pair, {"POST", pair.server.url(), {}, Body("{}")}),
                 TransportFault::cancelled, false);
  }
  SUBCASE("while the body arrives") {
    Pair pair(
        [&](Peer& peer, int) {
          peer.read_request();
          peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n");
          reached.set_value();
          peer.wait_for_end();
        },
        tls);
    check_failed(stopped(pair, {"GET", pair.server.url()}), TransportFault::cancelled, false);
  }
  SUBCASE("while the body is sent") {
    std::promise<void> done;
    Pair pair(
        [&](Peer& peer, int) {
          peer.read_some(1);
          reached.set_value();
          done.get_future().wait();
        },
        tls);
    const auto result =
        stopped(pair, {"POST", pair.server.url(), {}, Body(std::string(50'000'000, 'x'))});
    check_failed(result, TransportFault::cancelled, false);
    done.set_value();
  }
}

// Shorter than a sleep can be.
static void spin_for(std::chrono::microseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end) {
  }
}

TEST_CASE("connecting ends at its deadline, and when it is stopped") {
  // A listener whose queue is full lets further connections hang, as a host that is down does.
  const FullListener full;
  const HttpRequest request{"POST", full.url(), {}, Body("{}")};
  check_that_connecting_ends(request);
  SUBCASE("by a stop, whenever it comes") {
    HttpTransport::Options options;
    options.connect_timeout = 60s;
    const auto transport = make_transport(options);
    for (int i = 0; i < 20; ++i) {
      std::stop_source source;
      std::jthread stopper([&source, i] {
        spin_for(i * 5us);
        source.request_stop();
      });
      check_failed(fetch(*transport, request, some_day(), source.get_token(), unlimited),
                   TransportFault::cancelled, true);
    }
  }
}

TEST_CASE_TEMPLATE("stops at any moment leave nothing behind", Scheme, Http, Https) {
  constexpr bool tls = Scheme::tls;
  Pair pair(serve_all, tls);
  for (int i = 0; i < 200; ++i) {
    std::stop_source source;
    std::jthread stopper([&source, i] {
      spin_for(i * 5us);
      source.request_stop();
    });
    const auto result = pair.fetch({"GET", pair.server.url()}, some_day(), source.get_token());
    if (!result) CHECK(result.error().fault == TransportFault::cancelled);
  }
  CHECK(pair.get());
}
