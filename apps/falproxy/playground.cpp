#include "playground.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.hpp"

namespace falproxy::app {
namespace {

std::string_view content_type_of(std::string_view ending) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> types{{
      {".html", "text/html; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".svg", "image/svg+xml"},
  }};
  const auto* type =
      std::ranges::find(types, ending, &std::pair<std::string_view, std::string_view>::first);
  return type == types.end() ? "application/octet-stream" : type->second;
}

// Named, and not with a weight of zero (RFC 9110, 12.5.3).
bool accepts_gzip(std::string_view accept_encoding) {
  bool accepted = false;
  for_each_part(accept_encoding, ',', [&](std::string_view coding) {
    const std::size_t semicolon = std::min(coding.find(';'), coding.size());
    if (!equal_ignoring_case(trim(coding.substr(0, semicolon)), "gzip")) return;
    accepted = coding.substr(semicolon).find_first_of("123456789") != std::string_view::npos ||
               semicolon == coding.size();
  });
  return accepted;
}

}  // namespace

PlaygroundAnswer playground_answer(std::string_view path, std::string_view accept_encoding,
                                   std::string_view if_none_match) {
  constexpr std::string_view root = "/playground";
  if (!path.starts_with(root)) return {};
  std::string_view name = path.substr(root.size());
  if (name.starts_with('/')) name.remove_prefix(1);
  if (name.empty()) name = "index.html";

  const std::span<const EmbeddedFile> files = embedded_files();
  const auto file = std::ranges::find(files, name, &EmbeddedFile::name);
  if (file == files.end()) return {};

  PlaygroundAnswer answer;
  answer.content_type = content_type_of(file->ending);
  answer.gzip = accepts_gzip(accept_encoding);
  // Two encodings are two representations, so each has a tag of its own (RFC 9110, 8.8.3).
  answer.etag = "\"" + std::string(file->hash) + (answer.gzip ? "-gz\"" : "\"");
  const bool unchanged = if_none_match.find(answer.etag) != std::string_view::npos;
  answer.status = unchanged ? 304 : 200;
  if (!unchanged) answer.body = answer.gzip ? file->gzipped : file->plain;
  return answer;
}

}  // namespace falproxy::app
