#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "certificates.hpp"
#include "deadline.hpp"
#include "falproxy/http_transport.hpp"
#include "loopback_server.hpp"

using namespace falproxy;
using namespace falproxy_test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t unlimited = std::size_t{1} << 40;

// Long enough never to matter.
TimePoint some_day() { return in(60s); }

std::unique_ptr<HttpTransport> make_transport(HttpTransport::Options options = {}) {
  Result<std::unique_ptr<HttpTransport>> made = HttpTransport::create(std::move(options));
  REQUIRE(made);
  return *std::move(made);
}

// A server and a transport that trusts it, over http or https.
struct Pair {
  explicit Pair(LoopbackServer::Handler handler, bool tls = false,
                HttpTransport::Options options = {})
      : context(tls ? authority.server_context() : nullptr),
        server(std::move(handler), context.get()) {
    options.ca_file = authority.file();
    transport = make_transport(std::move(options));
  }
  Result<HttpResponse, TransportError> fetch(HttpRequest request, TimePoint deadline = some_day(),
                                             std::stop_token stop = {}) {
    return falproxy::fetch(*transport, request, deadline, std::move(stop), unlimited);
  }
  Result<HttpResponse, TransportError> get(std::string_view target = "/") {
    return fetch({"GET", server.url(target)});
  }
  Result<HttpResponse, TransportError> post(std::string body, std::string_view target = "/") {
    return fetch({"POST", server.url(target), {}, Body(std::move(body))});
  }

  Authority authority;
  ContextPtr context;
  LoopbackServer server;
  std::unique_ptr<HttpTransport> transport;
};

void serve_all(Peer& peer, int) {
  while (const auto request = peer.read_request()) peer.answer("fine");
}

void check_failed(const Result<HttpResponse, TransportError>& result, TransportFault fault,
                  bool nothing_sent) {
  REQUIRE_FALSE(result);
  CAPTURE(result.error().message);
  CHECK(result.error().fault == fault);
  CHECK(result.error().nothing_sent == nothing_sent);
}

// Each test that is a template runs over both.
struct Http {
  static constexpr bool tls = false;
};
struct Https {
  static constexpr bool tls = true;
};

}  // namespace

TEST_CASE_TEMPLATE("a request arrives as it was given, with what HTTP needs added", Scheme, Http,
                   Https) {
  constexpr bool tls = Scheme::tls;
  std::promise<std::string> seen;
  Pair pair(
      [&](Peer& peer, int) {
        seen.set_value(peer.read_request().value_or(""));
        peer.answer("fine", "X-Answer: yes\r\n");
      },
      tls);
  const auto response =
      pair.fetch({"POST",
                  pair.server.url("/a%2Fb?x=%7E&y=+"),
                  {{"Authorization", "Key k"}, {"Content-Type", "application/json"}},
                  Body("{}")});
  REQUIRE(response);
  CHECK(response->head.status == 200);
  CHECK(response->head.headers.find("x-answer") == "yes");
  CHECK(response->body == "fine");
  CHECK(seen.get_future().get() ==
        "POST /a%2Fb?x=%7E&y=+ HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(pair.server.port()) +
            "\r\nAuthorization: Key k\r\nContent-Type: application/json\r\nAccept: "
            "*/*\r\nAccept-Encoding: identity\r\nUser-Agent: "
            "falproxy\r\nContent-Length: 2\r\n\r\n{}");
}

TEST_CASE_TEMPLATE("one connection carries one request after another", Scheme, Http, Https) {
  constexpr bool tls = Scheme::tls;
  Pair pair(serve_all, tls);
  for (int i = 0; i < 5; ++i) {
    const auto response = i % 2 == 0 ? pair.get() : pair.post("{}");
    REQUIRE(response);
    CHECK(response->body == "fine");
  }
  CHECK(pair.server.connections() == 1);
  CHECK(pair.transport->counters().connections_opened == 1);
  CHECK(pair.transport->counters().requests == 5);
  CHECK(pair.transport->counters().idle == 1);
}

