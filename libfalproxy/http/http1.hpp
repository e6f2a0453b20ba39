// http1.hpp: HTTP/1.1 messages as bytes, the client's side (RFC 9112). Pure: no socket, no clock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "falproxy/http.hpp"
#include "falproxy/proxies.hpp"
#include "falproxy/result.hpp"

namespace falproxy::inline v0::http1 {

/// What is wrong with a message, in words for a log; it never quotes the message.
struct Malformed {
  std::string what;
  bool operator==(const Malformed&) const = default;
};

/// Limits of a response: a longer head, more fields or longer trailers are malformed; so are chunk
/// lines that together have more bytes than this. Each chunk takes off its own size, at least 16.
inline constexpr std::size_t max_head_bytes = 64u << 10;
inline constexpr std::size_t max_head_fields = 256;
inline constexpr std::size_t max_chunk_line_bytes = 4u << 10;
inline constexpr std::size_t max_trailer_bytes = 16u << 10;

/// Request line and header fields, the blank line included. Writes Host and Content-Length, and
/// Accept, Accept-Encoding (identity) and User-Agent where the request has none. Errors: a method,
/// name or value that would break the message. `origin` is the url's. `proxy`: the head is for that
/// proxy, which sends the request on (RFC 9112, 3.2.2); null: for the origin itself.
[[nodiscard]] Result<std::string, Malformed> write_request_head(const HttpRequest& request,
                                                                const Url& url,
                                                                std::string_view origin,
                                                                const Proxy* proxy = nullptr);

/// The head that asks `proxy` for a tunnel to the url's host and port (RFC 9110, 9.3.6).
[[nodiscard]] std::string write_connect_head(const Url& url, const Proxy& proxy);
/// The status of the answer to it that is `bytes`, none while that is incomplete. Errors: anything
/// that is not such a head, is larger than the limits, or has bytes behind it although the tunnel
/// is open: nobody has been asked anything there.
[[nodiscard]] Result<std::optional<int>, Malformed> read_connect_answer(std::string_view bytes);

/// How the end of a body is found (RFC 9112, 6.3).
enum class Framing { none, length, chunked, until_close };

struct ResponseHead {
  HttpHead head;
  Framing framing = Framing::none;
  std::uint64_t length = 0;  ///< of the body; with Framing::length
  bool keep_alive = false;   ///< the connection may carry another request once the body is complete
  std::size_t bytes = 0;     ///< how much of the input the head took
};

/// The final response's head at the front of `bytes`, interim (1xx) ones skipped; none while it is
/// incomplete. Errors: anything that is not such a head, or is larger than the limits.
[[nodiscard]] Result<std::optional<ResponseHead>, Malformed> read_response_head(
    std::string_view bytes, std::string_view method);

/// Takes a body's payload out of what arrives.
class BodyDecoder {
 public:
  BodyDecoder(Framing framing, std::uint64_t length) noexcept;

  /// The next run of payload, taken off the front of `bytes` together with any framing before it.
  /// Empty: `bytes` holds no more of it, or the body is complete, or it is malformed.
  [[nodiscard]] std::string_view take(std::string_view& bytes) noexcept;

  [[nodiscard]] bool complete() const noexcept { return state_ == State::complete; }
  [[nodiscard]] bool malformed() const noexcept { return state_ == State::malformed; }
  /// Whether the end of the connection ends the body well at this point.
  [[nodiscard]] bool may_end_here() const noexcept {
    return complete() || state_ == State::until_close;
  }
  /// What is certain to follow: the rest of a body with a length, or of a chunk. For the choice of
  /// a buffer.
  [[nodiscard]] std::uint64_t expected() const noexcept { return left_; }

 private:
  enum class State {
    counted,
    until_close,
    size,
    extension,
    size_lf,
    chunk,
    chunk_cr,
    chunk_lf,
    trailer,
    complete,
    malformed
  };
  void take_framing(char c) noexcept;

  State state_;
  std::uint64_t left_ = 0;
  std::size_t line_bytes_ = 0;  // of chunk lines, beyond what is accounted for; or of all trailers
  bool digits_ = false;         // the size line has one
  bool line_is_empty_ = true;   // of the trailer so far
};

}  // namespace falproxy::inline v0::http1
