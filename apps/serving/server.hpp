// server.hpp: cpp-httplib's Server on fibers.
//
// httplib dispatches a request, calls its handler and writes its answer. Ours is the strict head
// (head.hpp), how bodies are read, where all of it waits (reactor.hpp), who may connect, how slow
// clients may be, and when their requests end (docs/decisions/0006 and 0014).
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/result.hpp"
#include "serving/reactor.hpp"
#include "serving/request.hpp"

namespace falproxy::serving {

/// By which programs on this machine reach a server that listens on `host`: one that listens
/// everywhere is asked on 127.0.0.1, since not every container has ::1.
[[nodiscard]] std::string local_origin(std::string scheme, std::string host, std::uint16_t port);

/// The accepted socket, or -1 and errno.
[[nodiscard]] int accept_socket(int listener);

/// The bytes of one connection, on its reactor's thread, without waiting. A program may bring its
/// own, for TLS or for faults: the connection then calls it again whenever something happens to the
/// socket.
class Wire {
 public:
  explicit Wire(int socket) noexcept : socket_(socket) {}
  virtual ~Wire();  ///< closes the socket
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  static constexpr std::ptrdiff_t nothing_now = -1;
  static constexpr std::ptrdiff_t broken = -2;
  /// How many bytes came: fewer than there is room for if that is all there is now. 0: the client
  /// sends no more; or one of the above.
  [[nodiscard]] virtual std::ptrdiff_t receive(std::span<char> to);
  /// How many bytes are taken, 0 if none can be now, or `broken`.
  [[nodiscard]] virtual std::ptrdiff_t send(std::span<const iovec> parts);
  /// Nothing more is sent.
  virtual void finish();
  [[nodiscard]] int socket() const noexcept { return socket_; }

 private:
  const int socket_;
};

/// Thread-safe, but start() is called once.
class Server {
 public:
  struct Options {
    std::string host = "0.0.0.0";  ///< without brackets; "*": all addresses there are
    std::uint16_t port = 0;        ///< 0: any
    std::size_t max_connections =
        16384;  ///< past it the longest idle ones go, or newcomers are told 503
    /// For a head as a whole, and for the first byte of a connection.
    Milliseconds head_timeout{10'000};
    Milliseconds idle_timeout{75'000};  ///< between requests
    /// The time spent waiting for a client, while a body is read or an answer written, may be at
    /// most this plus what the bytes so far are worth at 16 KiB a second.
    Milliseconds body_grace{20'000};
    Milliseconds linger_timeout{5'000};  ///< for a client that still sends after its answer
    /// An unread body up to here is thrown away; past it the connection ends.
    std::size_t max_skipped_body = 1u << 20;
    /// What has arrived and is not served yet, of all clients.
    std::size_t max_parked_bytes = 16u << 20;
    std::function<void(std::string_view)> warn = {};  ///< gets lines for the log
    /// Owns the socket.
    std::function<std::unique_ptr<Wire>(int socket)> wire = std::make_unique<Wire, int>;
    /// accept4() of a socket that does not block; tests bring their own.
    std::function<int(int listener)> accept = accept_socket;
  };

  /// Listens already, but accepts nothing until start(). `application` and `reactors` outlive it.
  /// Errors: invalid_settings, if the address cannot be had.
  [[nodiscard]] static Result<std::unique_ptr<Server>> create(Options options,
                                                              Application& application,
                                                              std::vector<Route> routes,
                                                              const Reactors& reactors);
  /// Cuts off the clients that are left, and waits for their requests to end. Not on a reactor's
  /// thread.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void start();
  [[nodiscard]] std::uint16_t port() const noexcept;
  /// Where it listens: "http://[::]:8000".
  [[nodiscard]] std::string address() const;

  /// Accepts no more; idle connections are closed, busy ones after their answer.
  void drain();
  /// Asks every request that runs to end now.
  void stop_requests();

  struct Counters {
    std::uint64_t accepted = 0;
    std::uint64_t not_accepted = 0;  ///< what accept() or taking its socket in failed for
    std::size_t open = 0;            ///< now
    std::size_t busy = 0;            ///< now: with a request
  };
  [[nodiscard]] Counters counters() const noexcept;

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace falproxy::serving
