// http_server.hpp: HTTP/1.1 over TCP and TLS on an event loop. One thread holds thousands of
// connections, and every way in which a server can misbehave on the wire is a function here.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "event_loop.hpp"
#include "falproxy/result.hpp"
#include "http_message.hpp"

struct ssl_ctx_st;

namespace falsim {

/// One request that waits for its answer. A stale one is harmless: whatever is done to it does
/// nothing.
using ExchangeId = std::uint64_t;

class HttpServer {
 public:
  enum class Admission {
    read,  ///< the body is read; `100 Continue` is sent where the client waits for it
    read_without_notice,  ///< the body is read; a client that waits for `100 Continue` waits in
                          ///< vain
    reset,                ///< the connection is reset before the body is read
    close,                ///< the connection is closed before the body is read
  };
  /// Called on the loop's thread.
  class Handler {
   public:
    virtual ~Handler() = default;
    /// The head has been read, the body has not.
    virtual Admission on_head(const Request& head) = 0;
    /// The whole request. It is answered now or later, by the functions below.
    virtual void on_request(ExchangeId exchange, Request request) = 0;
    /// The client left before the answer was whole.
    virtual void on_gone(ExchangeId exchange) = 0;
  };
  struct Counts {
    std::uint64_t accepted = 0;
    std::uint64_t requests = 0;
    std::uint64_t broken_requests = 0;
    std::size_t open = 0;
  };

  HttpServer(EventLoop& loop, Handler& handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Listens on one more address; requests carry the number of the listener, from 0. Returns the
  /// port. `tls`: null for plain http; it must outlive the server.
  [[nodiscard]] falproxy::Result<std::uint16_t> listen(const std::string& host, std::uint16_t port,
                                                       ssl_ctx_st* tls);

  void reply(ExchangeId exchange, Reply reply);
  /// An answer in chunks: the head now, then send() as often as there is something, then end().
  void begin(ExchangeId exchange, const Reply& head);
  void send(ExchangeId exchange, std::string_view bytes);
  void end(ExchangeId exchange);
  /// Ends the connection without another byte; `reset`: with RST in place of FIN.
  void drop(ExchangeId exchange, bool reset);
  [[nodiscard]] bool alive(ExchangeId exchange) const noexcept {
    return exchanges_.contains(exchange);
  }

  [[nodiscard]] const Counts& counts() const noexcept { return counts_; }

 private:
  class Connection;
  class Listener;
  void adopt(int descriptor, std::size_t listener, ssl_ctx_st* tls);
  void release(Connection& connection);
  [[nodiscard]] Connection* find(ExchangeId exchange) const noexcept;

  static constexpr std::size_t read_size = 64u << 10;

  EventLoop& loop_;
  Handler& handler_;
  std::vector<char> read_buffer_ = std::vector<char>(read_size);
  Counts counts_;
  ExchangeId next_exchange_ = 1;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
  std::unordered_map<ExchangeId, Connection*> exchanges_;
};

}  // namespace falsim
