// http_engine.hpp: cpp-httplib's Server, which listens and processes requests; the connections in
// between are the front's. Used inside connection/ only.
#pragma once

#include <httplib.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "connection/application.hpp"
#include "connection/worker_exchange.hpp"

namespace falproxy::app {

/// httplib gives every connection a thread and keeps it there while the connection is idle. So this
/// overrides what it does with an accepted socket, and calls process_request() once for each
/// request that needs a thread.
class HttpEngine final : public httplib::Server {
 public:
  HttpEngine(Application& application, std::function<void(int)> adopt);

  /// The port; none where the address cannot be had.
  [[nodiscard]] std::optional<std::uint16_t> bind(const std::string& host, std::uint16_t port);
  /// Accepts on the calling thread until stop_accepting(). Sockets arrive at `adopt`.
  void accept_connections() { listen_after_bind(); }
  /// httplib's own stop() would also cut off the answers that are being written.
  void stop_accepting();
  /// Instead of it, where accept_connections() was never called.
  void close_listener();

  /// Serves one request on the calling thread. False: the connection ends with it.
  [[nodiscard]] bool serve(WorkerExchange& exchange);

 private:
  bool process_and_close_socket(socket_t socket) override;

  Application& application_;
  std::function<void(int)> adopt_;
};

}  // namespace falproxy::app
