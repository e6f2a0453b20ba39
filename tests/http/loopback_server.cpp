#include "loopback_server.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <tuple>
#include <utility>

namespace falproxy_test {

std::string Peer::read_some(std::size_t n) {
  std::string bytes(n, '\0');
  const int got = ssl_ != nullptr ? SSL_read(ssl_, bytes.data(), static_cast<int>(n))
                                  : static_cast<int>(::recv(socket_, bytes.data(), n, 0));
  bytes.resize(static_cast<std::size_t>(std::max(got, 0)));
  return bytes;
}

std::optional<std::string> Peer::read_request() {
  std::size_t wanted = std::string::npos;
  while (true) {
    if (wanted == std::string::npos) {
      if (const std::size_t end = unread_.find("\r\n\r\n"); end != std::string::npos) {
        wanted = end + 4;
        if (const std::size_t at = unread_.find("Content-Length: "); at < end) {
          std::size_t length = 0;
          std::from_chars(unread_.data() + at + 16, unread_.data() + end, length);
          wanted += length;
        }
      }
    }
    if (wanted <= unread_.size()) {
      std::string request = unread_.substr(0, wanted);
      unread_.erase(0, wanted);
      return request;
    }
    const std::string more = read_some();
    if (more.empty()) return std::nullopt;
    unread_ += more;
  }
}

bool Peer::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ssl_ != nullptr
                          ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                          : ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool Peer::answer(std::string_view body, std::string_view headers) {
  return write("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
               std::string(headers) + "\r\n" + std::string(body));
}

bool Peer::offer_session() {
  // OpenSSL goes on as if it had sent them.
  char byte = 0;
  const bool open = ::recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
  return open && SSL_new_session_ticket(ssl_) == 1 && SSL_do_handshake(ssl_) == 1;
}

void Peer::wait_for_end() {
  while (!read_some().empty()) {
  }
}

void Peer::reset() {
  const linger at_once{1, 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  if (ssl_ != nullptr) SSL_set_quiet_shutdown(ssl_, 1);
}

namespace {

// A socket that listens on 127.0.0.1, and its address.
std::pair<int, sockaddr_in> listen_on_loopback(int backlog) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  REQUIRE(::listen(listener, backlog) == 0);
  socklen_t size = sizeof(address);
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  return {listener, address};
}

}  // namespace

FullListener::FullListener() {
  sockaddr_in address{};
  std::tie(listener_, address) = listen_on_loopback(0);
  port_ = ntohs(address.sin_port);
  // Until one is not taken up at once.
  for (bool full = false; !full;) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    waiting_.push_back(socket);
    static_cast<void>(::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)));
    pollfd connected{socket, POLLOUT, 0};
    full = ::poll(&connected, 1, 100) == 0;
    REQUIRE(waiting_.size() < 100);
  }
}

FullListener::~FullListener() {
  for (const int socket : waiting_) ::close(socket);
  ::close(listener_);
}

LoopbackServer::LoopbackServer(Handler handler, SSL_CTX* tls)
    : handler_(std::move(handler)), tls_(tls) {
  sockaddr_in address{};
  std::tie(listener_, address) = listen_on_loopback(128);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

LoopbackServer::~LoopbackServer() {
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  ::close(listener_);
  {
    const std::lock_guard lock(mutex_);
    for (const int socket : open_) ::shutdown(socket, SHUT_RDWR);
  }
  for (std::thread& thread : threads_) thread.join();
}

std::string LoopbackServer::url(std::string_view target, std::string_view host) const {
  return (tls_ == nullptr ? "http://" : "https://") + std::string(host) + ":" +
         std::to_string(port_) + std::string(target);
}

void LoopbackServer::accept_all() {
  while (true) {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    const int number = connections_++;
    {
      const std::lock_guard lock(mutex_);
      open_.insert(socket);
    }
    threads_.emplace_back([this, socket, number] { serve(socket, number); });
  }
}

void LoopbackServer::serve(int socket, int number) {
  // OpenSSL's own socket writes raise it. Blocked for this thread only, so that the client's side
  // is put to the test.
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  SSL* ssl = nullptr;
  bool ready = true;
  if (tls_ != nullptr) {
    ssl = SSL_new(tls_);
    SSL_set_fd(ssl, socket);
    ready = SSL_accept(ssl) == 1;
  }
  if (ready) {
    Peer peer(socket, ssl);
    handler_(peer, number);
    if (ssl != nullptr) SSL_shutdown(ssl);
  }
  if (ssl != nullptr) SSL_free(ssl);
  ERR_clear_error();
  const std::lock_guard lock(mutex_);
  open_.erase(socket);
  ::close(socket);
}

}  // namespace falproxy_test
