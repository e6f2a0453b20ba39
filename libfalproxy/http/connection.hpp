// connection.hpp: one TCP or TLS connection to an upstream host, with deadlines and a stop that
// works at any moment.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/http.hpp"
#include "falproxy/result.hpp"
#include "falproxy/socket_waiter.hpp"
#include "read_buffer.hpp"
#include "resolver.hpp"
#include "tls.hpp"

namespace falproxy {

/// How an operation on a connection ended without doing what was asked.
enum class IoFault {
  closed,  ///< the other side ended the connection in order
  broken,  ///< reset, refused, or TLS is violated
  timed_out,
};

struct IoError {
  IoFault fault = IoFault::broken;
  std::string what = {};
};

/// Used by one call at a time. All operations wait in the waiter until
/// `deadline`; shutting down the socket from another thread (see shut_down()) ends them at once.
class Connection {
 public:
  /// Connects to the first of `addresses` that answers. A stop ends it within milliseconds; the
  /// error is then of no meaning. `waiter` outlives the connection.
  [[nodiscard]] static Result<std::unique_ptr<Connection>, IoError> open(
      std::span<const Address> addresses, TimePoint deadline, const std::stop_token& stop,
      SocketWaiter& waiter);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Shakes hands. `tls` and `slot` outlive the connection.
  [[nodiscard]] Result<Done, IoError> start_tls(const TlsContext& tls, const std::string& host,
                                                TlsSessionSlot& slot, TimePoint deadline);

  /// Writes all of `first`, then all of `rest`.
  [[nodiscard]] Result<Done, IoError> write(std::string_view first, std::span<const Piece> rest,
                                            TimePoint deadline);
  /// Acknowledges at once what has arrived, which a kernel likes to put off for 40 ms: a server
  /// with Nagle's algorithm on holds the body of its answer back until the head is acknowledged.
  void acknowledge() noexcept;
  /// Waits until there is something to read, or the end.
  [[nodiscard]] Result<Done, IoError> wait_readable(TimePoint deadline);
  /// Reads once into the buffer, after making room for `size` bytes, or for twice what is held. 0:
  /// nothing can be read without waiting.
  [[nodiscard]] Result<std::size_t, IoError> fill(std::size_t size);
  /// What was read and is not yet used. Kept with the connection, since the next answer needs one,
  /// too.
  [[nodiscard]] ReadBuffer& buffer() noexcept { return buffer_; }

  /// Whether an idle connection looks usable: open, and without a byte that nobody asked for.
  [[nodiscard]] bool is_quiet();
  /// Bytes handed to the socket since the connection was opened, those of TLS included.
  [[nodiscard]] std::size_t sent_bytes() const noexcept { return sent_bytes_; }
  /// From any thread, as long as the connection lives: whatever waits on it ends.
  void shut_down() noexcept;

 private:
  Connection(int socket, SocketWaiter& waiter) noexcept : socket_(socket), waiter_(waiter) {}
  [[nodiscard]] Result<Done, IoError> wait_for(short events, TimePoint deadline);
  [[nodiscard]] Result<Done, IoError> write_plain(std::string_view first,
                                                  std::span<const Piece> rest, TimePoint deadline);
  [[nodiscard]] Result<Done, IoError> write_tls(std::string_view first, std::span<const Piece> rest,
                                                TimePoint deadline);
  [[nodiscard]] Result<Done, IoError> write_record(std::string_view bytes, TimePoint deadline);
  [[nodiscard]] Result<std::size_t, IoError> read(char* data, std::size_t size);
  [[nodiscard]] Result<std::size_t, IoError> read_tls(char* data, std::size_t size);
  [[nodiscard]] IoError tls_error(int result);

  int socket_;
  SocketWaiter& waiter_;
  std::size_t sent_bytes_ = 0;
  ReadBuffer buffer_;
  OpenSslPtr<SSL> ssl_;
};

}  // namespace falproxy
