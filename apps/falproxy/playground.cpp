#include "playground.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace falproxy::app {
namespace {

std::string_view content_type_of(std::string_view ending) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> types{{
      {".html", "text/html; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".svg", "image/svg+xml"},
  }};
  const auto* type = std::ranges::find(types, ending, &std::pair<std::string_view, std::string_view>::first);
  return type == types.end() ? "application/octet-stream" : type->second;
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
  answer.gzip = accept_encoding.find("gzip") != std::string_view::npos;
  // Two encodings are two representations, so each has a tag of its own (RFC 9110, 8.8.3).
  answer.etag = "\"" + std::string(file->hash) + (answer.gzip ? "-gz\"" : "\"");
  const bool unchanged = if_none_match.find(answer.etag) != std::string_view::npos;
  answer.status = unchanged ? 304 : 200;
  if (!unchanged) answer.body = answer.gzip ? file->gzipped : file->plain;
  return answer;
}

}  // namespace falproxy::app