TEST_CASE_TEMPLATE("a body comes out whole, however it is framed and wherever it is cut", Scheme,
                   Http, Https) {
  constexpr bool tls = Scheme::tls;
  struct Case {
    const char* name;
    std::string answer;
    std::string body;
    int status = 200;
    const char* method = "GET";
  };
  const std::string large(300'000, 'x');
  const std::vector<Case> cases{
      {"length", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine", "fine"},
      {"length, twice the same", "HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\nfine", "fine"},
      {"chunks",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n2;x=y\r\nne\r\n0\r\n\r\n",
       "fine"},
      {"chunks with trailers",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0004\r\nfine\r\n0\r\nA: b\r\nC: "
       "d\r\n\r\n",
       "fine"},
      {"until the end", "HTTP/1.1 200 OK\r\n\r\nfine", "fine"},
      {"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nfine", "fine"},
      {"no reason", "HTTP/1.1 404\r\nContent-Length: 2\r\n\r\nno", "no", 404},
      {"no content", "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n", "", 204},
      {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", "", 200, "HEAD"},
      {"interim answers before it",
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 "
       "OK\r\nContent-Length: "
       "4\r\n\r\nfine",
       "fine"},
      {"redirects are answers",
       "HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n", "", 302},
      {"line feeds alone", "HTTP/1.1 200 OK\nContent-Length: 4\n\nfine", "fine"},
      {"a large one", "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + large, large},
      {"a large chunk",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n493e0\r\n" + large + "\r\n0\r\n\r\n",
       large},
      {"a long reason",
       "HTTP/1.1 200 " + std::string(30'000, 'a') + "\r\nContent-Length: 4\r\n\r\nfine", "fine"},
      {"a long head",
       "HTTP/1.1 200 OK\r\nA: " + std::string(30'000, 'a') + "\r\nContent-Length: 4\r\n\r\nfine",
       "fine"},
  };
  for (const Case& c : cases) {
    // Byte by byte for the short ones: every place where an answer can be cut.
    for (const std::size_t step : {std::size_t{1}, std::size_t{1'000'000}}) {
      if (step == 1 && c.answer.size() > 1000) continue;
      CAPTURE(c.name);
      CAPTURE(step);
      Pair pair(
          [&](Peer& peer, int) {
            if (!peer.read_request()) return;
            for (std::size_t at = 0; at < c.answer.size(); at += step)
              peer.write(c.answer.substr(at, step));
          },
          tls);
      const auto response = pair.fetch({c.method, pair.server.url()});
      REQUIRE(response);
      CHECK(response->head.status == c.status);
      CHECK(response->body == c.body);
      CHECK(pair.server.connections() == 1);
    }
  }
}

TEST_CASE_TEMPLATE(
    "what is not a whole answer is an interruption, and nothing is asked twice once bytes came",
    Scheme, Http, Https) {
  constexpr bool tls = Scheme::tls;
  struct Case {
    const char* name;
    std::string answer;
  };
  const std::vector<Case> cases{
      {"truncated head", "HTTP/1.1 200 OK\r\nContent-Le"},
      {"truncated body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfine"},
      {"truncated chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\nfine"},
      {"no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n"},
      {"no end of the trailers",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n"},
      {"broken chunk size",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nfine\r\n0\r\n\r\n"},
      {"chunk longer than its size",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfine\r\n0\r\n\r\n"},
      {"not HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n"},
      {"broken status", "HTTP/1.1 2x0 OK\r\n\r\n"},
      {"another protocol", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"},
      {"header without a colon", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"},
      {"blank before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 4\r\n\r\nfine"},
      {"folded header", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 4\r\n\r\nfine"},
      {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nfine!"},
      {"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nfine"},
      {"unknown transfer coding",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
      {"an endless head", "HTTP/1.1 200 OK\r\nA: " + std::string(100'000, 'a')},
      {"a thousand header fields", "HTTP/1.1 200 OK\r\n" +
                                       [] {
                                         std::string fields;
                                         for (int i = 0; i < 1000; ++i) fields += "A: b\r\n";
                                         return fields;
                                       }() +
                                       "\r\n"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    std::atomic<int> requests{0};
    Pair pair(
        [&](Peer& peer, int) {
          if (!peer.read_request()) return;
          ++requests;
          peer.write(c.answer);
        },
        tls);
    check_failed(pair.get(), TransportFault::interrupted, false);
    CHECK(requests == 1);
    CHECK(pair.transport->counters().idle == 0);
  }
}

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

TEST_CASE("where nothing listens, nothing was sent") {
  int port = 0;
  { port = LoopbackServer(serve_all).port(); }
  const auto transport = make_transport();
  for (const char* scheme : {"http", "https"}) {
    const HttpRequest request{
        "POST", std::string(scheme) + "://127.0.0.1:" + std::to_string(port) + "/", {}, Body("{}")};
    check_failed(fetch(*transport, request, some_day(), {}, unlimited), TransportFault::unreachable,
                 true);
  }
}

TEST_CASE("a request that would break the message never leaves") {
  Pair pair(serve_all);
  const std::vector<HttpRequest> requests{
      {"GET", "ftp://127.0.0.1/"},
      {"GET", "http://user@127.0.0.1/"},
      {"GET", "/relative"},
      {"GET ", pair.server.url()},
      {"GET", pair.server.url(), {{"A", "b\r\nX: y"}}},
      {"GET", pair.server.url(), {{"A b", "c"}}},
      {"GET", pair.server.url(), {{"Host", "elsewhere"}}},
      {"POST", pair.server.url(), {{"content-length", "1"}}, Body("{}")},
      {"POST", pair.server.url(), {{"Transfer-Encoding", "chunked"}}, Body("{}")},
  };
  for (const HttpRequest& request : requests) {
    CAPTURE(request.url);
    check_failed(pair.fetch(request), TransportFault::unreachable, true);
  }
  CHECK(pair.server.connections() == 0);
}

TEST_CASE("a server whose certificate does not hold sees no request") {
  const Authority authority;
  struct Case {
    const char* name;
    Authority::Leaf leaf;
    const char* host = "127.0.0.1";
  };
  const std::vector<Case> bad{
      {"expired", {.valid_from_days = -2, .valid_to_days = -1}},
      {"not yet valid", {.valid_from_days = 1, .valid_to_days = 2}},
      {"self-signed", {.self_signed = true}},
      {"for another name", {.names = "DNS:elsewhere.test"}, "localhost"},
      {"for another address", {.names = "IP:127.0.0.2"}},
      {"an address given as a name", {.names = "DNS:127.0.0.1"}},
  };
  HttpTransport::Options options;
  options.ca_file = authority.file();
  const auto transport = make_transport(options);
  std::atomic<int> requests{0};
  const LoopbackServer::Handler count = [&](Peer& peer, int) {
    while (peer.read_request()) {
      ++requests;
      peer.answer("fine");
    }
  };
  for (const Case& c : bad) {
    CAPTURE(c.name);
    const ContextPtr context = authority.server_context(c.leaf);
    LoopbackServer server(count, context.get());
    const HttpRequest request{"GET", server.url("/", c.host)};
    for (int i = 0; i < 2; ++i) {
      check_failed(fetch(*transport, request, some_day(), {}, unlimited),
                   TransportFault::unreachable, true);
    }
  }
  CHECK(requests == 0);

  for (const char* host : {"127.0.0.1", "localhost"}) {
    CAPTURE(host);
    const ContextPtr context = authority.server_context();
    LoopbackServer server(count, context.get());
    CHECK(fetch(*transport, {"GET", server.url("/", host)}, some_day(), {}, unlimited));
  }
  SUBCASE("another authority's certificate") {
    const ContextPtr context = Authority().server_context();
    LoopbackServer server(count, context.get());
    check_failed(fetch(*transport, {"GET", server.url()}, some_day(), {}, unlimited),
                 TransportFault::unreachable, true);
  }
  SUBCASE("a server that speaks no TLS") {
    LoopbackServer server([](Peer& peer, int) { peer.write("HTTP/1.1 400 Bad Request\r\n\r\n"); });
    const HttpRequest request{"GET", "https://127.0.0.1:" + std::to_string(server.port()) + "/"};
    check_failed(fetch(*transport, request, some_day(), {}, unlimited), TransportFault::unreachable,
                 true);
  }
}

TEST_CASE("a certificate file that cannot be read is a setting to mend") {
  const Authority authority;
  const std::string empty = authority.file() + "-empty";
  { std::ofstream out(empty); }
  for (const std::string& file : {std::string("/nonexistent/ca.pem"), empty}) {
    HttpTransport::Options options;
    options.ca_file = file;
    const auto made = HttpTransport::create(options);
    REQUIRE_FALSE(made);
    CHECK(made.error().kind == ErrorKind::invalid_settings);
    CHECK(made.error().field == "SSL_CERT_FILE");
  }
  std::remove(empty.c_str());
}

TEST_CASE("a second connection to a host resumes its TLS session") {
  std::atomic<int> resumed{0};
  Pair pair(
      [&](Peer& peer, int) {
        peer.read_request();
        if (peer.resumed()) ++resumed;
        peer.answer("fine", "Connection: close\r\n");
      },
      true);
  for (int i = 0; i < 3; ++i) REQUIRE(pair.get());
  CHECK(pair.server.connections() == 3);
  CHECK(resumed == 2);
}

TEST_CASE_TEMPLATE("the deadline holds for the exchange as a whole", Scheme, Http, Https) {
  constexpr bool tls = Scheme::tls;
  SUBCASE("silence") {
    Pair pair([](Peer& peer, int) { peer.wait_for_end(); }, tls);
    check_failed(pair.fetch({"GET", pair.server.url()}, in(50ms)), TransportFault::timed_out,
                 false);
  }
  SUBCASE("an answer that drips") {
    Pair pair(
        [](Peer& peer, int) {
          peer.read_request();
          peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
          while (peer.write("1\r\nx\r\n")) std::this_thread::sleep_for(1ms);
        },
        tls);
    check_failed(pair.fetch({"GET", pair.server.url()}, in(100ms)), TransportFault::timed_out,
                 false);
  }
  SUBCASE("a body that nobody reads") {
    std::promise<void> done;
    Pair pair([&](Peer&, int) { done.get_future().wait(); }, tls);
    const HttpRequest request{"POST", pair.server.url(), {}, Body(std::string(50'000'000, 'x'))};
    check_failed(pair.fetch(request, in(100ms)), TransportFault::timed_out, false);
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

TEST_CASE("a TLS handshake that never ends is given up") {
  LoopbackServer server([](Peer& peer, int) { peer.wait_for_end(); });
  const HttpRequest request{"GET", "https://127.0.0.1:" + std::to_string(server.port()) + "/"};
  check_that_connecting_ends(request);
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
        for (int spin = 0; spin < i * 20; ++spin) std::this_thread::yield();
        source.request_stop();
      });
      check_failed(fetch(*transport, request, some_day(), source.get_token(), unlimited),
                   TransportFault::cancelled, true);
    }
  }
}

TEST_CASE("a stop ends a TLS handshake") {
  std::stop_source source;
  LoopbackServer server([&](Peer& peer, int) {
    peer.read_some(1);
    source.request_stop();
    peer.wait_for_end();
  });
  const auto transport = make_transport();
  const HttpRequest request{"GET", "https://127.0.0.1:" + std::to_string(server.port()) + "/"};
  check_failed(fetch(*transport, request, some_day(), source.get_token(), unlimited),
               TransportFault::cancelled, true);
}

TEST_CASE_TEMPLATE("stops at any moment leave nothing behind", Scheme, Http, Https) {
  constexpr bool tls = Scheme::tls;
  Pair pair(serve_all, tls);
  for (int i = 0; i < 200; ++i) {
    std::stop_source source;
    std::jthread stopper([&source, i] {
      for (int spin = 0; spin < i * 20; ++spin) std::this_thread::yield();
      source.request_stop();
    });
    const auto result = pair.fetch({"GET", pair.server.url()}, some_day(), source.get_token());
    if (!result) CHECK(result.error().fault == TransportFault::cancelled);
  }
  CHECK(pair.get());
}

TEST_CASE_TEMPLATE("the sink hears the head first, then the body as it arrives", Scheme, Http,
                   Https) {
  constexpr bool tls = Scheme::tls;
  struct Sink final : ResponseSink {
    std::promise<void>& first;
    std::vector<std::string> heard;
    explicit Sink(std::promise<void>& promise) : first(promise) {}
    bool head(const HttpHead& head) override {
      heard.push_back(std::to_string(head.status));
      return true;
    }
    bool data(std::string_view bytes) override {
      heard.emplace_back(bytes);
      if (heard.size() == 2) first.set_value();
      return true;
    }
  };
  std::promise<void> first;
  Pair pair(
      [&](Peer& peer, int) {
        peer.read_request();
        peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        first.get_future().wait();  // the second event only leaves once the first was heard
        peer.write("6\r\nsecond\r\n0\r\n\r\n");
      },
      tls);
  Sink sink(first);
  REQUIRE(pair.transport->send({"GET", pair.server.url()}, some_day(), {}, sink));
  CHECK(sink.heard == std::vector<std::string>{"200", "first", "second"});
}

// Takes the head or not, and no data.
struct UnwillingSink final : ResponseSink {
  bool take_head;
  explicit UnwillingSink(bool takes) : take_head(takes) {}
  bool head(const HttpHead&) override { return take_head; }
  bool data(std::string_view) override { return false; }
};

TEST_CASE_TEMPLATE(
    "a sink that says no ends the exchange; the connection goes on where the answer ends, too",
    Scheme, Http, Https) {
  constexpr bool tls = Scheme::tls;
  for (const bool take_head : {false, true}) {
    Pair pair(serve_all, tls);
    UnwillingSink sink(take_head);
    const auto sent = pair.transport->send({"GET", pair.server.url()}, some_day(), {}, sink);
    REQUIRE_FALSE(sent);
    CHECK(sent.error().fault == TransportFault::cancelled);
    CHECK(pair.transport->counters().idle == 1);
    CHECK(pair.transport->send({"GET", pair.server.url()}, some_day(), {}, sink).error().fault ==
          TransportFault::cancelled);
    CHECK(pair.transport->counters().connections_opened == 1);
  }
}

TEST_CASE("the connection of an answer that goes on after its sink said no is closed") {
  Pair pair([](Peer& peer, int) {
    peer.read_request();
    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    peer.wait_for_end();
  });
  UnwillingSink sink(true);
  REQUIRE_FALSE(pair.transport->send({"GET", pair.server.url()}, some_day(), {}, sink));
  CHECK(pair.transport->counters().idle == 0);
}

TEST_CASE("an answer larger than asked for is too large, announced or not") {
  for (const std::string headers : {"Content-Length: 100\r\n", "Connection: close\r\n"}) {
    Pair pair([&](Peer& peer, int) {
      peer.read_request();
      peer.write("HTTP/1.1 200 OK\r\n" + headers + "\r\n" + std::string(100, 'x'));
    });
    const auto result =
        falproxy::fetch(*pair.transport, {"GET", pair.server.url()}, some_day(), {}, 99);
    check_failed(result, TransportFault::too_large, false);
  }
}

TEST_CASE_TEMPLATE("the pieces of a body arrive in order", Scheme, Http, Https) {
  constexpr bool tls = Scheme::tls;
  Body body;
  std::string whole;
  for (int i = 0; i < 500; ++i) {
    const std::string piece(i % 50 == 0 ? 40'000 : static_cast<std::size_t>(i % 7),
                            static_cast<char>('a' + i % 26));
    body.append(piece);
    whole += piece;
  }
  Pair pair([](Peer& peer, int) { peer.answer(*peer.read_request()); }, tls);
  const auto response = pair.fetch({"PUT", pair.server.url(), {}, body});
  REQUIRE(response);
  REQUIRE(response->body.size() > whole.size());
  CHECK(response->body.substr(response->body.size() - whole.size()) == whole);
}

TEST_CASE("no request waits for \"100 Continue\"") {
  Pair pair([](Peer& peer, int) {
    const std::string request = peer.read_request().value_or("");
    peer.answer(request.find("Expect") == std::string::npos ? "fine" : "it asked");
  });
  const auto response = pair.post(std::string(5'000'000, 'x'));
  REQUIRE(response);
  CHECK(response->body == "fine");
}

TEST_CASE("an answer that comes before the request was read is heard") {
  Pair pair([](Peer& peer, int) {
    peer.read_some(1);
    peer.write("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
  });
  const auto response = pair.post(std::string(50'000'000, 'x'));
  REQUIRE(response);
  CHECK(response->head.status == 401);
  CHECK(pair.transport->counters().idle == 0);
}

TEST_CASE_TEMPLATE("many threads share one transport", Scheme, Http, Https) {
  constexpr bool tls = Scheme::tls;
  Pair pair(serve_all, tls);
  std::atomic<int> fine{0};
  std::vector<std::jthread> clients;
  for (int i = 0; i < 16; ++i) {
    clients.emplace_back([&] {
      for (int n = 0; n < 25; ++n) {
        const auto response = n % 2 == 0 ? pair.get() : pair.post("{}");
        if (response && response->body == "fine") ++fine;
      }
    });
  }
  clients.clear();
  CHECK(fine == 400);
  CHECK(pair.transport->counters().connections_opened <= 16);
}
