// request.hpp: what handlers see: one request on its fiber, the answer to it, and the table of
// routes. cpp-httplib stays in server.cpp.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/http.hpp"
#include "falproxy/result.hpp"
#include "serving/head.hpp"
#include "serving/reactor.hpp"

namespace falproxy::serving {

class Connection;
class Request;
class Wire;

/// What is sent back. Exactly one of `body` and `stream` is used.
struct Response {
  int status = 200;
  std::string content_type = "application/json";  ///< empty: none is sent
  std::string fields = {};                        ///< more header fields, each "Name: value\r\n"
  Body body = {};
  /// Writes the body as it comes, by Request::write(), on the request's fiber.
  std::function<void(Request&)> stream = {};
  /// How many bytes `stream` writes; none: nobody knows, and they come in chunks.
  std::optional<std::uint64_t> length = std::nullopt;
  /// Called if `body` could not be sent whole.
  std::function<void()> undelivered = {};
};

using Handler = std::function<Response(Request&)>;

/// One row. GET also answers HEAD.
struct Route {
  std::string_view method;
  /// Of literals ("models"), names that stand for one segment each (":id"), and at the end perhaps
  /// a name for all segments that are left, one at least ("*rest").
  std::string_view pattern;
  Handler handler;
  std::string_view name = {};  ///< for logs and metrics
};

/// How an address found its row.
struct Match {
  const Route* route = nullptr;
  bool path_known = false;  ///< some row has this path
  /// Names of the row's pattern with the decoded text that stands for them.
  std::vector<std::pair<std::string_view, std::string>> parameters;
};

/// Belongs to the fiber that serves it. Not thread-safe but where a comment says so. It holds
/// exactly one message: its head, its body by our own reading of the framing, then nothing more.
/// All that reads and writes waits as long as the client keeps its pace.
class Request final : private Alarm {
 public:
  using Receiver = std::function<bool(std::string_view)>;

  [[nodiscard]] const RequestHead& head() const noexcept { return head_; }
  /// Null: no row of the table has this path and method.
  [[nodiscard]] const Route* route() const noexcept { return match.route; }
  /// The text that stands for a name of the route's pattern; empty: it has no such name.
  [[nodiscard]] std::string_view parameter(std::string_view name) const noexcept;
  /// When the head had arrived.
  [[nodiscard]] TimePoint began() const noexcept { return began_; }

  /// Requested when the client has left (after the hold, see below), the server stops at once, or
  /// the answer is over.
  [[nodiscard]] std::stop_token stop() const { return stop_.get_token(); }
  /// The client is gone, whatever the hold. Thread-safe.
  [[nodiscard]] bool client_left() const noexcept { return left_.load(); }
  /// How long the request goes on after its client has left.
  void hold_when_client_leaves(Milliseconds hold) { hold_ = hold; }

  /// unsupported_content_type if its body's Content-Encoding is neither gzip nor none, or if there
  /// are several.
  [[nodiscard]] std::optional<Error> fault_of_coding() const;
  /// Reads the body and hands it on piece by piece, inflated if its Content-Encoding is gzip. At
  /// most `max_bytes` are handed on. A `receiver` that returns false ends it with `internal`.
  /// Errors: bad_request_framing, request_too_slow, body_too_large, unsupported_content_type
  /// (another Content-Encoding), cancelled. After an error the rest is never read.
  [[nodiscard]] Result<Done> read_body(std::size_t max_bytes, const Receiver& receiver);

  /// Of a streamed answer: sends it at once, as one chunk. False: the client is gone or too slow.
  bool write(const Body& body);
  /// Of a streamed answer: nothing more comes, and the client is to see that something is missing.
  void cut() noexcept { write_fault_ = Fault::broken; }

  /// Runs `task` on a fiber beside this one. It may outlive the handler but not the answer: after
  /// that its stop is requested and it is waited for. So it must not refer to what is the handler's
  /// alone. False: there is no room for it.
  [[nodiscard]] bool run_beside(std::function<void()> task) {
    return beside_.spawn(std::move(task));
  }
  /// What its bytes go through.
  [[nodiscard]] Wire& wire() noexcept;

  std::string id;              ///< for logs; the server does not use it
  std::string fields;          ///< of every answer to this request, each "Name: value\r\n"
  std::shared_ptr<void> span;  ///< of a trace: lives until the answer is out, longer than `kept`
  std::shared_ptr<void> kept;  ///< whatever is to live until the answer is out

