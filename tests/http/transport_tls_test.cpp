// TLS: whom the transport believes, and how a session is resumed.
#include <doctest/doctest.h>

#include <atomic>
#include <fstream>
#include <stop_token>
#include <string>
#include <vector>

#include "pair.hpp"

using namespace falproxy;
using namespace falproxy_test;
using namespace std::chrono_literals;

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
      {"for another name", {.names = "DNS:elsewhere.test"}, named_loopback},
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

  for (const char* host : {"127.0.0.1", named_loopback}) {
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
  {
    std::ofstream out(empty);
  }
  for (const std::string& file : {std::string("/nonexistent/ca.pem"), empty}) {
    HttpTransport::Options options;
    options.ca_file = file;
    const auto made = HttpTransport::create(options);
    REQUIRE_FALSE(made);
    CHECK(made.error().kind == ErrorKind::invalid_settings);
    CHECK(made.error().field == "SSL_CERT_FILE");
    CHECK(made.error().message.find("system lib") == std::string::npos);
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

TEST_CASE("a TLS handshake that never ends is given up") {
  LoopbackServer server([](Peer& peer, int) { peer.wait_for_end(); });
  const HttpRequest request{"GET", "https://127.0.0.1:" + std::to_string(server.port()) + "/"};
  check_that_connecting_ends(request);
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
