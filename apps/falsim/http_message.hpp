// http_message.hpp: HTTP/1.1 requests as falsim reads them, and replies with everything that can go
// wrong on the wire.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace falsim {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method;
  std::string path;   ///< as sent, without the query
  std::string query;  ///< as sent, without '?'
  Headers headers;
  std::string body;          ///< decoded from transfer coding
  std::size_t listener = 0;  ///< which of the server's addresses it came in by
  bool keep_alive = true;
  bool expects_continue = false;

  /// The first value of that name, in any case; empty: none.
  [[nodiscard]] std::string_view header(std::string_view name) const noexcept;
  /// The decoded value of a query parameter; none: absent.
  [[nodiscard]] std::optional<std::string> parameter(std::string_view name) const;
};

using SharedText = std::shared_ptr<const std::string>;
[[nodiscard]] inline SharedText share(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

/// Bytes a tick; 0 bytes: no limit.
struct Pace {
  std::size_t bytes = 0;
  std::chrono::milliseconds tick{10};
  bool operator==(const Pace&) const = default;
};

struct Reply {
  int status = 200;
  Headers headers = {};
  SharedText body = nullptr;
  bool without_body = false;  ///< an answer to HEAD: only the length is told
  bool close = false;         ///< the connection ends with this answer
  std::optional<std::size_t> cut_after =
      std::nullopt;  ///< bytes of the body; then the connection breaks
  Pace pace = {};
};

/// Reads one request after the other from bytes as they arrive.
class RequestParser {
 public:
  enum class Progress { need_more, head, complete, broken };

  /// Takes what it can from the front of `in`. `head` comes once for each request, before its body
  /// is read; after `complete` the request is to be taken.
  [[nodiscard]] Progress advance(std::string& in);
  [[nodiscard]] const Request& request() const noexcept { return request_; }
  /// The complete request; the parser starts anew.
  [[nodiscard]] Request take();
  /// Something of a request has arrived.
  [[nodiscard]] bool inside() const noexcept { return phase_ != Phase::head; }

 private:
  enum class Phase { head, sized, chunk_size, chunk_data, chunk_end, trailers, complete };
  [[nodiscard]] bool read_head(std::string_view head);
  [[nodiscard]] bool read_field(std::string_view line);
  [[nodiscard]] Progress read_head_from(std::string& in);
  [[nodiscard]] Progress read_body_from(std::string& in);

  Request request_;
  Phase phase_ = Phase::head;
  std::size_t left_ = 0;  // of the body or the chunk
  std::optional<std::size_t> length_;
  bool chunked_ = false;
};

/// The status line and header section, with the blank line. `length` none: chunked.
[[nodiscard]] std::string head_text(const Reply& reply, std::optional<std::size_t> length,
                                    bool keep_alive);

}  // namespace falsim
