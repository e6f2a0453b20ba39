// playground.hpp: the page that the server carries, compiled in from apps/falproxy/playground/.
#pragma once

#include <span>
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

}  // namespace falproxy::app
