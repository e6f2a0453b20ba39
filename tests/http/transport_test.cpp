// One exchange of the transport: what is sent, what is heard, and what is not an answer.
#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "pair.hpp"
#include "support/memory_spools.hpp"

using namespace falproxy;
using namespace falproxy_test;
using namespace std::chrono_literals;

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

TEST_CASE_TEMPLATE("a body that lies elsewhere is sent behind the one in memory, piece by piece",
                   Scheme, Http, Https) {
  std::string file;
  while (file.size() < 2'000'000) file += std::to_string(file.size());
  std::promise<std::string> seen;
  Pair pair(
      [&](Peer& peer, int) {
        seen.set_value(peer.read_request().value_or(""));
        peer.answer("fine");
      },
      Scheme::tls);
  const auto response = pair.fetch({.method = "PUT",
                                    .url = pair.server.url(),
                                    .body = Body("head,"),
                                    .source = std::make_shared<tests::TextSource>(file)});
  REQUIRE(response);
  CHECK(response->body == "fine");
  const std::string request = seen.get_future().get();
  CHECK(request.find("Content-Length: " + std::to_string(file.size() + 5)) != std::string::npos);
  CHECK(request.ends_with("\r\n\r\nhead," + file));
}

TEST_CASE("a body that cannot be read to its end breaks the exchange off at once") {
  Pair pair([&](Peer& peer, int) { peer.wait_for_end(); }, false);
  const auto response = pair.fetch(
      {.method = "PUT",
       .url = pair.server.url(),
       .source = std::make_shared<tests::TextSource>(std::string(1'000'000, 'a'), 300'000)});
  REQUIRE_FALSE(response);
  CHECK(response.error().fault == TransportFault::interrupted);
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

TEST_CASE_TEMPLATE("a body that only the end of the connection ends says that it may be incomplete",
                   Scheme, Http, Https) {
  struct Case {
    const char* name;
    const char* answer;
    bool may_be_incomplete;
  };
  const std::vector<Case> cases{
      {"neither length nor chunks", "HTTP/1.1 200 OK\r\n\r\nfi", true},
      {"length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nfi", false},
      {"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n0\r\n\r\n",
       false},
      {"no body", "HTTP/1.1 204 No Content\r\n\r\n", false},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    Pair pair(
        [&](Peer& peer, int) {
          if (peer.read_request()) peer.write(c.answer);
        },
        Scheme::tls);
    const auto response = pair.get();
    REQUIRE(response);
    CHECK(response->head.ends_with_connection == c.may_be_incomplete);
  }
}

TEST_CASE_TEMPLATE("a connection that breaks ends no body", Scheme, Http, Https) {
  Pair pair(
      [](Peer& peer, int) {
        if (!peer.read_request()) return;
        peer.write("HTTP/1.1 200 OK\r\n\r\nfi");
        peer.reset();
      },
      Scheme::tls);
  check_failed(pair.get(), TransportFault::interrupted, false);
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

TEST_CASE("where nothing listens, nothing was sent") {
  int port = 0;
  {
    port = LoopbackServer(serve_all).port();
  }
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

TEST_CASE_TEMPLATE("the sink hears the head first, then the body as it arrives", Scheme, Http,
                   Https) {
  constexpr bool tls = Scheme::tls;
  struct Sink final : ResponseSink {
    std::promise<void>& first;
    std::vector<std::string> heard;
    explicit Sink(std::promise<void>& promise) : first(promise) {}
    bool head(HttpHead head) override {
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
  bool head(HttpHead) override { return take_head; }
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
