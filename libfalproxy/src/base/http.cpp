#include "falproxy/http.hpp"

#include <algorithm>
#include <charconv>

#include "base/text.hpp"
#include "falproxy/body_source.hpp"

namespace falproxy::inline v0 {

void HttpHeaders::reserve(std::size_t fields) { fields_.reserve(fields); }

void HttpHeaders::add(std::string name, std::string value) {
  fields_.emplace_back(std::move(name), std::move(value));
}

void HttpHeaders::set(std::string name, std::string value) {
  std::erase_if(fields_,
                [&](const Field& field) { return equal_ignoring_case(field.first, name); });
  add(std::move(name), std::move(value));
}

std::optional<std::string_view> HttpHeaders::find(std::string_view name) const noexcept {
  for (const Field& field : fields_) {
    if (equal_ignoring_case(field.first, name)) return field.second;
  }
  return std::nullopt;
}

Body::Body(std::string text) { append(std::move(text)); }

void Body::append(std::string text) {
  if (text.empty()) return;
  auto owner = std::make_shared<const std::string>(std::move(text));
  const std::string_view bytes = *owner;
  append(Piece{std::move(owner), bytes});
}

void Body::append(Piece piece) {
  if (piece.bytes.empty()) return;
  size_ += piece.bytes.size();
  pieces_.push_back(std::move(piece));
}

void Body::append(const Body& other) {
  if (&other == this) return append(Body(other));
  size_ += other.size_;
  pieces_.insert(pieces_.end(), other.pieces_.begin(), other.pieces_.end());
}

std::uint64_t HttpRequest::content_length() const noexcept {
  return body.size() + (source == nullptr ? 0 : source->size());
}

std::string Body::str() const {
  std::string all;
  all.reserve(size_);
  for (const Piece& piece : pieces_) all.append(piece.bytes);
  return all;
}

bool Body::operator==(const Body& other) const noexcept {
  if (size_ != other.size_) return false;
  std::size_t theirs = 0;  // the piece of the other that is looked at, and how far
  std::size_t at = 0;
  for (const Piece& piece : pieces_) {
    for (std::string_view rest = piece.bytes; !rest.empty();) {
      const std::string_view beside = other.pieces_[theirs].bytes.substr(at);
      const std::size_t length = std::min(rest.size(), beside.size());
      if (rest.substr(0, length) != beside.substr(0, length)) return false;
      rest.remove_prefix(length);
      at += length;
      if (length == beside.size()) {
        ++theirs;
        at = 0;
      }
    }
  }
  return true;
}

namespace {

constexpr CharClass host_chars([](char c) {
  return is_alnum(c) || c == '.' || c == '-' || c == '_';
});
constexpr CharClass ipv6_chars([](char c) { return is_hex_digit(c) || c == ':' || c == '.'; });
constexpr CharClass target_chars([](char c) {
  return c > ' ' && c < '\x7f' && c != '\\' && c != '#' && c != '"' && c != '<' && c != '>';
});

std::uint16_t default_port(std::string_view scheme) noexcept {
  return scheme == "https" ? 443 : 80;
}

}  // namespace

std::optional<Url> Url::parse(std::string_view text) {
  Url url;
  const std::size_t scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos) return std::nullopt;
  url.scheme = to_lower(text.substr(0, scheme_end));
  if (url.scheme != "http" && url.scheme != "https") return std::nullopt;
  text.remove_prefix(scheme_end + 3);

  const auto ends_authority = [](char c) { return c == '/' || c == '?'; };
  const auto authority_end =
      static_cast<std::size_t>(std::ranges::find_if(text, ends_authority) - text.begin());
  std::string_view authority = text.substr(0, authority_end);
  const std::string_view target = text.substr(authority_end);

  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    url.host = to_lower(authority.substr(1, close - 1));
    authority.remove_prefix(close + 1);
    if (!ipv6_chars.has_all(url.host)) return std::nullopt;
  } else {
    const std::size_t host_end = std::min(authority.find(':'), authority.size());
    url.host = to_lower(authority.substr(0, host_end));
    authority.remove_prefix(host_end);
    if (!host_chars.has_all(url.host)) return std::nullopt;
  }
  if (url.host.empty()) return std::nullopt;

  url.port = default_port(url.scheme);
  if (!authority.empty()) {
    const std::string_view digits = authority.substr(1);
    if (authority.front() != ':' || digits.empty()) return std::nullopt;
    const auto [end, fault] =
        std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
    if (fault != std::errc() || end != digits.data() + digits.size() || url.port == 0)
      return std::nullopt;
  }

  if (!target_chars.has_all(target)) return std::nullopt;
  url.target = target.starts_with('/') ? std::string(target) : "/" + std::string(target);
  return url;
}

std::string Url::origin() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  std::string text;
  text.reserve(scheme.size() + host.size() + 11);
  text.append(scheme).append("://");
  ipv6 ? text.append("[").append(host).append("]") : text.append(host);
  if (port != default_port(scheme)) text.append(":").append(std::to_string(port));
  return text;
}

std::string percent_encode(std::string_view text, std::string_view keep) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size());
  for (const char c : text) {
    if (is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~' ||
        keep.find(c) != std::string_view::npos) {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += '%';
      encoded += digits[byte >> 4];
      encoded += digits[byte & 0x0F];
    }
  }
  return encoded;
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    if (i + 2 >= text.size() || !is_hex_digit(text[i + 1]) || !is_hex_digit(text[i + 2]))
      return std::nullopt;
    unsigned byte = 0;
    std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16);
    decoded += static_cast<char>(byte);
    i += 2;
  }
  return decoded;
}

}  // namespace falproxy::inline v0
