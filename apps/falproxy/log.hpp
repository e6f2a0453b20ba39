// log.hpp: one line a request, written off the request's path.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/log.hpp"
#include "falproxy/runner.hpp"
#include "falproxy/settings.hpp"

namespace falproxy::app {

/// What is known of a request once it is answered; the log line, the metrics and the status page
/// are written from it. Holds no key and no prompt.
struct RequestRecord {
  WallTime time = {};  ///< of the answer
  std::string request_id = {};
  std::string client = {};  ///< the access key's name; empty: none was needed, or none was right
  std::string_view route = {};  ///< a literal
  std::string model = {};       ///< as asked for
  std::string user = {};        ///< whom the client asks for; for reports, not for the log
  int status = 0;
  std::string error_code = {};  ///< OpenAI's; empty: none
  std::string error_message = {};
  std::uint64_t request_bytes = 0;
  std::uint64_t answer_bytes = 0;
  std::chrono::microseconds total{0};
  bool client_left = false;
  Receipt receipt = {};
};

/// Where the time of a request went, in the order of its way; the last one is all of it.
using Phases = std::array<std::pair<std::string_view, std::chrono::microseconds>, 8>;
[[nodiscard]] Phases phases_of(const RequestRecord& record);
[[nodiscard]] constexpr double seconds_of(std::chrono::microseconds time) {
  return std::chrono::duration<double>(time).count();
}

/// Of all jobs that fal gave one.
[[nodiscard]] std::string fal_request_ids(const Receipt& receipt, std::string_view between);
/// Of all jobs; none: fal has said of none.
[[nodiscard]] std::optional<double> billable_units(const Receipt& receipt);

/// With the texts that came from outside cut to what a line has room for.
[[nodiscard]] RequestRecord shortened(RequestRecord record);

/// Thread-safe. A thread of its own writes; what does not fit into the queue is counted and
/// dropped.
class Log {
 public:
  struct Options {
    LogFormat format = LogFormat::text;
    LogLevel level = LogLevel::info;
    bool colours = false;
    std::size_t queue_lines = 16'384;
    std::size_t queue_bytes = 16u << 20;  ///< of lines that are not written yet
  };
  /// `write` gets whole lines, many at once, on the log's own thread.
  Log(Options options, std::function<void(std::string_view)> write);
  /// Writes what is left.
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  void line(LogLevel level, std::string text);
  void request(RequestRecord record);
  [[nodiscard]] bool wants(LogLevel level) const noexcept { return level >= level_.load(); }
  void reload(LogFormat format, LogLevel level) noexcept;

  /// Lines that were dropped.
  [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_.load(); }
  /// What is kept of lines that are not written yet.
  [[nodiscard]] std::size_t queued_bytes() const;

 private:
  struct Line {
    WallTime time;
    LogLevel level;
    std::string text;
  };
  using Entry = std::variant<Line, RequestRecord>;
  void push(Entry entry, std::size_t bytes);
  void run();

  const std::size_t queue_lines_;
  const std::size_t queue_bytes_;
  const bool colours_;
  const std::function<void(std::string_view)> write_;
  std::atomic<LogFormat> format_;
  std::atomic<LogLevel> level_;
  std::atomic<std::uint64_t> dropped_{0};
  mutable std::mutex mutex_;
  std::condition_variable filled_;
  std::vector<Entry> queue_;
  std::size_t queued_bytes_ = 0;  // of queue_
  std::size_t kept_bytes_ = 0;    // of queue_ and of what is being written
  bool stopping_ = false;
  std::thread writer_;
};

/// The line of a request, without its end.
[[nodiscard]] std::string format_request(const RequestRecord& record, LogFormat format,
                                         bool colours);
/// A line of the operator's, without its end.
[[nodiscard]] std::string format_line(WallTime time, LogLevel level, std::string_view text,
                                      LogFormat format, bool colours);

/// What may be seen of a body with DEBUG_MODE: `text` with each long run of base64 replaced by its
/// length, and cut off after `max_bytes`.
[[nodiscard]] std::string without_base64(std::string_view text, std::size_t max_bytes = 4096);

}  // namespace falproxy::app
