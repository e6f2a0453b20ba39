// parking.hpp: the connections of one server on one reactor. A connection on which no request is
// running is parked in the epoll and has no stack; heads are gathered and checked there.
#pragma once

#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "serving/reactor.hpp"
#include "serving/server.hpp"

namespace falproxy::serving {

class Parking;

/// What all parkings of a server share.
struct House {
  Server::Options options;
  Application& application;
  std::function<bool(Request&)> serve;  ///< on a fiber; true: the connection may stay
  std::atomic<bool> draining{false};
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> not_accepted{0};
  std::atomic<std::size_t> open{0};
  std::atomic<std::size_t> busy{0};
  std::size_t parkings = 1;
};

/// Who is at the socket's other end: an IPv4 address, or the first half of an IPv6 address, since
/// whoever has one has the other half to choose from. 0: it is not known.
[[nodiscard]] std::uint64_t peer_of(int socket) noexcept;

class Connection final : public Watcher, private Alarm {
 public:
  enum class Place : std::uint8_t { idle, head, running, lingering, closed };
  using List = std::list<std::unique_ptr<Connection>>;

  Connection(Parking& parking, std::unique_ptr<Wire> wire) noexcept;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void ready(std::uint32_t epoll_events) override;

  // The fiber that serves a request.
  [[nodiscard]] Wire& wire() noexcept { return *wire_; }
  /// Until something happens to the socket. False: `deadline` came first.
  [[nodiscard]] bool wait(TimePoint deadline);
  /// Received, and not taken yet.
  [[nodiscard]] std::string_view pending() const noexcept {
    return std::string_view(in_).substr(taken_);
  }
  void take(std::size_t bytes) noexcept;
  /// Receives a little into pending(). As Wire::receive().
  [[nodiscard]] std::ptrdiff_t fetch();
  [[nodiscard]] Parking& parking() const noexcept { return parking_; }
  [[nodiscard]] std::uint64_t peer() const noexcept { return peer_; }

 private:
  friend class Parking;

  void ring() override;
  void go_on();
  void park();
  void begin(std::size_t head_size);
  void serve();
  void refuse(Request* request, const Error& error);
  [[nodiscard]] bool send_refusal(Request* request, const Error& error);
  void go_on_or_close(std::uint32_t epoll_events);
  void count_pending();
  void linger();
  void discard();
  [[nodiscard]] std::string cut(std::size_t size);
  void go_on_after(bool stays);

  Parking& parking_;
  const std::unique_ptr<Wire> wire_;
  const std::uint64_t peer_;
  Place place_ = Place::head;
  bool half_closed_ = false;  // the client sends no more
  bool readable_ = false;     // there may be more in the socket
  bool begun_ = false;        // part of a request is there
  bool waits_ = false;
  Reactor::Pass waiter_{};
  List::iterator self_;
  std::string in_;
  std::size_t taken_ = 0;
  std::size_t scanned_ = 0;  // of pending(), in search of the end of a head
  std::uint64_t skip_ = 0;   // bytes of a body that nobody wants
  std::size_t counted_ = 0;  // of in_, in the house's count
  std::unique_ptr<Request> request_;
};

class Parking final {
 public:
  Parking(Reactor& reactor, House& house);

  // Any thread.
  [[nodiscard]] bool has_idle() const noexcept { return idle_.load() > 0; }

  // The reactor's thread.
  /// Takes an accepted socket, or turns its client away.
  void adopt(int socket);
  /// False: none is idle here.
  bool let_go_longest_idle();
  /// Idle connections are closed, others after their answer.
  void drain();
  /// Asks every request that runs to end now. `cut_off`: and takes its client away.
  void stop_requests(bool cut_off);
  /// Closes all on which no request runs.
  void close_parked();

  [[nodiscard]] Reactor& reactor() const noexcept { return reactor_; }
  [[nodiscard]] House& house() const noexcept { return house_; }

 private:
  friend class Connection;
  using Place = Connection::Place;

  void expire(Connection& connection);
  void move(Connection& connection, Place to);
  void close(Connection& connection);
  void count(Connection& connection, std::size_t bytes);
  void make_room();
  [[nodiscard]] Connection::List& in(Place place) noexcept {
    return lists_[static_cast<std::size_t>(place)];
  }

  Reactor& reactor_;
  House& house_;
  // In each the one that came first is the first.
  std::array<Connection::List, 4> lists_;
  std::atomic<std::size_t> idle_{0};
  std::size_t parked_bytes_ = 0;
  std::vector<char> scratch_;
};

}  // namespace falproxy::serving
