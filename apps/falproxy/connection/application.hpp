// application.hpp: what the connections ask of the server behind them.
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "connection/exchange.hpp"
#include "connection/request_head.hpp"
#include "falproxy/http.hpp"
#include "falproxy/result.hpp"

namespace falproxy::app {

/// An answer that is ready at once: no body of the request is read for it, and no worker is woken.
struct Reply {
  int status = 200;
  std::string fields = {};  ///< header fields, each "Name: value\r\n", Content-Length included
  Piece body = {};          ///< shared where it is a fixed answer
};

/// A request that needs a worker.
class Task {
 public:
  virtual ~Task() = default;
  /// Whether it computes little for its time, so that a fiber does instead of a thread of its own.
  [[nodiscard]] virtual bool mostly_waits() const noexcept { return false; }
  /// On a worker's thread, or on a fiber.
  virtual Answer serve(Exchange& exchange) = 0;
};

class Application {
 public:
  virtual ~Application() = default;

  /// A head has arrived. On the connections' own thread: it must not block. Either a Task, or null
  /// and `reply` filled in (its strings arrive empty, with what they have of capacity).
  virtual std::unique_ptr<Task> receive(const RequestHead& head, Reply& reply) = 0;

  /// A request that cannot be received or served. `head` is null where it could not be read.
  /// Thread-safe.
  virtual void refuse(const RequestHead* head, const Error& error, Reply& reply) = 0;
};

}  // namespace falproxy::app
