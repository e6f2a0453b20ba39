// tunnel.hpp: the way to an https host through a proxy.
#pragma once

#include "connection.hpp"
#include "falproxy/http.hpp"
#include "falproxy/proxies.hpp"

namespace falproxy::inline v0 {

/// What to say of an answer of `proxy` that refuses `url`: names the setting and the mend, and
/// holds no credentials.
[[nodiscard]] std::string refusal_of(const Proxy& proxy, const Url& url, int status);

/// Asks the proxy at the other end of `connection` for a tunnel to the url's host. After that TLS
/// can begin. If it fails nothing has reached that host.
[[nodiscard]] Result<Done, IoError> open_tunnel(Connection& connection, const Proxy& proxy,
                                                const Url& url, TimePoint deadline);

}  // namespace falproxy::inline v0
