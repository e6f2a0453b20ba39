// front.hpp: the server's sockets: who may connect, how slow they may be, where they wait, and when
// their requests end.
//
// One thread accepts, one thread (the loop) holds every connection in one epoll: it reads heads,
// answers what is ready, throws away what nobody wants, and notices clients that leave. Other
// requests get a fiber where they mostly wait, else a worker (docs/decisions/0014).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "connection/application.hpp"
#include "connection/pace.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/result.hpp"
#include "fibers.hpp"
#include "workers.hpp"

namespace falproxy::app {

class Front {
 public:
  struct Options {
    std::string host = "0.0.0.0";
    std::uint16_t port = 0;               ///< 0: any
    std::size_t max_connections = 16384;  ///< more are told 503 and closed
    Milliseconds head_timeout{
        10'000};  ///< for a head as a whole, and for the first byte of a connection
    Milliseconds idle_timeout{75'000};              ///< between requests
    Milliseconds body_grace = Pace::default_grace;  ///< of a body's and an answer's Pace
    Milliseconds linger_timeout{5'000};  ///< for a client that still sends after its answer
    std::size_t max_skipped_body =
        1u << 20;  ///< an unread body up to here is thrown away; past it the connection ends
  };

  /// Listens already, but accepts nothing until start(). Errors: invalid_settings, where the
  /// address cannot be had.
  [[nodiscard]] static Result<std::unique_ptr<Front>> create(Options options,
                                                             Application& application,
                                                             Workers& workers, Fibers& fibers);
  ~Front();
  Front(const Front&) = delete;
  Front& operator=(const Front&) = delete;

  void start();
  [[nodiscard]] std::uint16_t port() const noexcept;

  // Thread-safe.
  /// Accepts no more; idle connections are closed, busy ones after their answer.
  void drain();
  /// Asks every request that runs to end now.
  void stop_requests();
  struct Counters {
    std::uint64_t accepted = 0;
    std::size_t open = 0;  ///< now
    std::size_t busy = 0;  ///< now: with a worker or a fiber
  };
  [[nodiscard]] Counters counters() const noexcept;

 private:
  struct Impl;
  explicit Front(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace falproxy::app
