#include "serving/head.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.hpp"

namespace falproxy::serving {
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

// A bare CR at either end is no blank (RFC 9112, 2.2): who takes it for one reads `\rchunked`
// otherwise.
std::string_view trim_blanks(std::string_view text) noexcept {
  const auto is_ows = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_ows(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_ows(text.back())) text.remove_suffix(1);
  return text;
}

// "http://host:port/path" (RFC 9112, 3.2.2) is read as "/path". Empty: it is neither.
std::string_view origin_form(std::string_view target) noexcept {
  if (target.starts_with('/') || target == "*") return target;
  const std::size_t scheme = target.find("://");
  const std::string_view name = target.substr(0, scheme);
  if (scheme == std::string_view::npos || !std::ranges::all_of(name, is_alnum)) return {};
  target.remove_prefix(scheme + 3);
  const std::size_t end = target.find_first_of("/?#");
  if (end == std::string_view::npos) return "/";
  return target[end] == '/' ? target.substr(end) : std::string_view();
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
  if (head.target.empty()) return malformed("the target does not begin with a slash");
  head.target = head.target.substr(0, head.target.find('#'));
  return Done{};
}

Result<Done> read_framing(std::string_view name, std::string_view value, RequestHead& head) {
  if (equal_ignoring_case(name, "content-length")) {
    std::uint64_t length = 0;
    const auto [end, fault] = std::from_chars(value.data(), value.data() + value.size(), length);
    if (fault != std::errc() || end != value.data() + value.size())
      return malformed("Content-Length is not a number");
    if (head.content_length.has_value()) return malformed("it has more than one Content-Length");
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

Result<RequestHead::Field> parse_field(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return malformed("a header field has no colon");
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trim_blanks(line.substr(colon + 1));
  if (!is_token(name))
    return malformed("a header's name is empty or holds a character that is not allowed");
  if (!value_chars.has_all(value)) return malformed("a header's value holds a control character");
  return RequestHead::Field{name, value};
}

Result<Done> add_field(std::string_view line, RequestHead& head) {
  if (line.size() > HeadLimits::max_line)
    return too_large("A header field is longer than 8,192 bytes");
  if (head.fields.size() == HeadLimits::max_fields)
    return too_large("There are more than 100 header fields");
  const Result<RequestHead::Field> field = parse_field(line);
  if (!field) return field.error();
  head.fields.push_back(*field);
  return read_framing(field->name, field->value, head);
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
    Result<Done> read = first ? parse_request_line(line, head) : add_field(line, head);
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

// ---- chunks

bool ChunkReader::read(std::string_view& bytes, std::string_view& data) {
  constexpr std::size_t max_extra = 4096;  // between two chunks' data, and after the last
  data = {};
  while (data.empty() && !bytes.empty() && !is_over()) {
    if (next_ == Next::data) {
      data =
          bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size())));
      bytes.remove_prefix(data.size());
      left_ -= data.size();
      if (left_ == 0) next_ = Next::end_of_data;
      continue;
    }
    const std::size_t lf = bytes.find('\n');
    if (lf == std::string_view::npos) return bytes.size() <= max_extra - extra_ && may_begin(bytes);
    extra_ += lf + 1;
    if (extra_ > max_extra || lf == 0 || bytes[lf - 1] != '\r') return false;
    if (!take_line(bytes.substr(0, lf - 1))) return false;
    bytes.remove_prefix(lf + 1);
  }
  return true;
}

// An incomplete line that no continuation could make right is refused at once.
bool ChunkReader::may_begin(std::string_view line) const noexcept {
  if (next_ == Next::end_of_data) return line == "\r";
  return next_ == Next::trailer || is_hex_digit(line.front());
}

bool ChunkReader::take_line(std::string_view line) {
  switch (next_) {
    case Next::size:
      return take_size(line);
    case Next::end_of_data:
      next_ = Next::size;
      extra_ = 0;
      return line.empty();
    case Next::trailer: {
      if (line.empty()) {
        next_ = Next::nothing;
        return true;
      }
      // One that speaks of the framing would be believed by some.
      const Result<RequestHead::Field> field = parse_field(line);
      return field && !equal_ignoring_case(field->name, "content-length") &&
             !equal_ignoring_case(field->name, "transfer-encoding");
    }
    case Next::data:
    case Next::nothing:
      break;
  }
  return false;
}

bool ChunkReader::take_size(std::string_view line) {
  constexpr std::uint64_t most = std::uint64_t{1} << 40;
  const char* const end = line.data() + line.size();
  const auto [digits_end, fault] = std::from_chars(line.data(), end, left_, 16);
  if (fault != std::errc() || left_ > most) return false;
  next_ = left_ == 0 ? Next::trailer : Next::data;
  const std::string_view behind(digits_end, end);
  if (behind.empty()) return true;
  return trim_blanks(behind).starts_with(';') && value_chars.has_all(behind);
}

// ---- an answer's lines

void append_date(std::string& out, std::time_t now) {
  std::tm utc{};
  gmtime_r(&now, &utc);
  // English, since nobody calls setlocale().
  std::array<char, 64> line{};
  out.append(line.data(),
             std::strftime(line.data(), line.size(), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc));
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

}  // namespace falproxy::serving
