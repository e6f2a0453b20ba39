// pair.hpp: a server on loopback and a transport that trusts it.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "certificates.hpp"
#include "deadline.hpp"
#include "falproxy/http_transport.hpp"
#include "loopback_server.hpp"

namespace falproxy_test {

using namespace falproxy;
using namespace std::chrono_literals;

inline constexpr std::size_t unlimited = std::size_t{1} << 40;

// Long enough never to matter.
inline TimePoint some_day() { return in(60s); }

inline std::unique_ptr<HttpTransport> make_transport(HttpTransport::Options options = {}) {
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

inline void serve_all(Peer& peer, int) {
  while (const auto request = peer.read_request()) peer.answer("fine");
}

inline void check_failed(const Result<HttpResponse, TransportError>& result, TransportFault fault,
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

}  // namespace falproxy_test
