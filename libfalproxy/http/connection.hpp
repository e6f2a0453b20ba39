// connection.hpp: one TCP or TLS connection to an upstream host, with deadlines and a stop that
// works at any moment.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/http.hpp"
#include "falproxy/result.hpp"
#include "falproxy/socket_waiter.hpp"
#include "read_buffer.hpp"
#include "resolver.hpp"
#include "tls.hpp"

namespace falproxy::inline v0 {

/// How an operation on a connection ended without doing what was asked.
enum class IoFault {
  closed,  ///< the other side ended the connection in order
  broken,  ///< reset, refused, or TLS is violated
  timed_out,
};

struct IoError {
  IoFault fault = IoFault::broken;
  std::string what = {};
  int system_error = 0;  ///< errno; 0: the system did not complain
};

/// Used by one call at a time. All operations wait in the waiter until
/// `deadline`; shutting down the socket from another thread (see shut_down()) ends them at once.
/// The clock is asked before each wait, so that a peer that never pauses cannot outlast a deadline.
/// If the machine has no memory for a socket at the moment, sending and reading are tried again
/// until then: the connection is whole, and what came over it may have been paid for.
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
  [[nodiscard]] std::size_t sent_bytes() const noexcept { return view_.sent_bytes; }
  /// The last shortage that was waited out, in words, and forgets it; empty: there was none.
  [[nodiscard]] std::string take_shortage();
  /// From any thread, as long as the connection lives: whatever waits on it ends.
  void shut_down() noexcept;

 private:
  Connection(int socket, SocketWaiter& waiter) noexcept
      : view_{.socket = socket}, waiter_(waiter) {}
  [[nodiscard]] Result<Done, IoError> wait_for(short events, TimePoint deadline);
  [[nodiscard]] Result<Done, IoError> wait_for_tls(int kind, TimePoint deadline);
  [[nodiscard]] Result<Done, IoError> write_plain(std::string_view first,
                                                  std::span<const Piece> rest, TimePoint deadline);
  [[nodiscard]] Result<Done, IoError> write_tls(std::string_view first, std::span<const Piece> rest,
                                                TimePoint deadline);
  [[nodiscard]] Result<Done, IoError> write_record(std::string_view bytes, TimePoint deadline);
  [[nodiscard]] Result<std::size_t, IoError> read(char* data, std::size_t size);
  [[nodiscard]] Result<std::size_t, IoError> read_tls(char* data, std::size_t size);
  [[nodiscard]] IoError tls_error(int result);

  SocketView view_;
  SocketWaiter& waiter_;
  ReadBuffer buffer_;
  OpenSslPtr<SSL> ssl_;
};

}  // namespace falproxy::inline v0
