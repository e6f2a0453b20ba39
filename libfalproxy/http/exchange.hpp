// exchange.hpp: one request and its answer over a connection that is open.
#pragma once

#include <string>
#include <string_view>

#include "connection.hpp"
#include "falproxy/http.hpp"
#include "falproxy/transport.hpp"

namespace falproxy {

/// How an exchange ended.
struct ExchangeEnd {
  enum class Kind {
    complete,  ///< the whole answer reached the sink
    refused,   ///< the sink asked to end
    timed_out,
    interrupted,  ///< the connection broke, or what came is not HTTP
  };
  Kind kind = Kind::complete;
  std::string what = {};      ///< where it is not complete
  bool nothing_sent = false;  ///< no byte of the request was handed to the socket
  bool answer_began = false;  ///< at least one byte of an answer arrived
  bool reusable = false;      ///< the connection may carry another request
};

/// Sends `head` and the request's body once, and passes the answer on to `sink`.
[[nodiscard]] ExchangeEnd run_exchange(Connection& connection, std::string_view head,
                                       const HttpRequest& request, TimePoint deadline,
                                       ResponseSink& sink);

}  // namespace falproxy
