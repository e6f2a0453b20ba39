// http_engine.hpp: cpp-httplib's Server, which listens and processes requests; the connections in
// between are the front's. Used inside connection/ only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "connection/application.hpp"
#include "connection/worker_exchange.hpp"

namespace falproxy::app {

/// httplib gives every connection a thread and keeps it there while the connection is idle. So this
/// takes the accepted sockets from it, and has it process one request at a time where one needs a
/// thread.
class HttpEngine {
 public:
  HttpEngine(Application& application, std::function<void(int)> adopt);
  ~HttpEngine();

  /// The port; none where the address cannot be had.
  [[nodiscard]] std::optional<std::uint16_t> bind(const std::string& host, std::uint16_t port);
  /// Accepts on the calling thread until stop_accepting(). Sockets arrive at `adopt`.
  void accept_connections();
  /// httplib's own stop() would also cut off the answers that are being written.
  void stop_accepting();
  /// Instead of it, where accept_connections() was never called.
  void close_listener();

  /// Serves one request on the calling thread. False: the connection ends with it.
  [[nodiscard]] bool serve(WorkerExchange& exchange);

 private:
  class Server;
  std::unique_ptr<Server> server_;
};

/// "HTTP/1.1 200 OK\r\n", with the standard reason phrase: some clients show their users nothing
/// else.
void append_status_line(std::string& out, int status);

}  // namespace falproxy::app
