// http.hpp: HTTP messages as plain values, shared by the library, its transports and the server.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "falproxy/print.hpp"

namespace falproxy::inline v0 {

/// Header fields in order of arrival. Names compare without regard to case (RFC 9110, 5.1).
class HttpHeaders {
 public:
  using Field = std::pair<std::string, std::string>;  ///< name and value, as they came

  /// No field.
  HttpHeaders() = default;
  /// Names that stand twice stay so.
  HttpHeaders(std::initializer_list<Field> fields) : fields_(fields) {}

  /// Room for so many, so that add() does not move them.
  void reserve(std::size_t fields);
  /// At the end, beside others of that name (Set-Cookie and its like).
  void add(std::string name, std::string value);
  /// Replaces every field of that name by one.
  void set(std::string name, std::string value);
  /// The first value of that name.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept;

  /// In order of arrival, for `for`.
  [[nodiscard]] auto begin() const noexcept { return fields_.begin(); }
  /// One past the last field.
  [[nodiscard]] auto end() const noexcept { return fields_.end(); }
  /// Of fields, repeated names counted each.
  [[nodiscard]] std::size_t size() const noexcept { return fields_.size(); }
  bool operator==(const HttpHeaders&) const = default;

 private:
  std::vector<Field> fields_;
};

/// A run of bytes with whatever keeps it alive; `owner` may be empty for bytes that outlive every
/// use (literals).
struct Piece {
  /// Anything that keeps `bytes` where they are; shared between copies.
  std::shared_ptr<const void> owner;
  std::string_view bytes;  ///< immutable while anybody has them
  /// The same bytes, whoever owns them.
  bool operator==(const Piece& other) const noexcept { return bytes == other.bytes; }
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Piece& piece);

/// Bytes in pieces: a large base64 string goes from where it arrived to the socket without being
/// copied in between. Copying is cheap; the bytes are shared and immutable.
class Body {
 public:
  /// No bytes.
  Body() = default;
  explicit Body(std::string text);  ///< one piece that owns `text`

  void append(std::string text);  ///< an owned piece; adjoining small ones are not merged
  /// Without a copy; an empty piece is left out.
  void append(Piece piece);
  /// Shares the other's pieces. `other` may be this body.
  void append(const Body& other);

  /// In order; none of them is empty.
  [[nodiscard]] const std::vector<Piece>& pieces() const noexcept { return pieces_; }
  /// In bytes, of all pieces.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// No byte: a request then has no body.
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  /// All of it as one string: a copy; for tests and small bodies.
  [[nodiscard]] std::string str() const;
  /// The same bytes, however they are cut into pieces.
  bool operator==(const Body& other) const noexcept;

 private:
  std::vector<Piece> pieces_;
  std::size_t size_ = 0;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Body& body);

class BodySource;

/// One request, complete: a transport adds only what it must write itself.
struct HttpRequest {
  std::string method = "GET";  ///< upper case
  std::string url;             ///< absolute, http or https
  /// Without Host, Content-Length and Connection, which the transport writes.
  HttpHeaders headers = {};
  Body body = {};  ///< the content type stands in `headers`
  /// Sent behind `body`, piece by piece; null: `body` is all of it. What it cannot read any more
  /// ends the exchange as interrupted.
  std::shared_ptr<const BodySource> source = nullptr;
  /// The longest time without a byte of the answer before the exchange ends as timed_out; 0: only
  /// the deadline counts.
  std::chrono::milliseconds max_silence{0};
  /// Of `body` and `source` together.
  [[nodiscard]] std::uint64_t content_length() const noexcept;
  /// The same source, if there is one.
  bool operator==(const HttpRequest&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const HttpRequest& request);

/// An answer before its body.
struct HttpHead {
  int status = 0;            ///< of the final answer: interim ones (1xx) are not handed out
  HttpHeaders headers = {};  ///< as they came, the transport's own (Content-Length) included
  /// The answer told neither a length nor chunks: its body ends with the connection, and may be
  /// incomplete though the exchange ends well. A body that is shorter than it was told to be never
  /// ends well.
  bool ends_with_connection = false;
  bool operator==(const HttpHead&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const HttpHead& head);

/// A whole answer in memory, as fetch() collects it.
struct HttpResponse {
  HttpHead head = {};     ///< status and fields
  std::string body = {};  ///< decoded from transfer coding; bytes, of whatever type the fields say
  bool operator==(const HttpResponse&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const HttpResponse& response);

/// An absolute http or https URL in its parts; `host` is lower case, without brackets for IPv6.
struct Url {
  std::string scheme;      ///< "http" or "https"
  std::string host;        ///< to connect to and to check a certificate against
  std::uint16_t port = 0;  ///< the scheme's own if the URL names none
  std::string target;      ///< path and query, at least "/"

  /// None for anything but a plain absolute http(s) URL: no user info, no fragment, no control
  /// characters, blanks or backslashes, a valid port, a non-empty host.
  [[nodiscard]] static std::optional<Url> parse(std::string_view text);
  /// `scheme://host[:port]`, the port only if it is not the scheme's own.
  [[nodiscard]] std::string origin() const;
  bool operator==(const Url&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Url& url);

/// Percent-encodes all but unreserved characters (RFC 3986, 2.3); `keep` names characters that
/// stay, such as "/".
[[nodiscard]] std::string percent_encode(std::string_view text, std::string_view keep = {});
/// Decodes %XX; none if an escape is broken.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text);

}  // namespace falproxy::inline v0
