// request_head.hpp: the head of an HTTP/1 request (RFC 9112), read once and strictly; everything
// behind it sees this reading.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/result.hpp"

namespace falproxy::app {

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

}  // namespace falproxy::app
