#include "http_message.hpp"

#include <algorithm>
#include <charconv>

#include "falproxy/http.hpp"

namespace falsim {
namespace {

constexpr std::size_t max_head_bytes = 64u << 10;
constexpr std::size_t max_body_bytes = 512u << 20;

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_name(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

template <class Number>
bool read_number(std::string_view text, Number& out, int base = 10) noexcept {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc() && end == text.data() + text.size();
}

std::string_view reason(int status) noexcept {
  switch (status) {
    case 200:
      return "OK";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 302:
      return "Found";
    case 307:
      return "Temporary Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 413:
      return "Content Too Large";
    case 422:
      return "Unprocessable Entity";
    case 429:
      return "Too Many Requests";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Status";
  }
}

}  // namespace

std::string_view Request::header(std::string_view name) const noexcept {
  for (const auto& [field, value] : headers) {
    if (same_name(field, name)) return value;
  }
  return {};
}

std::optional<std::string> Request::parameter(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const std::size_t equals = pair.find('=');
    if (pair.substr(0, equals) != name) continue;
    return equals == std::string_view::npos ? std::string()
                                            : falproxy::percent_decode(pair.substr(equals + 1));
  }
  return std::nullopt;
}

bool RequestParser::read_field(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trim(line.substr(colon + 1));
  if (same_name(name, "content-length")) {
    std::size_t length = 0;
    if (!read_number(value, length) || length > max_body_bytes || (length_ && *length_ != length))
      return false;
    length_ = length;
  } else if (same_name(name, "transfer-encoding")) {
    if (!same_name(value, "chunked")) return false;
    chunked_ = true;
  } else if (same_name(name, "connection")) {
    if (same_name(value, "close")) request_.keep_alive = false;
  } else if (same_name(name, "expect")) {
    request_.expects_continue = same_name(value, "100-continue");
  }
  request_.headers.emplace_back(name, value);
  return true;
}

bool RequestParser::read_head(std::string_view head) {
  const std::size_t line_end = std::min(head.find("\r\n"), head.size());
  const std::string_view line = head.substr(0, line_end);
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == 0 || last <= first + 1) return false;
  const std::string_view version = line.substr(last + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return false;
  request_.keep_alive = version == "HTTP/1.1";
  request_.method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  if (target.front() != '/') return false;
  const std::size_t mark = target.find('?');
  request_.path = target.substr(0, mark);
  if (mark != std::string_view::npos) request_.query = target.substr(mark + 1);

  request_.headers.reserve(12);
  std::string_view rest = head.substr(std::min(head.size(), line_end + 2));
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find("\r\n"), rest.size());
    if (!read_field(rest.substr(0, end))) return false;
    rest.remove_prefix(std::min(rest.size(), end + 2));
  }
  return !(chunked_ && length_.has_value());
}

RequestParser::Progress RequestParser::read_head_from(std::string& in) {
  const std::size_t start =
      std::min(in.find_first_not_of("\r\n"), in.size());  // blank lines between requests
  const std::size_t end = in.find("\r\n\r\n", start);
  if (end == std::string::npos)
    return in.size() > max_head_bytes ? Progress::broken : Progress::need_more;
  if (!read_head(std::string_view(in).substr(start, end - start))) return Progress::broken;
  in.erase(0, end + 4);
  left_ = length_.value_or(0);
  phase_ = chunked_ ? Phase::chunk_size : Phase::sized;
  return Progress::head;
}

RequestParser::Progress RequestParser::read_body_from(std::string& in) {
  std::size_t used = 0;
  const auto line = [&]() -> std::optional<std::string_view> {
    const std::size_t end = in.find("\r\n", used);
    if (end == std::string::npos) return std::nullopt;
    const std::string_view text = std::string_view(in).substr(used, end - used);
    used = end + 2;
    return text;
  };
  const auto finish = [&](Progress progress) {
    in.erase(0, used);
    return progress;
  };
  for (;;) {
    switch (phase_) {
      case Phase::sized:
      case Phase::chunk_data: {
        const std::size_t take = std::min(left_, in.size() - used);
        request_.body.append(in, used, take);
        used += take;
        left_ -= take;
        if (left_ > 0) return finish(Progress::need_more);
        phase_ = phase_ == Phase::sized ? Phase::complete : Phase::chunk_end;
        break;
      }
      case Phase::chunk_end: {
        const std::optional<std::string_view> text = line();
        if (!text) return finish(Progress::need_more);
        if (!text->empty()) return Progress::broken;
        phase_ = Phase::chunk_size;
        break;
      }
      case Phase::chunk_size: {
        const std::optional<std::string_view> text = line();
        if (!text) return in.size() - used > 1024 ? Progress::broken : finish(Progress::need_more);
        if (!read_number(trim(text->substr(0, text->find(';'))), left_, 16))
          return Progress::broken;
        if (request_.body.size() + left_ > max_body_bytes) return Progress::broken;
        phase_ = left_ == 0 ? Phase::trailers : Phase::chunk_data;
        break;
      }
      case Phase::trailers: {
        const std::optional<std::string_view> text = line();
        if (!text)
          return in.size() - used > max_head_bytes ? Progress::broken : finish(Progress::need_more);
        if (text->empty()) phase_ = Phase::complete;
        break;
      }
      case Phase::head:
      case Phase::complete:
        return finish(Progress::complete);
    }
  }
}

RequestParser::Progress RequestParser::advance(std::string& in) {
  return phase_ == Phase::head ? read_head_from(in) : read_body_from(in);
}

Request RequestParser::take() {
  Request request = std::move(request_);
  *this = RequestParser();
  return request;
}

std::string head_text(const Reply& reply, std::optional<std::size_t> length, bool keep_alive) {
  std::string text;
  text.reserve(384);
  text.append("HTTP/1.1 ")
      .append(std::to_string(reply.status))
      .append(" ")
      .append(reason(reply.status))
      .append("\r\n");
  for (const auto& [name, value] : reply.headers)
    text.append(name).append(": ").append(value).append("\r\n");
  if (length) {
    text.append("content-length: ").append(std::to_string(*length)).append("\r\n");
  } else {
    text.append("transfer-encoding: chunked\r\n");
  }
  if (!keep_alive) text.append("connection: close\r\n");
  text.append("\r\n");
  return text;
}

}  // namespace falsim
