#include "connection/connection.hpp"

#include <sys/socket.h>
#include <unistd.h>

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
