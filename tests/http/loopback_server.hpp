// loopback_server.hpp: a server that does exactly what a test tells it, well-behaved or not.
#pragma once

#include <openssl/ssl.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace falproxy_test {

/// One accepted connection, on the server's side. Used by the thread that handles it.
class Peer {
 public:
  Peer(int socket, SSL* ssl) : socket_(socket), ssl_(ssl) {}

  /// Head and body (by its Content-Length) of the next request; none where the client has closed.
  std::optional<std::string> read_request();
  /// At most `n` bytes, at least one; empty at the end.
  std::string read_some(std::size_t n = 65536);
  /// False where the client has closed.
  bool write(std::string_view bytes);
  bool answer(std::string_view body, std::string_view headers = "");
  /// Blocks until the client closes.
  void wait_for_end();
  /// Whether the client took up an earlier TLS session.
  [[nodiscard]] bool resumed() const { return ssl_ != nullptr && SSL_session_reused(ssl_) == 1; }
  /// Over TLS 1.3: another session ticket. False where the client has closed.
  bool offer_session();
  /// The connection ends with a reset instead of in order.
  void reset();

 private:
  int socket_;
  SSL* ssl_;
  std::string unread_;
};

class LoopbackServer {
 public:
  /// Called on a thread of its own for each connection, the number of which (from 0) is given; the
  /// connection is closed when it returns.
  using Handler = std::function<void(Peer&, int)>;

  explicit LoopbackServer(Handler handler, SSL_CTX* tls = nullptr);
  /// Ends all connections.
  ~LoopbackServer();
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] std::string url(std::string_view target = "/",
                                std::string_view host = "127.0.0.1") const;
  [[nodiscard]] int connections() const { return connections_; }

 private:
  void accept_all();
  void serve(int socket, int number);

  Handler handler_;
  SSL_CTX* tls_;
  int listener_;
  int port_ = 0;
  std::atomic<int> connections_{0};
  std::mutex mutex_;
  std::set<int> open_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

/// Listens, but connections to it stay half open: its queue is full and nobody accepts.
class FullListener {
 public:
  FullListener();
  ~FullListener();
  FullListener(const FullListener&) = delete;
  FullListener& operator=(const FullListener&) = delete;
  [[nodiscard]] std::string url() const {
    return "http://127.0.0.1:" + std::to_string(port_) + "/";
  }

 private:
  int listener_;
  int port_ = 0;
  std::vector<int> waiting_;
};

}  // namespace falproxy_test