  // ---- inside serving/ only

  /// Why nothing more is read, or written.
  enum class Fault { none, ended, broken, slow, gone, too_large, refused, not_gzip };

  /// `text` is a head with its blank line.
  Request(Connection& connection, std::string text);
  /// Once, before anything else.
  [[nodiscard]] Result<Done> parse();
  void client_has_left();
  void request_stop() { stop_.request_stop(); }
  Match match = {};
  Response response = {};  ///< what is to be sent; its stream and body are taken out of it
  /// Appends the fields of the answer and its blank line. Whether the connection stays is decided
  /// here, and no more is read of the body. `framing`: the lines that say how long the body is.
  void append_head(std::string& out, std::string_view framing);
  /// Waits for what runs beside, and ends it.
  void finish();
  /// The connection may go on with what comes after unread() more bytes.
  [[nodiscard]] bool stays() const noexcept { return stays_ && is_writable(); }
  [[nodiscard]] std::uint64_t unread() const noexcept { return left_of_body_; }
  void refuse_reads() noexcept { reads_refused_ = true; }
  /// Small ones are kept until flush(), or until more than 16 KiB are there.
  [[nodiscard]] bool write_some(std::string_view bytes);
  [[nodiscard]] bool flush() { return send_after_kept(std::vector<std::string_view>(1)); }
  [[nodiscard]] bool is_writable() const noexcept { return write_fault_ == Fault::none; }
  /// Bytes that write() was given.
  [[nodiscard]] std::uint64_t streamed() const noexcept { return streamed_; }

 private:
  struct Pace {
    std::uint64_t bytes = 0;
    std::chrono::nanoseconds waited{0};
  };

  void ring() override { request_stop(); }
  [[nodiscard]] bool message_is_over() const noexcept;
  [[nodiscard]] bool read_piece(std::string_view& piece);
  [[nodiscard]] bool receive();
  [[nodiscard]] bool send_after_kept(std::vector<std::string_view> parts);
  [[nodiscard]] bool send_all(std::span<std::string_view> parts);
  [[nodiscard]] bool wait(Pace& pace, Fault& fault);
  void take_turn(std::size_t bytes);

  Connection& connection_;
  const std::string text_;
  RequestHead head_;  // views into text_
  TimePoint began_;

  std::stop_source stop_;
  std::atomic<bool> left_{false};
  Milliseconds hold_{0};
  FiberGroup beside_;

  std::uint64_t left_of_body_ = 0;  // if it has a length
  ChunkReader chunks_;
  bool continue_is_due_ = false;
  bool reads_refused_ = false;
  Fault read_fault_ = Fault::none;
  Pace read_pace_;

  std::string kept_;  // to be sent
  std::uint64_t streamed_ = 0;
  bool stays_ = false;
  Fault write_fault_ = Fault::none;
  Pace write_pace_;
  std::size_t moved_ = 0;  // bytes, since others had their turn
};

/// Says what cannot be served, on fibers and on the reactors' threads.
class Application {
 public:
  virtual ~Application() = default;
  /// The answer to a request that has no row, or that fails before or in its handler. `request` is
  /// null if its head could not be read. It must not wait.
  virtual Response refuse(Request* request, const Error& error) = 0;
};

inline constexpr std::string_view deployment_parameter = "deployment";

/// Immutable. The first row that has both path and method is taken. An address is compared segment
/// by segment, as it was sent: an encoded slash does not end a segment. Doubled slashes and one at
/// the end count for nothing; neither do leading segments `api`, `openai` and `v1`, in addresses
/// and in patterns, since clients are told so many different base addresses. What begins with
/// `deployments/NAME` then, as Azure's clients write it, is the address behind that; NAME is the
/// parameter `deployment_parameter`.
class Router {
 public:
  explicit Router(std::vector<Route> routes);

  /// `path`: without a query.
  [[nodiscard]] Match find(std::string_view method, std::string_view path) const;
  /// For the field `Allow`: "GET, HEAD, OPTIONS".
  [[nodiscard]] std::string allowed_methods(std::string_view path) const;

 private:
  struct Row {
    Route route;
    std::vector<std::string_view> segments;  // of its pattern
  };
  std::vector<Row> rows_;
};

}  // namespace falproxy::serving
