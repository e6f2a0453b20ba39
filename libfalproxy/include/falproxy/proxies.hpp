// proxies.hpp: which outgoing proxy a request takes, told by the variables that curl knows.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/http.hpp"
#include "falproxy/result.hpp"
#include "falproxy/secret.hpp"

namespace falproxy::inline v0 {

/// An HTTP proxy: it passes requests over http on, and opens tunnels (CONNECT) for https.
struct Proxy {
  std::string host = {};     ///< lower case, without brackets for IPv6
  std::uint16_t port = 0;    ///< to connect to
  Secret credentials = {};   ///< `user:password` for Basic; empty: none
  std::string setting = {};  ///< what named it: "HTTPS_PROXY"; messages say so

  /// `host:port`, an IPv6 address in brackets; safe to show.
  [[nodiscard]] std::string address() const;
  bool operator==(const Proxy&) const = default;
};

/// The proxies of a program, and what goes around them. A value; any number of threads may read it.
class Proxies {
 public:
  /// None: everything is reached directly.
  Proxies() = default;

  /// The value of a variable of that name; none if it is not set.
  using Variable = std::function<std::optional<std::string_view>(std::string_view name)>;
  /// As curl does: `https_proxy` or `HTTPS_PROXY` for https, `http_proxy` or `HTTP_PROXY` for http,
  /// `all_proxy` or `ALL_PROXY` for what has none of its own; `no_proxy` or `NO_PROXY` for what is
  /// reached directly. Of two names the lower case one counts; a blank value is none. A proxy is
  /// `[http://][user[:password]@]host[:port]`, by default at port 1080. NO_PROXY has hosts (which
  /// stand for those below them, too), addresses, networks (`10.0.0.0/8`) and `*`, separated by
  /// commas or blanks; beyond curl, `host:port` means one port. HTTP_PROXY in upper case does not
  /// count if REQUEST_METHOD is set: whoever asks a CGI program can set it. Errors:
  /// invalid_settings; `field` is the variable.
  [[nodiscard]] static Result<Proxies> read(const Variable& variable);

  /// Null: directly. Valid as long as this value.
  [[nodiscard]] const Proxy* find(const Url& url) const noexcept;

  /// In one line for the operator, without credentials; empty if there is no proxy.
  [[nodiscard]] std::string describe() const;
  /// The variable that says what is reached directly: "no_proxy" or "NO_PROXY"; empty: neither.
  [[nodiscard]] std::string exempting() const;
  /// Its entries that match nothing, as messages may show them.
  [[nodiscard]] std::vector<std::string> not_understood() const;

 private:
  struct Rules;
  std::shared_ptr<const Rules> rules_;  // null: no proxy
};

}  // namespace falproxy::inline v0
