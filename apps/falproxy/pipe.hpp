// pipe.hpp: bytes on their way from one fiber to another, as many as fit.
#pragma once

#include <cstddef>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/bell.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/result.hpp"

namespace falproxy::app {

/// One writer, one reader; any threads.
class Pipe {
 public:
  /// What it holds at most, and one piece more.
  static constexpr std::size_t room = 64u << 10;

  explicit Pipe(Clock& clock) : clock_(clock) {}

  // The writer's side.
  /// Waits for room. False: nobody reads any more, or `stop` was requested.
  [[nodiscard]] bool push(std::string_view bytes, const std::stop_token& stop);
  void end(Result<Done> how);
  /// There will be something: wait_to_begin() returns.
  void begin();

  // The reader's side.
  /// Until begin(), a byte or the end.
  void wait_to_begin();
  /// The first `least` bytes of what comes, or all of it; they stay.
  [[nodiscard]] std::string look(std::size_t least);
  /// What has come; waits for something. Empty: the end.
  [[nodiscard]] std::string take();
  /// After the end.
  [[nodiscard]] Result<Done> ending();
  /// Nothing is read any more.
  void close();

 private:
  void ring(std::unique_lock<std::mutex> lock);

  Clock& clock_;
  std::mutex mutex_;
  Bell changed_;
  std::string bytes_;
  std::optional<Result<Done>> end_;
  bool begun_ = false;
  bool closed_ = false;
};

}  // namespace falproxy::app
