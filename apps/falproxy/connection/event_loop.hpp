// event_loop.hpp: one thread that holds every connection in one epoll: it reads heads, answers what
// needs no thread, hands over what needs one, throws away what nobody wants, and notices clients
// that leave and deadlines that pass.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "connection/application.hpp"
#include "connection/connection.hpp"
#include "connection/front.hpp"
#include "connection/http_engine.hpp"
#include "connection/request_head.hpp"
#include "fibers.hpp"
#include "workers.hpp"

namespace falproxy::app {

class EventLoop {
 public:
  /// `engine` is used once a request needs a thread; it may be constructed later than this.
  EventLoop(const Front::Options& options, Application& application, Workers& workers,
            Fibers& fibers, HttpEngine& engine);
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  /// False: the system gives no epoll; errno says why.
  [[nodiscard]] bool open();
  /// Runs on the calling thread until finish().
  void run();

  // Thread-safe.
  /// Takes an accepted socket, or turns its client away.
  void adopt(int fd);
  /// Idle connections are closed, busy ones after their answer.
  void drain();
  /// Asks every request that runs to end now.
  void stop_requests();
  /// Cuts off whom a worker is still busy with, waits for the workers, and has run() return.
  void finish();
  [[nodiscard]] Front::Counters counters() const noexcept;

 private:
  using State = Connection::State;
  using Wish = Connection::Wish;
  enum class Next {
    read_on,
    leave,  ///< it is closed, lingers, or waits until the client takes what it was sent
    worker_has_it,
  };

  // Any thread.
  void wake() const noexcept;
  void turn_away(int fd);

  // A worker.
  void serve(Connection& c);
  void rest(Connection& c);
  void give_back(Connection& c, Wish wish);

  // The loop.
  void take_newcomers();
  void take_returned();
  void happened(Connection& c, std::uint32_t events);
  void client_left(Connection& c);
  static void stop_request(Connection& c);
  void read(Connection& c, bool at_end);
  Next consume(Connection& c, std::string_view bytes);
  Next receive(Connection& c, std::string_view text, std::string_view rest);
  bool dispatch(Connection& c, std::string_view text, std::string_view rest,
                std::unique_ptr<Task> task);
  void clear_reply();
  Next refuse_head(Connection& c, std::string_view rest, const Error& error);
  Next answer(Connection& c, std::string_view rest, bool stays);
  void linger(Connection& c);
  void discard(Connection& c);
  void close(Connection& c);
  void sweep(TimePoint now);
  void expire(Connection& c);

  const Front::Options& options_;
  Application& application_;
  Workers& workers_;
  Fibers& fibers_;
  HttpEngine& engine_;
  int epoll_fd_ = -1;
  int wake_fd_ = -1;
  std::atomic<bool> draining_{false};
  std::atomic<bool> finished_{false};
  std::atomic<bool> stop_all_{false};
  std::atomic<bool> cut_off_{false};
  std::atomic<std::uint64_t> accepted_{0};
  std::atomic<std::size_t> open_{0};
  std::atomic<std::size_t> busy_{0};

  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> newcomers_;
  std::vector<Connection*> returned_;

  // The loop's.
  std::vector<std::unique_ptr<Connection>> connections_;
  std::array<char, 64u << 10> scratch_;
  RequestHead head_;
  Reply reply_;
  std::string out_;
};

}  // namespace falproxy::app
