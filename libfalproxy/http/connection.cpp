#include "connection.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <system_error>
#include <utility>

namespace falproxy::inline v0 {
namespace {

constexpr std::size_t pieces_at_once = 64;
constexpr std::size_t tls_turn = 256u << 10;
constexpr std::size_t record_bytes = 16u << 10;  // the most that one TLS record carries

IoError system_error(std::string_view doing, int error) {
  return IoError{IoFault::broken,
                 std::string(doing) + ": " + std::generic_category().message(error), error};
}

TimePoint now() { return std::chrono::steady_clock::now(); }

Result<Done, IoError> in_time(bool is) {
  if (is) return Done{};
  return IoError{IoFault::timed_out, "no answer in time"};
}

Result<Done, IoError> wait_on(SocketWaiter& waiter, int socket, short events, TimePoint deadline) {
  return in_time(now() < deadline && waiter.wait(socket, events, deadline));
}

// A socket that is connected, or none. Shutting it down while it connects wakes the waiter.
Result<Done, IoError> connect_socket(int socket, const Address& address, TimePoint deadline,
                                     const std::stop_token& stop, SocketWaiter& waiter) {
  const std::stop_callback wake(stop, [socket] { ::shutdown(socket, SHUT_RDWR); });
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address.storage), address.size) == 0)
    return Done{};
  if (errno != EINPROGRESS && errno != EINTR) return system_error("connect", errno);
  // A stop before connect() has shut down nothing.
  if (stop.stop_requested()) return IoError{};
  if (Result<Done, IoError> ready = wait_on(waiter, socket, POLLOUT, deadline); !ready)
    return ready;
  int fault = 0;
  socklen_t size = sizeof(fault);
  if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &fault, &size) != 0) fault = errno;
  if (fault != 0) return system_error("connect", fault);
  return Done{};
}

}  // namespace

Result<std::unique_ptr<Connection>, IoError> Connection::open(std::span<const Address> addresses,
                                                              TimePoint deadline,
                                                              const std::stop_token& stop,
                                                              SocketWaiter& waiter) {
  IoError last{IoFault::broken, "no address"};
  for (std::size_t i = 0; i < addresses.size() && !stop.stop_requested(); ++i) {
    const int socket =
        ::socket(addresses[i].storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket < 0) {
      last = system_error("socket", errno);
      continue;
    }
    std::unique_ptr<Connection> connection(new Connection(socket, waiter));
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    // A silent address must not use up the time of those behind it.
    const TimePoint at = now();
    const TimePoint share = at + (deadline - at) / static_cast<int>(addresses.size() - i);
    Result<Done, IoError> connected = connect_socket(socket, addresses[i], share, stop, waiter);
    if (connected) return connection;
    last = std::move(connected).error();
  }
  return last;
}

Connection::~Connection() {
  // Says goodbye where that is possible without waiting; a broken session must not be asked to.
  if (ssl_ != nullptr && SSL_is_init_finished(ssl_.get()) == 1) SSL_shutdown(ssl_.get());
  ERR_clear_error();
  ssl_.reset();
  ::close(view_.socket);
}

void Connection::shut_down() noexcept { ::shutdown(view_.socket, SHUT_RDWR); }

std::string Connection::take_shortage() {
  const int error = std::exchange(view_.shortage, 0);
  return error == 0 ? std::string() : system_error("waited for memory", error).what;
}

