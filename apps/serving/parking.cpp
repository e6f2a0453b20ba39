#include "serving/parking.hpp"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "serving/request.hpp"

namespace falproxy::serving {
namespace {

constexpr std::size_t scratch_bytes = 16u << 10;
// So many clients that are turned away are told so at once; others are only cut off.
constexpr std::size_t most_turned_away = 256;
// Of one connection, before the others have their turn.
constexpr int reads_a_turn = 16;

}  // namespace

std::uint64_t peer_of(int socket) noexcept {
  sockaddr_in6 address{};
  socklen_t length = sizeof address;
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  if (address.sin6_family == AF_INET) {
    sockaddr_in ipv4{};
    std::memcpy(&ipv4, &address, sizeof ipv4);
    return ipv4.sin_addr.s_addr;
  }
  if (address.sin6_family != AF_INET6) return 0;
  std::uint32_t last = 0;
  std::uint64_t first = 0;
  std::memcpy(&last, address.sin6_addr.s6_addr + 12, sizeof last);
  std::memcpy(&first, address.sin6_addr.s6_addr, sizeof first);
  return IN6_IS_ADDR_V4MAPPED(&address.sin6_addr) ? last : first;
}

Wire::~Wire() { ::close(socket_); }

std::ptrdiff_t Wire::receive(std::span<char> to) {
  while (true) {
    const ssize_t n = ::recv(socket_, to.data(), to.size(), MSG_DONTWAIT);
    if (n >= 0) return n;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return nothing_now;
    if (errno != EINTR) return broken;
  }
}

std::ptrdiff_t Wire::send(std::span<const iovec> parts) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();
  while (true) {
    const ssize_t n = ::sendmsg(socket_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) return n;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    if (errno != EINTR) return broken;
  }
}

void Wire::finish() { ::shutdown(socket_, SHUT_WR); }

Connection::Connection(Parking& parking, std::unique_ptr<Wire> wire) noexcept
    : parking_(parking), wire_(std::move(wire)), peer_(peer_of(wire_->socket())) {}

bool Connection::wait(TimePoint deadline) {
  waiter_ = parking_.reactor_.pass();
  waits_ = true;
  const bool happened = parking_.reactor_.park(deadline);
  waits_ = false;
  return happened;
}

// Once all that came is taken, its memory is freed: a running request keeps no used-up buffer.
void Connection::take(std::size_t bytes) noexcept {
  taken_ += bytes;
  if (taken_ < in_.size()) return;
  std::string().swap(in_);
  taken_ = 0;
}

std::ptrdiff_t Connection::fetch() {
  in_.erase(0, std::exchange(taken_, 0));
  const std::ptrdiff_t n = wire_->receive(parking_.scratch_);
  if (n > 0) in_.append(parking_.scratch_.data(), static_cast<std::size_t>(n));
  return n;
}

void Connection::ready(std::uint32_t epoll_events) {
  if (safely([&] { go_on_or_close(epoll_events); })) return;
  if (place_ != Place::running && place_ != Place::closed) parking_.close(*this);
}

