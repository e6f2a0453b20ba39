// Requests that go through an HTTP proxy.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "pair.hpp"

using namespace falproxy;
using namespace falproxy_test;
using namespace std::chrono_literals;

namespace {

// "Basic " and base64 of "me:secret".
constexpr std::string_view authorization = "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n";

Proxies proxies_at(const std::string& address, const std::string& no_proxy = "") {
  return Proxies::read([&](std::string_view name) -> std::optional<std::string_view> {
           if (name == "HTTPS_PROXY" || name == "HTTP_PROXY") return address;
           if (name == "NO_PROXY") return no_proxy;
           return std::nullopt;
         })
      .value();
}

// The last request that a server's thread read.
class Asked {
 public:
  void keep(std::string request) {
    const std::lock_guard lock(mutex_);
    request_ = std::move(request);
  }
  [[nodiscard]] std::string get() const {
    const std::lock_guard lock(mutex_);
    return request_;
  }

 private:
  mutable std::mutex mutex_;
  std::string request_;
};

// What a proxy does behind its 200: bytes pass both ways until one side ends.
void relay(Peer& peer, int port) {
  const int target = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  REQUIRE(::connect(target, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  {
    const std::jthread back([&] {
      std::array<char, 4096> bytes{};
      for (ssize_t n = 1; n > 0;) {
        n = ::recv(target, bytes.data(), bytes.size(), 0);
        if (n > 0 && !peer.write({bytes.data(), static_cast<std::size_t>(n)})) break;
      }
    });
    for (std::string bytes = peer.read_some(); !bytes.empty(); bytes = peer.read_some())
      static_cast<void>(!::send(target, bytes.data(), bytes.size(), MSG_NOSIGNAL));
    ::shutdown(target, SHUT_RDWR);
  }
  ::close(target);
}

// A server, a proxy before it that answers as it is told, and a transport that uses it.
struct Way {
  explicit Way(bool tls, LoopbackServer::Handler at_proxy, Authority::Leaf leaf = {})
      : context(tls ? authority.server_context(leaf) : nullptr),
        server(
            [](Peer& peer, int) {
              while (const auto request = peer.read_request()) peer.answer(*request);
            },
            context.get()),
        proxy(std::move(at_proxy)) {
    use(proxies_at("http://me:secret@127.0.0.1:" + std::to_string(proxy.port())));
  }
  void use(Proxies proxies) {
    HttpTransport::Options options;
    options.ca_file = authority.file();
    options.proxies = std::move(proxies);
    transport = make_transport(std::move(options));
  }
  Result<HttpResponse, TransportError> post(TimePoint deadline = some_day()) {
    return fetch(*transport, {"POST", server.url("/path?q"), {}, Body("{}")}, deadline, {},
                 unlimited);
  }

  Authority authority;
  ContextPtr context;
  LoopbackServer server;
  LoopbackServer proxy;
  std::unique_ptr<HttpTransport> transport;
};

void check_that_nothing_was_sent(const Result<HttpResponse, TransportError>& answer, Way& way) {
  check_failed(answer, TransportFault::unreachable, true);
  CHECK(answer.error().message.find("HTTP") != std::string::npos);
  CHECK(answer.error().message.find("_PROXY") != std::string::npos);
  CHECK(answer.error().message.find("secret") == std::string::npos);
  CHECK(way.server.connections() == 0);
}

}  // namespace

TEST_CASE("https goes through a tunnel that is opened once and used again") {
  Asked asked;
  int port = 0;
  Way way(true, [&](Peer& peer, int) {
    asked.keep(peer.read_request().value_or(""));
    peer.write("HTTP/1.0 200 Connection established\r\nContent-Length: 7\r\n\r\n");
    relay(peer, port);
  });
  port = way.server.port();
  for (int i = 0; i < 2; ++i) {
    const auto answer = way.post();
    REQUIRE(answer);
    // What the host sees is what it would see without a proxy.
    CHECK(answer->body.starts_with("POST /path?q HTTP/1.1\r\nHost: 127.0.0.1:"));
    CHECK(answer->body.find("Proxy") == std::string::npos);
  }
  const std::string host = "127.0.0.1:" + std::to_string(port);
  CHECK(asked.get() == "CONNECT " + host + " HTTP/1.1\r\nHost: " + host + "\r\n" +
                           std::string(authorization) + "User-Agent: falproxy\r\n\r\n");
  CHECK(way.proxy.connections() == 1);
}

TEST_CASE("in a tunnel the host's own certificate counts") {
  int port = 0;
  Way way(true,
          [&](Peer& peer, int) {
            peer.read_request();
            peer.write("HTTP/1.1 200 OK\r\n\r\n");
            relay(peer, port);
          },
          {.names = "DNS:another.test"});
  port = way.server.port();
  const auto answer = way.post();
  check_failed(answer, TransportFault::unreachable, true);
  CHECK(answer.error().message.find("IP address mismatch") != std::string::npos);
}

TEST_CASE("http goes to the proxy with the whole address") {
  Asked asked;
  Way way(false, [&](Peer& peer, int) {
    while (const auto request = peer.read_request()) {
      asked.keep(*request);
      peer.answer("fine");
    }
  });
  for (int i = 0; i < 2; ++i) {
    const auto answer = way.post();
    REQUIRE(answer);
    CHECK(answer->body == "fine");
  }
  CHECK(asked.get().starts_with(
      "POST " + way.server.url("/path?q") + " HTTP/1.1\r\nHost: 127.0.0.1:" +
      std::to_string(way.server.port()) + "\r\n" + std::string(authorization)));
  CHECK(way.proxy.connections() == 1);
  CHECK(way.server.connections() == 0);
}

TEST_CASE_TEMPLATE("what NO_PROXY names does not meet the proxy", Scheme, Http, Https) {
  Way way(Scheme::tls, serve_all);
  way.use(proxies_at("127.0.0.1:" + std::to_string(way.proxy.port()), "127.0.0.0/8"));
  const auto answer = way.post();
  REQUIRE(answer);
  CHECK(answer->body.find("Proxy") == std::string::npos);
  CHECK(way.proxy.connections() == 0);
}

TEST_CASE("a proxy that refuses leaves a submit unsent, and the message names its setting") {
  struct Case {
    bool tls;
    const char* answer;
    const char* says;
  };
  const std::vector<Case> cases{
      {true, "HTTP/1.1 407 Authenticate\r\nContent-Length: 100\r\n\r\nx",
       "HTTPS_PROXY answered 407"},
      {true, "HTTP/1.0 401 Unauthorized\r\n\r\n", "wants another user or password"},
      {true, "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n", "HTTPS_PROXY answered 403"},
      {true, "HTTP/1.1 502 Bad Gateway\r\n\r\n<html>", "HTTPS_PROXY answered 502"},
      {true, "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", "HTTPS_PROXY answered 302"},
      {false, "HTTP/1.1 407 Authenticate\r\nContent-Length: 100\r\n\r\nx",
       "HTTP_PROXY answered 407"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.answer);
    Way way(c.tls, [&](Peer& peer, int) {
      if (peer.read_request()) peer.write(c.answer);
      peer.wait_for_end();
    });
    const auto answer = way.post();
    check_that_nothing_was_sent(answer, way);
    CHECK(answer.error().message.find(c.says) != std::string::npos);
    CHECK(way.proxy.connections() == 1);
  }
}

TEST_CASE("what is no answer to CONNECT opens no tunnel") {
  struct Case {
    const char* name;
    std::string answer;
  };
  const std::vector<Case> cases{
      {"nothing", ""},
      {"half a head", "HTTP/1.1 200 OK\r\nA: b\r\n"},
      {"another protocol", "SSH-2.0-x\r\n\r\n"},
      {"another version", "HTTP/2 200\r\n\r\n"},
      {"a switch", "HTTP/1.1 101 Switching Protocols\r\n\r\n"},
      {"no status", "HTTP/1.1 OK\r\n\r\n"},
      {"a broken field", "HTTP/1.1 200 OK\r\nbroken\r\n\r\n"},
      {"bytes behind it", "HTTP/1.1 200 OK\r\n\r\nx"},
      {"a large head", "HTTP/1.1 200 OK\r\nA: " + std::string(100'000, 'a') + "\r\n\r\n"},
      {"interim answers without end",
       [] {
         std::string all;
         for (int i = 0; i < 5000; ++i) all += "HTTP/1.1 103 Early Hints\r\n\r\n";
         return all;
       }()},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    Way way(true, [&](Peer& peer, int) {
      if (peer.read_request()) peer.write(c.answer);
    });
    check_that_nothing_was_sent(way.post(), way);
  }
}

TEST_CASE("a proxy that is silent, drips or is not there costs the time for connecting at most") {
  SUBCASE("silent") {
    Way way(true, [](Peer& peer, int) { peer.wait_for_end(); });
    check_failed(way.post(in(50ms)), TransportFault::timed_out, true);
  }
  SUBCASE("it drips") {
    Way way(true, [](Peer& peer, int) {
      peer.read_request();
      peer.write("HTTP/1.1 200 OK\r\n");
      while (peer.write("A: b\r\n")) std::this_thread::sleep_for(1ms);
    });
    check_failed(way.post(in(50ms)), TransportFault::timed_out, true);
  }
  SUBCASE("not there") {
    Way way(true, serve_all);
    way.use(proxies_at("127.0.0.1:1"));
    const auto answer = way.post();
    check_that_nothing_was_sent(answer, way);
    CHECK(answer.error().message.find("the proxy 127.0.0.1:1 of HTTPS_PROXY") != std::string::npos);
  }
}

TEST_CASE("a stop ends the wait for a proxy") {
  std::promise<void> reached;
  std::stop_source source;
  Way way(true, [&](Peer& peer, int) {
    peer.read_request();
    reached.set_value();
    peer.wait_for_end();
  });
  const std::jthread stopper([&] {
    reached.get_future().wait();
    source.request_stop();
  });
  check_failed(fetch(*way.transport, {"POST", way.server.url(), {}, Body("{}")}, some_day(),
                     source.get_token(), unlimited),
               TransportFault::cancelled, true);
}
