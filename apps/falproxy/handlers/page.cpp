#include <algorithm>
#include <array>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "handlers/handlers.hpp"
#include "playground.hpp"
#include "serving/head.hpp"

namespace falproxy::app {

using serving::append_field;
using serving::Response;

namespace {

// What the page may do: load from its own origin only, run no inline code, be framed by nobody.
constexpr std::string_view content_security_policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

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

Response no_page(Call& call) {
  const RequestHead& head = call.request.head();
  return call.fail(Error{.kind = ErrorKind::unknown_url,
                         .message = fmt::format("Unknown request URL: {} {}. The API is below /v1.",
                                                head.method, head.path().substr(0, 200))});
}

}  // namespace

// Relative, and to an address with a slash at its end, so that the page and what it asks for are
// found below a reverse proxy's prefix, too.
Response go_to_page(Call& call) {
  if (!call.rules->settings.playground) return no_page(call);
  return {.status = 302, .content_type = {}, .fields = "Location: playground/\r\n"};
}

Response show_page(Call& call) {
  if (!call.rules->settings.playground) return no_page(call);
  const std::string_view file = call.request.parameter("file");
  if (file.empty() && !call.request.head().path().ends_with('/')) return go_to_page(call);
  const std::span<const EmbeddedFile> files = embedded_files();
  const auto found =
      std::ranges::find(files, file.empty() ? "index.html" : file, &EmbeddedFile::name);
  if (found == files.end()) return no_page(call);
  const bool gzip = accepts_gzip(call.field("accept-encoding"));
  // Two encodings are two representations, so each has a tag of its own (RFC 9110, 8.8.3).
  const std::string tag = fmt::format("\"{}{}\"", found->hash, gzip ? "-gz" : "");
  const bool unchanged = call.field("if-none-match").find(tag) != std::string_view::npos;
  Response response{.status = unchanged ? 304 : 200,
                    .content_type = std::string(content_type_of(found->ending))};
  append_field(response.fields, "ETag", tag);
  append_field(response.fields, "Cache-Control", "no-cache");
  append_field(response.fields, "Vary", "Accept-Encoding");
  append_field(response.fields, "Content-Security-Policy", content_security_policy);
  append_field(response.fields, "X-Content-Type-Options", "nosniff");
  append_field(response.fields, "Referrer-Policy", "no-referrer");
  if (unchanged) return response;
  if (gzip) append_field(response.fields, "Content-Encoding", "gzip");
  response.body.append(Piece{nullptr, gzip ? found->gzipped : found->plain});
  return response;
}

}  // namespace falproxy::app
