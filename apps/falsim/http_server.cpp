#include "http_server.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <limits>
#include <utility>

namespace falsim {
namespace {

constexpr std::size_t max_pipelined_bytes = 1u << 20;
constexpr std::size_t small_body = 16u << 10;
constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

struct FreeSsl {
  void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
};

void close_with_reset(int descriptor) {
  const linger now{1, 0};
  ::setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  ::close(descriptor);
}

}  // namespace

class HttpServer::Connection final : public EventLoop::Watcher {
 public:
  Connection(HttpServer& server, int descriptor, std::size_t listener, ssl_ctx_st* tls)
      : server_(server), descriptor_(descriptor), listener_(listener) {
    if (tls != nullptr) {
      ssl_.reset(SSL_new(tls));
      SSL_set_fd(ssl_.get(), descriptor);
      SSL_set_accept_state(ssl_.get());
    }
  }
  ~Connection() override {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
  [[nodiscard]] ExchangeId exchange() const noexcept { return exchange_; }
  [[nodiscard]] std::uint32_t wanted() const noexcept {
    return (reading_ ? EPOLLIN | EPOLLRDHUP : 0u) | (writing_ ? EPOLLOUT : 0u);
  }

  void on_ready(std::uint32_t events) override {
    if (descriptor_ < 0) return;
    const bool read =
        (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0 || wants_write_to_read_;
    if ((events & EPOLLOUT) != 0) flush();
    if (descriptor_ >= 0 && read) read_all();
  }

  void reply(Reply reply) {
    const std::size_t length = reply.body == nullptr ? 0 : reply.body->size();
    finish_with_ = reply.close || !keep_alive_ ? Finish::close : Finish::next;
    out_ += head_text(reply, length, finish_with_ == Finish::next);
    pace_ = reply.pace;
    allowance_ = pace_.bytes == 0 ? no_limit : pace_.bytes;
    if (reply.body != nullptr && !reply.without_body) {
      const std::size_t end = std::min(length, reply.cut_after.value_or(length));
      if (end <= small_body) {
        out_.append(*reply.body, 0, end);
      } else {
        large_ = std::move(reply.body);
        large_sent_ = 0;
        large_end_ = end;
      }
      if (end < length) finish_with_ = Finish::reset;
    }
    whole_ = true;
    flush();
  }

  void begin(const Reply& head) {
    finish_with_ = keep_alive_ ? Finish::next : Finish::close;
    out_ += head_text(head, std::nullopt, keep_alive_);
    pace_ = head.pace;
    allowance_ = pace_.bytes == 0 ? no_limit : pace_.bytes;
    flush();
  }

  void send(std::string_view bytes) {
    if (bytes.empty()) return;
    std::array<char, 24> size{};
    const auto end = std::to_chars(size.data(), size.data() + size.size(), bytes.size(), 16).ptr;
    out_.append(size.data(), end).append("\r\n").append(bytes).append("\r\n");
    flush();
  }

  void end() {
    out_ += "0\r\n\r\n";
    whole_ = true;
    flush();
  }

  void drop(bool reset) { shut(reset); }

 private:
  enum class Finish { next, close, reset };

  void read_all() {
    std::vector<char>& buffer = server_.read_buffer_;
    while (descriptor_ >= 0) {
      const std::ptrdiff_t count = read_some(buffer.data(), buffer.size());
      if (count < 0) break;  // nothing more now
      if (count == 0) return shut(false);
      in_.append(buffer.data(), static_cast<std::size_t>(count));
      process();
      if (descriptor_ < 0) return;
      if (exchange_ != 0 && in_.size() > max_pipelined_bytes) {
        reading_ = false;
        break;
      }
      if (ssl_ == nullptr && static_cast<std::size_t>(count) < buffer.size()) break;
    }
    update();
  }

  /// Bytes read; 0: the end; -1: nothing for now.
  std::ptrdiff_t read_some(char* data, std::size_t size) {
    if (ssl_ == nullptr) {
      const ssize_t count = ::recv(descriptor_, data, size, 0);
      if (count > 0) return count;
      return count < 0 && (errno == EAGAIN || errno == EINTR) ? -1 : 0;
    }
    ERR_clear_error();
    const int count = SSL_read(ssl_.get(), data, static_cast<int>(size));
    if (count > 0) return count;
    const int error = SSL_get_error(ssl_.get(), count);
    wants_write_to_read_ = error == SSL_ERROR_WANT_WRITE;
    if (wants_write_to_read_) writing_ = true;
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? -1 : 0;
  }

  /// Bytes written; -1: nothing for now; -2: broken.
  std::ptrdiff_t write_some(const char* data, std::size_t size) {
    if (ssl_ == nullptr) {
      const ssize_t count = ::send(descriptor_, data, size, MSG_NOSIGNAL);
      if (count >= 0) return count;
      return errno == EAGAIN || errno == EINTR ? -1 : -2;
    }
    ERR_clear_error();
    const int count =
        SSL_write(ssl_.get(), data, static_cast<int>(std::min(size, std::size_t{1} << 20)));
    if (count > 0) return count;
    const int error = SSL_get_error(ssl_.get(), count);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? -1 : -2;
  }

  /// Hands out requests until one waits for its answer or the bytes run out.
  void process() {
    if (processing_) return;
    processing_ = true;
    while (descriptor_ >= 0 && exchange_ == 0 && !in_.empty()) {
      const RequestParser::Progress progress = parser_.advance(in_);
      if (progress == RequestParser::Progress::need_more) break;
      if (progress == RequestParser::Progress::broken) {
        ++server_.counts_.broken_requests;
        keep_alive_ = false;
        start_exchange();
        reply(Reply{.status = 400,
                    .headers = {{"content-type", "text/plain"}},
                    .body = share("not HTTP/1.1\n"),
                    .close = true});
        break;
      }
      if (progress == RequestParser::Progress::head) {
        admit();
        if (descriptor_ < 0) break;
        // A request without a body is complete with its head; the parser says so when asked again.
        if (parser_.advance(in_) != RequestParser::Progress::complete) continue;
      }
      hand_out();
    }
    processing_ = false;
  }

  void admit() {
    switch (server_.handler_.on_head(parser_.request())) {
      case Admission::reset:
        return shut(true);
      case Admission::close:
        return shut(false);
      case Admission::read_without_notice:
        return;
      case Admission::read:
        if (parser_.request().expects_continue) {
          out_ += "HTTP/1.1 100 Continue\r\n\r\n";
          allowance_ = no_limit;
          flush();
        }
    }
  }

  void start_exchange() {
    exchange_ = server_.next_exchange_++;
    whole_ = false;
    server_.exchanges_.emplace(exchange_, this);
  }

  void hand_out() {
    Request request = parser_.take();
    request.listener = listener_;
    keep_alive_ = request.keep_alive;
    start_exchange();
    ++server_.counts_.requests;
    server_.handler_.on_request(exchange_, std::move(request));
  }

  void flush() {
    while (descriptor_ >= 0) {
      const bool from_large = out_.empty() && large_ != nullptr;
      const char* data = from_large ? large_->data() + large_sent_ : out_.data() + out_sent_;
      const std::size_t left = from_large ? large_end_ - large_sent_ : out_.size() - out_sent_;
      if (left == 0) break;
      if (allowance_ == 0) return wait_for_allowance();
      const std::ptrdiff_t count = write_some(data, std::min(left, allowance_));
      if (count == -2) return shut(false);
      if (count < 0) {
        writing_ = true;
        return update();
      }
      sent(from_large, static_cast<std::size_t>(count));
    }
    if (descriptor_ < 0) return;
    writing_ = false;
    if (whole_ && exchange_ != 0) return finish();
    update();
  }

  void sent(bool from_large, std::size_t count) {
    if (allowance_ != no_limit) allowance_ -= count;
    if (from_large) {
      large_sent_ += count;
      if (large_sent_ == large_end_) large_ = nullptr;
    } else {
      out_sent_ += count;
      if (out_sent_ == out_.size()) {
        out_.clear();
        out_sent_ = 0;
        if (out_.capacity() > small_body) out_.shrink_to_fit();
      }
    }
  }

  void wait_for_allowance() {
    writing_ = false;
    update();
    server_.loop_.at(server_.loop_.now() + pace_.tick, [&server = server_, exchange = exchange_] {
      if (Connection* connection = server.find(exchange)) {
        connection->allowance_ = connection->pace_.bytes;
        connection->flush();
      }
    });
  }

  void finish() {
    server_.exchanges_.erase(exchange_);
    exchange_ = 0;
    whole_ = false;
    allowance_ = no_limit;
    if (finish_with_ != Finish::next) return shut(finish_with_ == Finish::reset);
    reading_ = true;
    if (in_.empty()) {
      if (in_.capacity() > small_body) in_.shrink_to_fit();
      return update();
    }
    process();
    if (descriptor_ >= 0) update();
  }

  void shut(bool reset) {
    if (descriptor_ < 0) return;
    server_.loop_.remove(descriptor_);
    if (ssl_ != nullptr && !reset && SSL_is_init_finished(ssl_.get()) == 1)
      SSL_shutdown(ssl_.get());
    ERR_clear_error();
    if (reset) {
      close_with_reset(descriptor_);
    } else {
      ::close(descriptor_);
    }
    descriptor_ = -1;
    if (const ExchangeId left = std::exchange(exchange_, 0); left != 0) {
      server_.exchanges_.erase(left);
      server_.handler_.on_gone(left);
    }
    server_.release(*this);
  }

  void update() {
    if (descriptor_ < 0) return;
    const std::uint32_t now = wanted();
    if (now == watched_) return;
    watched_ = now;
    server_.loop_.change(descriptor_, now, *this);
  }

  HttpServer& server_;
  int descriptor_;
  std::size_t listener_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  RequestParser parser_;
  std::string in_;
  std::string out_;  // goes before large_
  std::size_t out_sent_ = 0;
  SharedText large_;
  std::size_t large_sent_ = 0;
  std::size_t large_end_ = 0;
  ExchangeId exchange_ = 0;  // 0: between requests
  std::size_t allowance_ = no_limit;
  Pace pace_;
  std::uint32_t watched_ = EPOLLIN | EPOLLRDHUP;
  Finish finish_with_ = Finish::next;
  bool keep_alive_ = true;
  bool whole_ = false;  // the answer of this exchange is all in out_ and large_
  bool reading_ = true;
  bool writing_ = false;
  bool wants_write_to_read_ = false;
  bool processing_ = false;
};

class HttpServer::Listener final : public EventLoop::Watcher {
 public:
  Listener(HttpServer& server, int descriptor, std::size_t number, ssl_ctx_st* tls)
      : server_(server), descriptor_(descriptor), number_(number), tls_(tls) {}
  ~Listener() override {
    server_.loop_.remove(descriptor_);
    ::close(descriptor_);
  }
  void on_ready(std::uint32_t /*events*/) override {
    for (int i = 0; i < 256; ++i) {
      const int accepted = ::accept4(descriptor_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (accepted < 0) return;
      server_.adopt(accepted, number_, tls_);
    }
  }

 private:
  HttpServer& server_;
  int descriptor_;
  std::size_t number_;
  ssl_ctx_st* tls_;
};

HttpServer::HttpServer(EventLoop& loop, Handler& handler) : loop_(loop), handler_(handler) {}
HttpServer::~HttpServer() = default;

falproxy::Result<std::uint16_t> HttpServer::listen(const std::string& host, std::uint16_t port,
                                                   ssl_ctx_st* tls) {
  const auto fail = [&](const char* what) {
    return falproxy::Error{falproxy::ErrorKind::internal, "falsim cannot listen on " + host + ":" +
                                                              std::to_string(port) + ": " + what};
  };
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0)
    return fail("not an address");
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> address(found, ::freeaddrinfo);
  const int descriptor = ::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return fail("no descriptor left");
  const int yes = 1;
  ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (::bind(descriptor, found->ai_addr, found->ai_addrlen) != 0 ||
      ::listen(descriptor, 4096) != 0 ||
      ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
    const bool taken = errno == EADDRINUSE;
    ::close(descriptor);
    return fail(taken ? "the port is taken" : "not allowed");
  }
  listeners_.push_back(std::make_unique<Listener>(*this, descriptor, listeners_.size(), tls));
  loop_.add(descriptor, EPOLLIN, *listeners_.back());
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&bound);
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&bound);
  return ntohs(bound.ss_family == AF_INET6 ? v6->sin6_port : v4->sin_port);
}

void HttpServer::adopt(int descriptor, std::size_t listener, ssl_ctx_st* tls) {
  const int yes = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  auto connection = std::make_unique<Connection>(*this, descriptor, listener, tls);
  if (!loop_.add(descriptor, connection->wanted(), *connection)) return;
  Connection* key = connection.get();
  connections_.emplace(key, std::move(connection));
  ++counts_.accepted;
  counts_.open = connections_.size();
}

void HttpServer::release(Connection& connection) {
  // Events of this round may still name the connection.
  loop_.later([this, key = &connection] {
    connections_.erase(key);
    counts_.open = connections_.size();
  });
}

HttpServer::Connection* HttpServer::find(ExchangeId exchange) const noexcept {
  const auto found = exchanges_.find(exchange);
  return found == exchanges_.end() ? nullptr : found->second;
}

void HttpServer::reply(ExchangeId exchange, Reply reply) {
  if (Connection* connection = find(exchange)) connection->reply(std::move(reply));
}
void HttpServer::begin(ExchangeId exchange, const Reply& head) {
  if (Connection* connection = find(exchange)) connection->begin(head);
}
void HttpServer::send(ExchangeId exchange, std::string_view bytes) {
  if (Connection* connection = find(exchange)) connection->send(bytes);
}
void HttpServer::end(ExchangeId exchange) {
  if (Connection* connection = find(exchange)) connection->end();
}
void HttpServer::drop(ExchangeId exchange, bool reset) {
  if (Connection* connection = find(exchange)) connection->drop(reset);
}

}  // namespace falsim
