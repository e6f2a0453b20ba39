#include "connection/connection.hpp"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "connection/worker_exchange.hpp"

namespace falproxy::app {

Connection::Connection(int socket) noexcept : fd(socket) {}
Connection::~Connection() { ::close(fd); }

void Connection::keep(std::string_view rest) {
  if (rest.empty()) {
    if (!in.empty()) std::string().swap(in);
  } else if (in.empty()) {
    in.assign(rest);
  } else {
    in.erase(0, in.size() - rest.size());  // `rest` is its end
  }
}

bool Connection::send(std::string_view head, const Piece& body) {
  std::array<iovec, 2> parts = {iovec{const_cast<char*>(head.data()), head.size()},
                                iovec{const_cast<char*>(body.bytes.data()), body.bytes.size()}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  const ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
  const auto n = static_cast<std::size_t>(std::max<ssize_t>(sent, 0));
  if (n == head.size() + body.bytes.size()) return true;
  const std::size_t of_head = std::min(n, head.size());
  out_head = head.substr(of_head);
  out_body = body;
  out_body.bytes.remove_prefix(n - of_head);
  return true;
}

bool Connection::flush() {
  while (has_out()) {
    const std::string_view next = out_head.empty() ? out_body.bytes : std::string_view(out_head);
    const ssize_t sent = ::send(fd, next.data(), next.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    if (out_head.empty()) {
      out_body.bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else {
      out_head.erase(0, static_cast<std::size_t>(sent));
    }
  }
  return true;
}

}  // namespace falproxy::app