void Connection::acknowledge() noexcept {
#ifdef TCP_QUICKACK
  const int on = 1;
  ::setsockopt(view_.socket, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
#endif
}

Result<Done, IoError> Connection::wait_for(short events, TimePoint deadline) {
  if (!std::exchange(view_.must_rest, false))
    return wait_on(waiter_, view_.socket, events, deadline);
  // Nothing tells when there is memory again.
  constexpr Milliseconds rest{10};
  static_cast<void>(wait_on(waiter_, view_.socket, 0, std::min(deadline, now() + rest)));
  return in_time(now() < deadline);
}

Result<Done, IoError> Connection::wait_for_tls(int kind, TimePoint deadline) {
  return wait_for(kind == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline);
}

Result<Done, IoError> Connection::wait_readable(TimePoint deadline) {
  // Without read-ahead OpenSSL holds at most one record: what is not pending is still in the
  // socket.
  if (ssl_ != nullptr && SSL_pending(ssl_.get()) > 0) return in_time(now() < deadline);
  return wait_for(POLLIN, deadline);
}

IoError Connection::tls_error(int result) {
  const int fault = errno;
  const int kind = SSL_get_error(ssl_.get(), result);
  if (kind == SSL_ERROR_ZERO_RETURN) return IoError{IoFault::closed, "the connection was closed"};
  IoError error{IoFault::broken, "TLS: " + take_tls_error(ssl_.get())};
  if (kind == SSL_ERROR_SYSCALL && fault != 0) error = system_error("TLS", fault);
  // After such an error OpenSSL forbids any further use, the goodbye included.
  if (kind == SSL_ERROR_SYSCALL || kind == SSL_ERROR_SSL) SSL_set_quiet_shutdown(ssl_.get(), 1);
  return error;
}

Result<Done, IoError> Connection::start_tls(const TlsContext& tls, const std::string& host,
                                            TlsSessionSlot& slot, TimePoint deadline) {
  ssl_ = tls.begin(host, view_, slot);
  if (ssl_ == nullptr)
    return IoError{IoFault::broken, "TLS cannot be set up: " + take_tls_error(nullptr)};
  while (true) {
    ERR_clear_error();
    view_.turn = tls_turn;
    errno = 0;
    const int result = SSL_do_handshake(ssl_.get());
    if (result == 1) return Done{};
    const int kind = SSL_get_error(ssl_.get(), result);
    if (kind != SSL_ERROR_WANT_READ && kind != SSL_ERROR_WANT_WRITE) return tls_error(result);
    if (Result<Done, IoError> ready = wait_for_tls(kind, deadline); !ready) return ready;
  }
}

Result<Done, IoError> Connection::write(std::string_view first, std::span<const Piece> rest,
                                        TimePoint deadline) {
  return ssl_ == nullptr ? write_plain(first, rest, deadline) : write_tls(first, rest, deadline);
}

Result<Done, IoError> Connection::write_plain(std::string_view first, std::span<const Piece> rest,
                                              TimePoint deadline) {
  while (now() < deadline) {
    std::array<iovec, pieces_at_once> parts;
    std::size_t count = 0;
    const auto add = [&](std::string_view bytes) {
      if (!bytes.empty()) parts[count++] = {const_cast<char*>(bytes.data()), bytes.size()};
    };
    add(first);
    for (std::size_t i = 0; i < rest.size() && count < parts.size(); ++i) add(rest[i].bytes);
    if (count == 0) return Done{};

    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    const ssize_t sent = ::sendmsg(view_.socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (!view_.passes(errno)) return system_error("send", errno);
      if (Result<Done, IoError> ready = wait_for(POLLOUT, deadline); !ready) return ready;
      continue;
    }
    auto left = static_cast<std::size_t>(sent);
    view_.sent_bytes += left;
    const std::size_t of_first = std::min(left, first.size());
    first.remove_prefix(of_first);
    left -= of_first;
    while (first.empty() && !rest.empty() && left >= rest.front().bytes.size()) {
      left -= rest.front().bytes.size();
      rest = rest.subspan(1);
    }
    if (left > 0) {
      first = rest.front().bytes.substr(left);
      rest = rest.subspan(1);
    }
  }
  return in_time(false);
}

// Small neighbours share a record; a large piece is encrypted from where it lies.
Result<Done, IoError> Connection::write_tls(std::string_view first, std::span<const Piece> rest,
                                            TimePoint deadline) {
  std::string gathered;
  const auto flush = [&]() -> Result<Done, IoError> {
    Result<Done, IoError> written =
        gathered.empty() ? Result<Done, IoError>(Done{}) : write_record(gathered, deadline);
    gathered.clear();
    return written;
  };
  const auto add = [&](std::string_view bytes) -> Result<Done, IoError> {
    if (gathered.size() + bytes.size() > record_bytes) {
      if (Result<Done, IoError> written = flush(); !written) return written;
    }
    if (bytes.size() >= record_bytes) return write_record(bytes, deadline);
    gathered.append(bytes);
    return Done{};
  };
  if (Result<Done, IoError> added = add(first); !added) return added;
  for (const Piece& piece : rest) {
    if (Result<Done, IoError> added = add(piece.bytes); !added) return added;
  }
  return flush();
}

Result<Done, IoError> Connection::write_record(std::string_view bytes, TimePoint deadline) {
  while (!bytes.empty()) {
    if (now() >= deadline) return in_time(false);
    ERR_clear_error();
    view_.turn = tls_turn;
    errno = 0;
    const int size = static_cast<int>(std::min<std::size_t>(bytes.size(), INT_MAX));
    const int written = SSL_write(ssl_.get(), bytes.data(), size);
    if (written > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
      continue;
    }
    const int kind = SSL_get_error(ssl_.get(), written);
    if (kind != SSL_ERROR_WANT_READ && kind != SSL_ERROR_WANT_WRITE) return tls_error(written);
    if (Result<Done, IoError> ready = wait_for_tls(kind, deadline); !ready) return ready;
  }
  return Done{};
}

Result<std::size_t, IoError> Connection::fill(std::size_t size) {
  const auto [data, room] = buffer_.room(size);
  Result<std::size_t, IoError> n = read(data, room);
  if (n) buffer_.filled(*n);
  return n;
}

Result<std::size_t, IoError> Connection::read(char* data, std::size_t size) {
  if (ssl_ != nullptr) return read_tls(data, size);
  while (true) {
    const ssize_t n = ::recv(view_.socket, data, size, MSG_DONTWAIT);
    if (n > 0) return static_cast<std::size_t>(n);
    if (n == 0) return IoError{IoFault::closed, "the connection was closed"};
    if (errno == EINTR) continue;
    if (view_.passes(errno)) return std::size_t{0};
    return system_error("recv", errno);
  }
}

Result<std::size_t, IoError> Connection::read_tls(char* data, std::size_t size) {
  ERR_clear_error();
  view_.turn = tls_turn;
  errno = 0;
  const int n = SSL_read(ssl_.get(), data, static_cast<int>(std::min<std::size_t>(size, INT_MAX)));
  if (n > 0) return static_cast<std::size_t>(n);
  const int kind = SSL_get_error(ssl_.get(), n);
  if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) return std::size_t{0};
  return tls_error(n);
}

bool Connection::is_quiet() {
  char byte = 0;
  const Result<std::size_t, IoError> n = read(&byte, 1);
  return n && *n == 0;
}

}  // namespace falproxy::inline v0
