// exchange_stream.hpp: what a request is read from and answered to. Used inside connection/ only.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "connection/chunk_framing.hpp"
#include "connection/connection.hpp"
#include "connection/pace.hpp"

namespace falproxy::app {

/// What it gives to read: first the head, as it was rewritten for httplib, then what the connection
/// has received already, then the socket. Reading and write() are the worker's; what is sent early
/// is any thread's, and never waits.
class ExchangeStream {
 public:
  enum class Fault {
    none,
    ended,   ///< the client's end of file, in the middle of the body; it may still read
    broken,  ///< its chunks are none
    slow,
    gone,
  };

  /// `chunked`: what is read after the head must be chunks. `grace`: how long a client may take.
  ExchangeStream(Connection& connection, std::string head, bool chunked, Milliseconds grace);

  /// Why there is no more to read. An answer may be written all the same.
  [[nodiscard]] Fault read_fault() const noexcept { return read_fault_; }
  [[nodiscard]] bool is_writable() const noexcept { return write_fault_ == Fault::none; }
  [[nodiscard]] bool is_whole() const noexcept {
    return read_fault_ == Fault::none && write_fault_ == Fault::none;
  }
  /// Nothing more is read: what is left of the body will not be waited for.
  void refuse_reads() noexcept { refuse_reads_ = true; }
  [[nodiscard]] bool reads_refused() const noexcept { return refuse_reads_; }
  /// Gives what was received but not read back to the connection.
  void release();

  /// Sends `bytes` unless a write is going on or the client is slow.
  void interject(std::string_view bytes);
  /// Sends `head` now, unless one is out; the next write(), of httplib's own head, is left out.
  void begin_early(std::string_view head);
  [[nodiscard]] bool began_early() const noexcept { return early_.load(); }
  /// Before httplib's head. What the client does not take now is kept for flush() and write(), but
  /// nothing is added to more than 1 MiB of it.
  void write_early(std::string_view bytes);
  /// Sends of what is kept as much as the client takes now.
  void flush();

  /// Both wait as long as the client keeps its pace. Bytes read or written; 0: the client has
  /// closed; -1: it is over.
  [[nodiscard]] ssize_t read(char* to, std::size_t size);
  [[nodiscard]] ssize_t write(const char* data, std::size_t size);
  [[nodiscard]] int socket() const noexcept { return connection_.fd; }

 private:
  ssize_t read_body(char* to, std::size_t size);
  ssize_t receive(char* to, std::size_t size);
  bool send_all(std::string_view bytes);  // waits
  void send_kept();                       // these do not
  void send_or_keep(std::string_view bytes);
  void forget_kept();
  bool wait(short events, Pace& pace, Fault& fault);

  Connection& connection_;
  std::string head_;
  std::size_t head_read_ = 0;
  std::size_t in_read_ = 0;  // of connection_.in
  bool refuse_reads_ = false;
  Fault read_fault_ = Fault::none;
  Fault write_fault_ = Fault::none;
  std::optional<ChunkFraming> chunks_;
  Pace read_pace_;
  Pace write_pace_;

  // Held for moments only: write() lets go of it while it waits.
  std::mutex early_mutex_;
  bool writing_ = false;
  std::string kept_;  // of what was sent early
  std::size_t kept_sent_ = 0;
  std::atomic<bool> early_{false};
  bool leave_out_next_write_ = false;
};

}  // namespace falproxy::app
