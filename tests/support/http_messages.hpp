// http_messages.hpp: what the server's reading of HTTP/1 makes of a connection's bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace falproxy_test {

struct HttpMessage {
  std::string method;
  std::string target;
  int minor_version = 1;
  std::string body;
  bool operator==(const HttpMessage&) const = default;
};

struct HttpMessages {
  std::vector<HttpMessage> whole;  ///< requests that are there to their last byte
  bool refused = false;            ///< what follows them is no request
  bool operator==(const HttpMessages&) const = default;
};

/// As if `bytes` arrived in pieces of `step`.
HttpMessages read_http_messages(std::string_view bytes, std::size_t step);

}  // namespace falproxy_test
