// exchange.hpp: one request and its answer over a connection that is open.
#pragma once

#include <string>
#include <string_view>

#include "connection.hpp"
#include "falproxy/http.hpp"
#include "falproxy/transport.hpp"

namespace falproxy::inline v0 {

/// How an exchange ended.
struct ExchangeEnd {
  enum class Kind {
    complete,       ///< the whole answer reached the sink
    refused,        ///< the sink asked to end
    proxy_refused,  ///< 407: the answer is the proxy's, and nothing went further
    timed_out,
    interrupted,  ///< the connection broke, or what came is not HTTP
  };
  Kind kind = Kind::complete;
  std::string what = {};      ///< if it is not complete
  int system_error = 0;       ///< errno, if that was the reason
  bool nothing_sent = false;  ///< no byte of the request was handed to the socket
  bool answer_began = false;  ///< at least one byte of an answer arrived
  bool reusable = false;      ///< the connection may carry another request
};

/// Sends `head` and the request's body once, and passes the answer on to `sink`. `to_proxy`: the
/// head is for a proxy.
[[nodiscard]] ExchangeEnd run_exchange(Connection& connection, std::string_view head,
                                       const HttpRequest& request, bool to_proxy,
                                       TimePoint deadline, ResponseSink& sink);

}  // namespace falproxy::inline v0
