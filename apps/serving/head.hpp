// head.hpp: HTTP/1 (RFC 9112) as bytes: the head of a request and the chunks of its body, read
// strictly and by nobody else, and the lines of an answer's head.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/result.hpp"

namespace falproxy::serving {

/// Views into the text that parse_head() was given.
struct RequestHead {
  struct Field {
    std::string_view name;
    std::string_view value;
  };

  std::string_view method;
  std::string_view target;  ///< in origin form ("/path?query"), or "*"
  int minor_version = 1;    ///< of HTTP/1.x
  std::vector<Field> fields;
  std::optional<std::uint64_t> content_length;
  bool chunked = false;
  bool keep_alive = true;
  bool expects_continue = false;
  /// Who sent it, see peer_of(); not read from the text.
  std::uint64_t peer = 0;

  /// The first value of that name, without regard to case.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept;
  [[nodiscard]] std::string_view path() const noexcept {
    return target.substr(0, target.find('?'));
  }
  [[nodiscard]] bool has_body() const noexcept { return chunked || content_length.value_or(0) > 0; }
};

struct HeadLimits {
  static constexpr std::size_t max_bytes = 32u << 10;
  static constexpr std::size_t max_line = 8u << 10;  ///< the request line, and each field
  static constexpr std::size_t max_fields = 100;
};

/// Where the head ends, its blank line included; 0 while it is not complete. `scanned` remembers,
/// from call to call, how much has been looked at. A line that ends in a bare LF counts as an end:
/// parse_head() then says what is wrong.
[[nodiscard]] std::size_t find_head_end(std::string_view bytes, std::size_t& scanned) noexcept;

/// Reads a complete head into `head`, whose vector is reused. Errors: bad_request_framing,
/// headers_too_large.
[[nodiscard]] Result<Done> parse_head(std::string_view text, RequestHead& head);

/// The chunks of a body. httplib's own reader takes the size of a chunk as strtoul does (`0x1d`,
/// `+1d`, `1dzz`, a bare LF): what reads otherwise in front of the server would see other requests.
/// Extensions and trailers, which nobody uses, may not be long either.
class ChunkReader {
 public:
  /// Takes what it can off the front of `bytes`, up to and including the first data, which becomes
  /// `data`; what is left must be there again in front of what comes next. False: they are no
  /// chunks.
  [[nodiscard]] bool read(std::string_view& bytes, std::string_view& data);
  /// The last byte of the last chunk's trailer was there.
  [[nodiscard]] bool is_over() const noexcept { return next_ == Next::nothing; }

 private:
  enum class Next : std::uint8_t { size, data, end_of_data, trailer, nothing };
  [[nodiscard]] bool may_begin(std::string_view line) const noexcept;
  [[nodiscard]] bool take_line(std::string_view line);
  [[nodiscard]] bool take_size(std::string_view line);

  Next next_ = Next::size;
  std::uint64_t left_ = 0;  // of the chunk
  std::size_t extra_ = 0;   // bytes since the last data
};

/// "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" (RFC 9110, 5.6.7)
void append_date(std::string& out, std::time_t now);
void append_field(std::string& out, std::string_view name, std::string_view value);
/// "HTTP/1.1 200 OK\r\n", with the standard reason phrase: some clients show their users nothing
/// else.
void append_status_line(std::string& out, int status);

}  // namespace falproxy::serving
