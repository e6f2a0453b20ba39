// exchange.hpp: one request on its way through a worker, a thread or a fiber: its head, its body,
// its answer, and whether its client is still there.
//
// The rooms behind the connection see this and Application (application.hpp); cpp-httplib stays
// inside connection/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "connection/request_head.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/http.hpp"
#include "falproxy/result.hpp"

namespace falproxy::app {

/// Where a streamed answer goes. Blocks while the client is slow; false once it is gone or too
/// slow.
class AnswerStream {
 public:
  virtual ~AnswerStream() = default;
  virtual bool write(std::string_view bytes) = 0;
  bool write(const Body& body);
};

/// What is sent back. Exactly one of `body` and `stream` is used.
struct Answer {
  int status = 200;
  std::string content_type = "application/json";
  std::string fields = {};  ///< more header fields, each "Name: value\r\n"
  Body body = {};
  std::function<void(AnswerStream&)> stream =
      {};  ///< writes the body as it comes, on the worker's thread
};

/// The head of one part of a multipart/form-data body.
struct FormPartHead {
  std::string name;
  std::string file_name;  ///< empty: a field, not a file
  std::string content_type;
};

/// Lives on the worker that serves the request. Not thread-safe but where a comment says so.
class Exchange {
 public:
  virtual ~Exchange() = default;

  [[nodiscard]] virtual const RequestHead& head() const noexcept = 0;
  /// When the head had arrived.
  [[nodiscard]] virtual TimePoint began() const noexcept = 0;
  /// Requested when the client has left (after `hold`, see below) or the server stops at once.
  [[nodiscard]] virtual std::stop_token stop() const noexcept = 0;
  /// The client is gone, whatever the hold. Thread-safe.
  [[nodiscard]] virtual bool client_left() const noexcept = 0;
  /// How long the request goes on after its client has left.
  virtual void hold_when_client_leaves(Milliseconds hold) = 0;

  /// Reads the body and hands it on piece by piece; a `receiver` that returns false ends it with
  /// `internal`. Errors: bad_request_framing, request_too_slow, body_too_large, cancelled. After an
  /// error the rest is never read.
  [[nodiscard]] virtual Result<Done> read_body(
      std::size_t max_bytes, const std::function<bool(std::string_view)>& receiver) = 0;
  /// As read_body, for multipart/form-data: `part` before the bytes of each part.
  [[nodiscard]] virtual Result<Done> read_form(
      std::size_t max_bytes, const std::function<bool(FormPartHead)>& part,
      const std::function<bool(std::string_view)>& receiver) = 0;

  /// Calls `tick` every `interval` on the connections' own thread, where it must not block, until
  /// stop_ticking() or the Answer is returned.
  virtual void start_ticking(Milliseconds interval, std::function<void()> tick) = 0;
  /// After it has returned, no tick runs any more.
  virtual void stop_ticking() = 0;

  /// Sends the head of an answer of status 200 now, unless it is out already. The Answer that is
  /// returned then keeps only its body. Thread-safe; does not block.
  virtual void begin_early(std::string_view content_type, std::string_view fields) = 0;
  [[nodiscard]] virtual bool began_early() const noexcept = 0;
  /// Of an answer that began early: sends `bytes` before the Answer's body; what the client does
  /// not take at once is kept, and follows as it does. Thread-safe; does not block.
  virtual void write_early(std::string_view bytes) = 0;
  /// As write_early, but nothing at all where the answer is being written or the client is slow.
  virtual void interject(std::string_view bytes) = 0;
};

}  // namespace falproxy::app
