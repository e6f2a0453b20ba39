// raw_client.hpp: a client that sends exactly the bytes it is told to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "falproxy/http.hpp"

namespace falproxy::test {

struct Received {
  int status = 0;  ///< 0: the connection ended before a whole answer
  std::string reason;
  HttpHeaders headers;
  std::string body;
  [[nodiscard]] std::string header(std::string_view name) const {
    return std::string(headers.find(name).value_or(""));
  }
};

/// Blocks, at most 20 s for each call.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  /// False once the server has closed.
  bool send(std::string_view bytes);
  /// The next answer. `has_body`: false for the answer to HEAD.
  Received receive(bool has_body = true);
  Received exchange(std::string_view request) {
    send(request);
    return receive();
  }
  /// So many bytes, or more, have come that were not received yet. False: the connection ended.
  bool fill_to(std::size_t size);
  /// The text has come, among what was not received yet. False: the connection ended.
  bool wait_for(std::string_view text) { return find(text) != std::string::npos; }
  /// The server closed, and nothing is left to be read.
  bool at_end();
  /// Everything until the server closes.
  std::string rest();
  void finish_sending();  ///< the client's end of file
  void close();
  void reset();  ///< closes with a reset

 private:
  bool fill();
  std::size_t find(std::string_view text);  // npos: the connection ended
  bool receive_chunks(std::string& body);
  int fd_ = -1;
  std::string buffer_;
};

/// `POST path` with a JSON body.
[[nodiscard]] std::string post(std::string_view path, std::string_view body,
                               std::string_view more_fields = {});
[[nodiscard]] std::string get(std::string_view path, std::string_view more_fields = {});

}  // namespace falproxy::test