void Connection::go_on_or_close(std::uint32_t epoll_events) {
  if ((epoll_events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) half_closed_ = true;
  readable_ = readable_ || epoll_events != 0;
  switch (place_) {
    case Place::idle:
    case Place::head:
      return go_on();
    case Place::lingering:
      return discard();
    case Place::running:
      if (half_closed_ && request_ != nullptr) request_->client_has_left();
      if (waits_) parking_.reactor_.wake(waiter_);
      return;
    case Place::closed:
      return;  // in this round
  }
}

void Connection::ring() {
  if (!safely([&] { parking_.expire(*this); }) && place_ != Place::closed) parking_.close(*this);
}

// Takes in what has arrived, up to one request: then others have their turn.
void Connection::go_on() {
  for (int reads = 0; reads < reads_a_turn; ++reads) {
    const std::size_t skipped =
        static_cast<std::size_t>(std::min<std::uint64_t>(skip_, pending().size()));
    take(skipped);
    skip_ -= skipped;
    while (skip_ == 0 && scanned_ <= 1 && pending().starts_with("\r\n")) {  // RFC 9112, 2.2
      take(2);
      scanned_ = 0;
    }
    if (skip_ == 0 && !pending().empty()) {
      const std::size_t end = find_head_end(pending(), scanned_);
      if (end > 0 || pending().size() > HeadLimits::max_bytes) return begin(end);
    }
    if (!readable_) return park();
    const std::ptrdiff_t n = fetch();
    if (n == 0 || n == Wire::broken) return parking_.close(*this);
    readable_ = n == static_cast<std::ptrdiff_t>(scratch_bytes) || (n > 0 && half_closed_);
  }
  parking_.reactor_.call_again(*this);
  park();
}

void Connection::park() {
  const bool begun = skip_ > 0 || !(pending().empty() || pending() == "\r");
  // Blank lines do not begin the time anew.
  if (place_ == Place::running || begun != begun_)
    parking_.move(*this, begun ? Place::head : Place::idle);
  begun_ = begun;
  count_pending();
  parking_.make_room();  // which may take this one
}

// What is not pending any more is let go.
void Connection::count_pending() {
  if (pending().size() < in_.capacity() / 4) {
    std::string(pending()).swap(in_);  // a short one that is moved in would keep the capacity
    taken_ = 0;
  }
  parking_.count(*this, in_.capacity() > sizeof(std::string) ? in_.capacity() : 0);
}

std::string Connection::cut(std::size_t size) {
  scanned_ = 0;
  if (taken_ == 0 && size == in_.size()) return std::exchange(in_, {});
  std::string text(pending().substr(0, size));
  take(size);
  return text;
}

void Connection::begin(std::size_t head_size) {
  if (head_size == 0 || head_size > HeadLimits::max_bytes) {
    return refuse(nullptr, {.kind = ErrorKind::headers_too_large,
                            .message = "The header fields are longer than 32 KiB altogether."});
  }
  request_ = std::make_unique<Request>(*this, cut(head_size));
  if (const Result<Done> parsed = request_->parse(); !parsed)
    return refuse(nullptr, parsed.error());
  // What else has come, not more than what one read brings, is the running request's own.
  count_pending();
  parking_.count(*this, 0);
  parking_.move(*this, Place::running);
  parking_.house_.busy.fetch_add(1);
  bool runs = false;
  safely([&] { runs = parking_.reactor_.spawn([this] { serve(); }); });
  if (runs) return;
  parking_.house_.busy.fetch_sub(1);
  const auto turn_away = [this] {
    refuse(request_.get(),
           {.kind = ErrorKind::overloaded,
            .message = "The server has no room for this request; try again later."});
  };
  if (!safely(turn_away) && place_ != Place::closed) parking_.close(*this);
}

// On a fiber.
void Connection::serve() {
  parking_.reactor_.local() = request_.get();
  if (half_closed_) request_->client_has_left();
  bool stays = false;
  // httplib lets through what is thrown while the answer is written.
  safely([&] { stays = parking_.house_.serve(*request_); });
  request_->finish();
  skip_ = request_->unread();
  request_.reset();
  parking_.house_.busy.fetch_sub(1);
  if (!safely([&] { go_on_after(stays); }) && place_ != Place::closed) parking_.close(*this);
}

void Connection::go_on_after(bool stays) {
  if (!stays) return linger();
  if (!pending().empty() || readable_) parking_.reactor_.call_again(*this);
  park();
}

// What comes after it is never read: where it begins cannot be told.
void Connection::refuse(Request* request, const Error& error) {
  const bool sent = send_refusal(request, error);
  request_.reset();
  if (!sent) return parking_.close(*this);
  linger();
}

bool Connection::send_refusal(Request* request, const Error& error) {
  const Response response = parking_.house_.application.refuse(request, error);
  std::string text;
  append_status_line(text, response.status);
  append_date(text, std::time(nullptr));
  append_field(text, "Content-Type", response.content_type);
  append_field(text, "Content-Length", std::to_string(response.body.size()));
  if (request != nullptr) text.append(request->fields);
  text.append(response.fields).append("Connection: close\r\n\r\n");
  if (request == nullptr || request->head().method != "HEAD") text.append(response.body.str());
  const iovec part{text.data(), text.size()};
  return wire_->send({&part, 1}) == static_cast<std::ptrdiff_t>(text.size());
}

// The answer is out and the connection is to end. Closing it while the client sends would take the
// answer from it.
void Connection::linger() {
  wire_->finish();
  std::string().swap(in_);
  taken_ = 0;
  parking_.count(*this, 0);
  parking_.move(*this, Place::lingering);
  readable_ = true;
  discard();
}

void Connection::discard() {
  for (int i = 0; readable_ && i < reads_a_turn; ++i) {
    const std::ptrdiff_t n = wire_->receive(parking_.scratch_);
    if (n == 0 || n == Wire::broken) return parking_.close(*this);
    readable_ = n > 0;
  }
  if (readable_) parking_.reactor_.call_again(*this);
}

// ---- Parking

Parking::Parking(Reactor& reactor, House& house)
    : reactor_(reactor), house_(house), scratch_(scratch_bytes) {}

void Parking::adopt(int socket) {
  std::unique_ptr<Wire> wire;
  try {
    wire = house_.options.wire(socket);
  } catch (...) {
    ::close(socket);
    throw;
  }
  auto made = std::make_unique<Connection>(*this, std::move(wire));
  Connection& connection = *made;
  if (house_.draining.load()) return;
  const bool full = house_.open.load() >= house_.options.max_connections && !let_go_longest_idle();
  if (full && in(Place::lingering).size() >= most_turned_away) return;
  connection.self_ = in(Place::head).insert(in(Place::head).end(), std::move(made));
  house_.open.fetch_add(1);
  if (!safely([&] { move(connection, Place::head); })) return close(connection);
  // Edge-triggered, once for all: nothing needs to be changed when a request begins and ends.
  if (!reactor_.watch(socket, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, connection)) {
    house_.not_accepted.fetch_add(1);
    return close(connection);
  }
  if (full) {
    connection.refuse(
        nullptr, {.kind = ErrorKind::overloaded, .message = "There are too many connections."});
  }
}

bool Parking::let_go_longest_idle() {
  if (in(Place::idle).empty()) return false;
  close(*in(Place::idle).front());
  return true;
}

void Parking::drain() {
  while (let_go_longest_idle()) {
  }
  Connection::List& heads = in(Place::head);
  for (auto next = heads.begin(); next != heads.end();) {
    Connection& connection = **next++;
    if (!connection.begun_) close(connection);
  }
}

void Parking::stop_requests(bool cut_off) {
  for (const std::unique_ptr<Connection>& connection : in(Place::running)) {
    if (cut_off) ::shutdown(connection->wire().socket(), SHUT_RDWR);
    if (connection->request_ != nullptr) connection->request_->request_stop();
  }
}

void Parking::close_parked() {
  for (const Place place : {Place::idle, Place::head, Place::lingering}) {
    while (!in(place).empty()) close(*in(place).front());
  }
}

void Parking::move(Connection& connection, Place to) {
  const Milliseconds limit = to == Place::idle   ? house_.options.idle_timeout
                             : to == Place::head ? house_.options.head_timeout
                                                 : house_.options.linger_timeout;
  in(to).splice(in(to).end(), in(connection.place_), connection.self_);
  if (connection.place_ == Place::idle) idle_.fetch_sub(1);
  if (to == Place::idle) idle_.fetch_add(1);
  connection.place_ = to;
  if (to == Place::running) return reactor_.cancel(connection);
  reactor_.set(connection, steady_now() + limit);
}

void Parking::count(Connection& connection, std::size_t bytes) {
  parked_bytes_ += bytes - std::exchange(connection.counted_, bytes);
}

// How much all clients together may leave lying is bounded. Those go that leave something.
void Parking::make_room() {
  const std::size_t most = house_.options.max_parked_bytes / house_.parkings;
  Connection::List& heads = in(Place::head);
  for (auto next = heads.begin(); parked_bytes_ > most && next != heads.end();) {
    Connection& connection = **next++;
    if (connection.counted_ > 0) expire(connection);
  }
}

void Parking::expire(Connection& connection) {
  if (connection.place_ != Place::head || !connection.begun_ || connection.skip_ > 0)
    return close(connection);
  connection.refuse(nullptr, {.kind = ErrorKind::request_too_slow,
                              .message = "The request's head did not arrive in time."});
}

void Parking::close(Connection& connection) {
  count(connection, 0);
  reactor_.cancel(connection);
  reactor_.unwatch(connection.wire().socket());
  Connection::List& list = in(connection.place_);
  std::unique_ptr<Connection> gone = std::move(*connection.self_);
  list.erase(connection.self_);
  if (connection.place_ == Place::idle) idle_.fetch_sub(1);
  connection.place_ = Place::closed;
  reactor_.bury(std::move(gone));
  house_.open.fetch_sub(1);
}

}  // namespace falproxy::serving
