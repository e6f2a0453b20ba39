#include "http1.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include "base/text.hpp"
#include "falproxy/openssl_codecs.hpp"

namespace falproxy::inline v0::http1 {
namespace {

// Everything but the characters that end a line or a C string.
constexpr CharClass value_chars([](char c) { return c != '\r' && c != '\n' && c != '\0'; });

// Blanks and tabs: RFC 9110, 5.6.3.
std::string_view trim_blanks(std::string_view text) noexcept {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// Calls f(element) for each element of a comma-separated list.
template <class F>
void for_each_element(std::string_view list, F&& f) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    const std::string_view element = trim_blanks(list.substr(0, comma));
    if (!element.empty()) f(element);
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
}

void append_field(std::string& head, std::string_view name, std::string_view value) {
  head.append(name).append(": ").append(value).append("\r\n");
}

std::string host_and_port(const Url& url) {
  const bool ipv6 = url.host.find(':') != std::string::npos;
  return (ipv6 ? "[" + url.host + "]:" : url.host + ":") + std::to_string(url.port);
}

void append_authorization(std::string& head, const Proxy& proxy) {
  if (proxy.credentials.empty()) return;
  std::string value = "Basic ";
  OpensslCodecs().encode_base64(proxy.credentials.reveal(), value);
  append_field(head, "Proxy-Authorization", value);
}

bool carries_content(std::string_view method) noexcept {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

}  // namespace

Result<std::string, Malformed> write_request_head(const HttpRequest& request, const Url& url,
                                                  std::string_view origin, const Proxy* proxy) {
  if (!is_token(request.method)) return Malformed{"the request's method is not a token"};
  std::size_t size = request.method.size() + url.target.size() + 2 * origin.size() + 128;
  bool accept = false, encoding = false, agent = false;
  for (const auto& [name, value] : request.headers) {
    if (!is_token(name)) return Malformed{"a header name of the request is not a token"};
    if (!value_chars.has_all(value))
      return Malformed{"the value of header " + name + " holds a line break"};
    for (const std::string_view own :
         {"host", "content-length", "connection", "transfer-encoding"}) {
      if (equal_ignoring_case(name, own))
        return Malformed{"the request may not set header " + name};
    }
    accept = accept || equal_ignoring_case(name, "accept");
    encoding = encoding || equal_ignoring_case(name, "accept-encoding");
    agent = agent || equal_ignoring_case(name, "user-agent");
    size += name.size() + value.size() + 4;
  }

  std::string head;
  head.reserve(size);
  head.append(request.method).append(" ");
  if (proxy != nullptr) head.append(origin);
  head.append(url.target).append(" HTTP/1.1\r\n");
  append_field(head, "Host", origin.substr(url.scheme.size() + 3));
  if (proxy != nullptr) append_authorization(head, *proxy);
  for (const auto& [name, value] : request.headers) append_field(head, name, value);
  if (!accept) append_field(head, "Accept", "*/*");
  if (!encoding) append_field(head, "Accept-Encoding", "identity");
  if (!agent) append_field(head, "User-Agent", "falproxy");
  const std::uint64_t content = request.content_length();
  if (content > 0 || carries_content(request.method)) {
    append_field(head, "Content-Length", std::to_string(content));
  }
  head.append("\r\n");
  return head;
}

std::string write_connect_head(const Url& url, const Proxy& proxy) {
  const std::string target = host_and_port(url);
  std::string head = "CONNECT " + target + " HTTP/1.1\r\n";
  append_field(head, "Host", target);
  append_authorization(head, proxy);
  append_field(head, "User-Agent", "falproxy");
  head.append("\r\n");
  return head;
}

namespace {

// One line without its end (CRLF, or LF alone: RFC 9112, 2.2), taken off `text`; none where there
// is no whole line.
std::optional<std::string_view> take_line(std::string_view& text) noexcept {
  const std::size_t lf = text.find('\n');
  if (lf == std::string_view::npos) return std::nullopt;
  std::string_view line = text.substr(0, lf);
  if (line.ends_with('\r')) line.remove_suffix(1);
  text.remove_prefix(lf + 1);
  return line;
}

struct StatusLine {
  int status = 0;
  bool http_1_1 = false;
};

std::optional<StatusLine> parse_status_line(std::string_view line) noexcept {
  // "HTTP/1.1 200 OK"; the reason, and the blank before an empty one, may be absent.
  if (line.size() < 12 || !line.starts_with("HTTP/1.") || !is_digit(line[7]) || line[8] != ' ')
    return std::nullopt;
  if (line.size() > 12 && line[12] != ' ') return std::nullopt;
  StatusLine parsed;
  const auto [end, fault] = std::from_chars(line.data() + 9, line.data() + 12, parsed.status);
  if (fault != std::errc() || end != line.data() + 12 || parsed.status < 100) return std::nullopt;
  parsed.http_1_1 = line[7] >= '1';
  return parsed;
}

// Where a head that starts `text` ends, its blank line included; none while it is incomplete.
std::optional<std::size_t> find_head_end(std::string_view text) noexcept {
  for (std::size_t lf = text.find('\n'); lf != std::string_view::npos;
       lf = text.find('\n', lf + 1)) {
    if (lf + 1 < text.size() && text[lf + 1] == '\n') return lf + 2;
    if (lf + 2 < text.size() && text[lf + 1] == '\r' && text[lf + 2] == '\n') return lf + 3;
  }
  return std::nullopt;
}

Result<HttpHeaders, Malformed> parse_fields(std::string_view text) {
  HttpHeaders headers;
  headers.reserve(8);
  while (const std::optional<std::string_view> line = take_line(text)) {
    if (line->empty()) break;
    const std::size_t colon = line->find(':');
    if (colon == std::string_view::npos || !is_token(line->substr(0, colon))) {
      return Malformed{"a header line of the answer is broken"};
    }
    const std::string_view value = trim_blanks(line->substr(colon + 1));
    if (!value_chars.has_all(value))
      return Malformed{"a header value of the answer holds a control character"};
    if (headers.size() == max_head_fields)
      return Malformed{"the answer has too many header fields"};
    headers.add(std::string(line->substr(0, colon)), std::string(value));
  }
  return headers;
}

// What Content-Length, Transfer-Encoding and Connection say, of all their fields.
struct FramingFields {
  std::optional<std::uint64_t> length = std::nullopt;
  bool length_is_broken = false;
  std::string_view last_coding = {};
  int codings = 0;
  bool close = false;
  bool keep_alive = false;
};

FramingFields framing_fields(const HttpHeaders& headers) {
  FramingFields fields;
  for (const auto& [name, value] : headers) {
    if (equal_ignoring_case(name, "content-length")) {
      fields.length_is_broken = fields.length_is_broken || value.empty();
      for_each_element(value, [&](std::string_view element) {
        std::uint64_t length = 0;
        const auto [end, fault] =
            std::from_chars(element.data(), element.data() + element.size(), length);
        if (fault != std::errc() || end != element.data() + element.size() ||
            (fields.length && *fields.length != length)) {
          fields.length_is_broken = true;
        }
        fields.length = length;
      });
    } else if (equal_ignoring_case(name, "transfer-encoding")) {
      for_each_element(value, [&](std::string_view element) {
        fields.last_coding = element;
        ++fields.codings;
      });
    } else if (equal_ignoring_case(name, "connection")) {
      for_each_element(value, [&](std::string_view element) {
        fields.close = fields.close || equal_ignoring_case(element, "close");
        fields.keep_alive = fields.keep_alive || equal_ignoring_case(element, "keep-alive");
      });
    }
  }
  return fields;
}

// RFC 9112, 6.3 and 9.3.
std::optional<Malformed> decide_framing(ResponseHead& response, bool http_1_1,
                                        std::string_view method) {
  const FramingFields fields = framing_fields(response.head.headers);
  if (method == "CONNECT" && response.head.status < 300) {
    response.keep_alive = true;  // what follows is the tunnel, whatever the fields say
    return std::nullopt;
  }
  if (fields.length_is_broken) return Malformed{"the answer's Content-Length is broken"};
  response.keep_alive = !fields.close && (http_1_1 || fields.keep_alive);

  if (method == "HEAD" || response.head.status == 204 || response.head.status == 304) {
    response.framing = Framing::none;
  } else if (fields.codings > 0) {
    if (fields.codings > 1 || !equal_ignoring_case(fields.last_coding, "chunked")) {
      return Malformed{"the answer has a transfer coding that was not asked for"};
    }
    response.framing = Framing::chunked;
    // Both headers: somebody on the way may see another end than we do.
    if (fields.length || !http_1_1) response.keep_alive = false;
  } else if (fields.length) {
    response.framing = *fields.length == 0 ? Framing::none : Framing::length;
    response.length = *fields.length;
  } else {
    response.framing = Framing::until_close;
    response.head.ends_with_connection = true;
    response.keep_alive = false;
  }
  return std::nullopt;
}

}  // namespace

Result<std::optional<ResponseHead>, Malformed> read_response_head(std::string_view bytes,
                                                                  std::string_view method) {
  constexpr std::string_view beginning = "HTTP/1.";
  std::string_view rest = bytes;
  while (true) {
    if (const std::size_t n = std::min(rest.size(), beginning.size());
        rest.substr(0, n) != beginning.substr(0, n)) {
      return Malformed{"the answer is not HTTP/1"};
    }
    const std::optional<std::size_t> end = find_head_end(rest);
    if (end.value_or(rest.size()) > max_head_bytes || bytes.size() - rest.size() > max_head_bytes) {
      return Malformed{"the answer's head is too large"};
    }
    if (!end) return std::optional<ResponseHead>();

    std::string_view head = rest.substr(0, *end);
    rest.remove_prefix(*end);
    const std::optional<StatusLine> line = parse_status_line(take_line(head).value_or(""));
    if (!line) return Malformed{"the answer's status line is broken"};
    if (line->status == 101) return Malformed{"the answer switches to another protocol"};
    if (line->status < 200) continue;

    Result<HttpHeaders, Malformed> headers = parse_fields(head);
    if (!headers) return std::move(headers).error();
    ResponseHead response;
    response.head = HttpHead{.status = line->status, .headers = *std::move(headers)};
    response.bytes = bytes.size() - rest.size();
    if (std::optional<Malformed> fault = decide_framing(response, line->http_1_1, method))
      return *std::move(fault);
    return std::optional<ResponseHead>(std::move(response));
  }
}

Result<std::optional<int>, Malformed> read_connect_answer(std::string_view bytes) {
  Result<std::optional<ResponseHead>, Malformed> head = read_response_head(bytes, "CONNECT");
  if (!head) return std::move(head).error();
  if (!*head) return std::optional<int>();
  const int status = (*head)->head.status;
  if (status < 300 && (*head)->bytes < bytes.size())
    return Malformed{"the tunnel speaks before it is spoken to"};
  return std::optional<int>(status);
}

BodyDecoder::BodyDecoder(Framing framing, std::uint64_t length) noexcept : state_(State::complete) {
  switch (framing) {
    case Framing::none:
      break;
    case Framing::length:
      left_ = length;
      if (length > 0) state_ = State::counted;
      break;
    case Framing::chunked:
      state_ = State::size;
      break;
    case Framing::until_close:
      state_ = State::until_close;
      break;
  }
}

std::string_view BodyDecoder::take(std::string_view& bytes) noexcept {
  while (!bytes.empty() && !complete() && !malformed()) {
    if (state_ == State::until_close) return std::exchange(bytes, {});
    if (state_ == State::counted || state_ == State::chunk) {
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
      const std::string_view payload = bytes.substr(0, n);
      bytes.remove_prefix(n);
      left_ -= n;
      if (left_ == 0) state_ = state_ == State::chunk ? State::chunk_cr : State::complete;
      return payload;
    }
    take_framing(bytes.front());
    bytes.remove_prefix(1);
  }
  return {};
}

void BodyDecoder::take_framing(char c) noexcept {
  const auto expect = [&](bool right, State next) { state_ = right ? next : State::malformed; };
  const auto size_line_ended = [&] {
    constexpr std::uint64_t of_each = 16;
    line_bytes_ -=
        static_cast<std::size_t>(std::min<std::uint64_t>(line_bytes_, std::max(left_, of_each)));
    state_ = left_ > 0 ? State::chunk : State::trailer;
    line_is_empty_ = true;
  };
  switch (state_) {
    case State::size: {
      if (is_hex_digit(c)) {
        if (left_ > std::numeric_limits<std::uint64_t>::max() >> 4) return expect(false, state_);
        left_ = (left_ << 4) |
                static_cast<std::uint64_t>(is_digit(c) ? c - '0' : to_lower(c) - 'a' + 10);
        digits_ = true;
        return expect(++line_bytes_ <= max_chunk_line_bytes, State::size);
      }
      if (!std::exchange(digits_, false)) return expect(false, state_);
      if (c == '\r') return expect(true, State::size_lf);
      if (c == '\n') return size_line_ended();
      return expect(c == ';' || c == ' ' || c == '\t', State::extension);
    }
    case State::extension:
      if (c == '\r') return expect(true, State::size_lf);
      if (c == '\n') return size_line_ended();
      return expect(++line_bytes_ <= max_chunk_line_bytes, State::extension);
    case State::size_lf:
      if (c == '\n') return size_line_ended();
      return expect(false, state_);
    case State::chunk_cr:
      if (c == '\n') return expect(true, State::size);
      return expect(c == '\r', State::chunk_lf);
    case State::chunk_lf:
      return expect(c == '\n', State::size);
    case State::trailer:
      if (c == '\n') {
        state_ = line_is_empty_ ? State::complete : State::trailer;
        line_is_empty_ = true;
        return;
      }
      line_is_empty_ = line_is_empty_ && c == '\r';
      return expect(++line_bytes_ <= max_trailer_bytes, State::trailer);
    case State::counted:
    case State::until_close:
    case State::chunk:
    case State::complete:
    case State::malformed:
      return;
  }
}

}  // namespace falproxy::inline v0::http1
