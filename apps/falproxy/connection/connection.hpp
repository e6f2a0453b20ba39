// connection.hpp: one client's connection, and who may touch it. Used inside connection/ only.
//
// A connection belongs to the loop's thread while its state is `reading` or `lingering`, and to one
// worker, a thread or a fiber, while it is `busy` or `busy_more`. The loop is the only one that
// creates and destroys connections.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "connection/application.hpp"
#include "falproxy/clock.hpp"

namespace falproxy::app {

class WorkerExchange;

struct Connection {
  enum class State : std::uint8_t {
    reading,    ///< idle, or part of a head is there
    busy,       ///< a worker serves a request
    busy_more,  ///< as busy, and something has arrived since: the worker gives it back through the
                ///< loop's queue
    lingering,  ///< the answer is out, the client still sends: what it sends is thrown away
  };
  enum class Wish : std::uint8_t { resume, linger, close };  ///< what the worker asks of the loop

  explicit Connection(int socket) noexcept;
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The loop's.
  /// Keeps of what has arrived its end: `rest`, which may be a part of `in`.
  void keep(std::string_view rest);
  /// Sends an answer; what the client does not take now is still to be sent. False: the connection
  /// is over.
  [[nodiscard]] bool send(std::string_view head, const Piece& body);
  /// Something is still to be sent.
  [[nodiscard]] bool has_out() const noexcept {
    return !out_head.empty() || !out_body.bytes.empty();
  }
  /// Sends of it what the client takes now. False: the connection is over.
  [[nodiscard]] bool flush();

  // Of both sides.
  const int fd;
  std::size_t index = 0;  ///< in the loop's list
  std::atomic<State> state{State::reading};
  std::atomic<TimePoint> deadline{};  ///< of reading and lingering: the connection is closed then
  std::atomic<bool> client_left{false};

  // The owner's.
  std::string in;           ///< received, not yet consumed
  std::size_t scanned = 0;  ///< how much of `in` was searched for the end of a head
  std::uint64_t skip = 0;   ///< bytes of a body that nobody wants
  bool head_begun = false;  ///< the deadline is that of a head
  bool close_after_out = false;
  std::string out_head;  ///< what could not be sent at once, then `out_body`
  Piece out_body;
  Wish wish = Wish::resume;

  // The exchange's other side: the loop reaches it to tell that the client left, and to tick.
  std::mutex exchange_mutex;
  std::unique_ptr<WorkerExchange>
      exchange;  ///< while a worker serves; set and reset under exchange_mutex
  TimePoint stop_at = TimePoint::max();  ///< the loop's: when a held request is stopped
};

}  // namespace falproxy::app
