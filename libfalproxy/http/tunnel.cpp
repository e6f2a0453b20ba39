#include "tunnel.hpp"

#include <optional>
#include <utility>

#include "base/fmt.hpp"
#include "http1.hpp"

namespace falproxy::inline v0 {
namespace {

constexpr std::size_t answer_bytes = 4u << 10;

std::string name_of(const Proxy& proxy) {
  return fmt::format("the proxy {} of {}", proxy.address(), proxy.setting);
}

IoError with_name(const Proxy& proxy, IoError error) {
  error.what = name_of(proxy) + ": " + error.what;
  return error;
}

}  // namespace

std::string refusal_of(const Proxy& proxy, const Url& url, int status) {
  const std::string answered = fmt::format("{} answered {}", name_of(proxy), status);
  // tinyproxy says 401 of a wrong password.
  if (status == 407 || status == 401) {
    return fmt::format(
        "{}: it wants {}; write http://user:password@{} into {}", answered,
        proxy.credentials.empty() ? "a user and a password" : "another user or password",
        proxy.address(), proxy.setting);
  }
  if (status == 403) {
    return fmt::format("{}: it forbids {}:{}; allow that there, or name the host in NO_PROXY",
                       answered, url.host, url.port);
  }
  return fmt::format("{}: it cannot reach {}:{}", answered, url.host, url.port);
}

Result<Done, IoError> open_tunnel(Connection& connection, const Proxy& proxy, const Url& url,
                                  TimePoint deadline) {
  if (Result<Done, IoError> written =
          connection.write(http1::write_connect_head(url, proxy), {}, deadline);
      !written)
    return with_name(proxy, std::move(written).error());
  while (true) {
    if (Result<Done, IoError> ready = connection.wait_readable(deadline); !ready)
      return with_name(proxy, std::move(ready).error());
    const Result<std::size_t, IoError> n = connection.fill(answer_bytes);
    if (!n) return with_name(proxy, n.error());
    if (*n == 0) continue;
    ReadBuffer& buffer = connection.buffer();
    const Result<std::optional<int>, http1::Malformed> status =
        http1::read_connect_answer(buffer.bytes());
    if (!status) return with_name(proxy, {IoFault::broken, status.error().what});
    if (!*status) continue;
    if (**status >= 300) return IoError{IoFault::broken, refusal_of(proxy, url, **status)};
    buffer.drop_front(buffer.bytes().size());
    return Done{};
  }
}

}  // namespace falproxy::inline v0
