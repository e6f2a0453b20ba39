// playground.hpp: the page that the server carries, compiled in from apps/falproxy/playground/.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace falproxy::app {

struct EmbeddedFile {
  std::string_view name;    ///< "app.js"
  std::string_view ending;  ///< ".js"
  std::string_view hash;    ///< 16 hex digits of the content's SHA-256
  std::string_view plain;
  std::string_view gzipped;
};

/// Made at build time by cmake/embed.cmake.
[[nodiscard]] std::span<const EmbeddedFile> embedded_files();

/// The answer to GET or HEAD of a path below /playground; views live as long as the program.
struct PlaygroundAnswer {
  int status = 404;  ///< 200, 304 or 404
  std::string_view content_type = {};
  std::string etag = {};
  bool gzip = false;
  std::string_view body = {};
};

/// `path`: "/playground" or "/playground/<file>". `accept_encoding` and `if_none_match` are the
/// request's headers.
[[nodiscard]] PlaygroundAnswer playground_answer(std::string_view path,
                                                 std::string_view accept_encoding,
                                                 std::string_view if_none_match);

/// What the page may do: load from its own origin only, run no inline code, be framed by nobody.
inline constexpr std::string_view content_security_policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

}  // namespace falproxy::app
