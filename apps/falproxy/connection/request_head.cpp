#include "connection/request_head.hpp"

#include <algorithm>
#include <charconv>

#include "base/text.hpp"

namespace falproxy::app {
namespace {

Error malformed(std::string what) {
  return Error{.kind = ErrorKind::bad_request_framing,
               .message = "This is not a valid HTTP request: " + std::move(what) + "."};
}

Error too_large(std::string what) {
  return Error{.kind = ErrorKind::headers_too_large, .message = std::move(what) + "."};
}

constexpr CharClass value_chars([](char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
});
constexpr CharClass target_chars([](char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte > 0x20 && byte != 0x7f;
});

// "http://host:port/path" (RFC 9112, 3.2.2) is read as "/path".
std::string_view origin_form(std::string_view target) noexcept {
  const std::size_t scheme = target.find("://");
  if (target.starts_with('/') || scheme == std::string_view::npos) return target;
  const std::size_t slash = target.find('/', scheme + 3);
  return slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
}

Result<Done> parse_request_line(std::string_view line, RequestHead& head) {
  if (line.size() > HeadLimits::max_line)
    return too_large("The request line is longer than 8,192 bytes");
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last)
    return malformed("it does not begin with METHOD TARGET HTTP/1.1");
  const std::string_view version = line.substr(last + 1);
  head.method = line.substr(0, first);
  head.target = line.substr(first + 1, last - first - 1);
  if (version == "HTTP/1.1") {
    head.minor_version = 1;
  } else if (version == "HTTP/1.0") {
    head.minor_version = 0;
  } else {
    return malformed("it does not begin with METHOD TARGET HTTP/1.1");
  }
  if (!is_token(head.method)) return malformed("the method holds a character that is not allowed");
  if (head.target.empty() || !target_chars.has_all(head.target))
    return malformed("the target holds a blank or a control character");
  head.target = origin_form(head.target);
  if (!head.target.starts_with('/') && head.target != "*")
    return malformed("the target does not begin with a slash");
  head.target = head.target.substr(0, head.target.find('#'));
  return Done{};
}

Result<Done> read_framing(std::string_view name, std::string_view value, RequestHead& head) {
  if (equal_ignoring_case(name, "content-length")) {
    std::uint64_t length = 0;
    const auto [end, fault] = std::from_chars(value.data(), value.data() + value.size(), length);
    if (fault != std::errc() || end != value.data() + value.size())
      return malformed("Content-Length is not a number");
    if (head.content_length.value_or(length) != length)
      return malformed("two Content-Length fields disagree");
    head.content_length = length;
  } else if (equal_ignoring_case(name, "transfer-encoding")) {
    if (head.minor_version == 0) return malformed("HTTP/1.0 has no Transfer-Encoding");
    if (head.chunked || !equal_ignoring_case(value, "chunked")) {
      return malformed("the only Transfer-Encoding that is understood is 'chunked', once");
    }
    head.chunked = true;
  } else if (equal_ignoring_case(name, "connection")) {
    for_each_part(value, ',', [&](std::string_view option) {
      if (equal_ignoring_case(trim(option), "close")) head.keep_alive = false;
      if (equal_ignoring_case(trim(option), "keep-alive") && head.minor_version == 0)
        head.keep_alive = true;
    });
  } else if (equal_ignoring_case(name, "expect")) {
    head.expects_continue = equal_ignoring_case(value, "100-continue");
  }
  return Done{};
}

Result<Done> parse_field(std::string_view line, RequestHead& head) {
  if (line.size() > HeadLimits::max_line)
    return too_large("A header field is longer than 8,192 bytes");
  if (head.fields.size() == HeadLimits::max_fields)
    return too_large("There are more than 100 header fields");
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return malformed("a header field has no colon");
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trim(line.substr(colon + 1));
  if (!is_token(name))
    return malformed("a header's name is empty or holds a character that is not allowed");
  if (!value_chars.has_all(value)) return malformed("a header's value holds a control character");
  head.fields.push_back({name, value});
  return read_framing(name, value, head);
}

}  // namespace

std::optional<std::string_view> RequestHead::find(std::string_view name) const noexcept {
  for (const Field& field : fields) {
    if (equal_ignoring_case(field.name, name)) return field.value;
  }
  return std::nullopt;
}

std::size_t find_head_end(std::string_view bytes, std::size_t& scanned) noexcept {
  while (true) {
    const std::size_t lf = bytes.find('\n', scanned);
    if (lf == std::string_view::npos) {
      scanned = bytes.size();
      return 0;
    }
    scanned = lf + 1;
    if (lf == 0 || bytes[lf - 1] != '\r') return lf + 1;
    if (lf >= 3 && bytes[lf - 2] == '\n') return lf + 1;
  }
}

Result<Done> parse_head(std::string_view text, RequestHead& head) {
  head.fields.clear();
  head.content_length.reset();
  head.chunked = false;
  head.expects_continue = false;
  bool first = true;
  while (true) {
    const std::size_t lf = text.find('\n');
    if (lf == 0 || lf == std::string_view::npos || text[lf - 1] != '\r')
      return malformed("a line does not end in CR LF");
    const std::string_view line = text.substr(0, lf - 1);
    text.remove_prefix(lf + 1);
    if (line.empty()) break;
    Result<Done> read = first ? parse_request_line(line, head) : parse_field(line, head);
    if (!read) return read;
    if (first) head.keep_alive = head.minor_version == 1;
    first = false;
  }
  if (first) return malformed("it is empty");
  if (head.chunked && head.content_length.has_value()) {
    return malformed("it has both a Content-Length and a Transfer-Encoding");
  }
  const auto hosts = std::ranges::count_if(head.fields, [](const RequestHead::Field& field) {
    return equal_ignoring_case(field.name, "host");
  });
  if (hosts > 1) return malformed("it has more than one Host");
  if (hosts == 0 && head.minor_version == 1) return malformed("it has no Host");
  return Done{};
}

}  // namespace falproxy::app
