// process.hpp: what the process has of its system: output, signals, limits, and who may look into
// it.
#pragma once

#include <csignal>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "falproxy/clock.hpp"

namespace falproxy::app {

/// Also where the other side is slow. False, and errno: it cannot be written.
bool write_whole(int descriptor, std::string_view text);

/// What cannot be written is lost.
void write_to_stdout(std::string_view text);
void write_to_stderr(std::string_view text);
[[nodiscard]] bool stderr_is_terminal() noexcept;

/// While one lives, SIGTERM, SIGINT and SIGHUP wait for next(), in this thread and in those that it
/// starts. SIGPIPE is ignored from then on. To be made before any other thread.
class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// Blocks until one comes.
  [[nodiscard]] int next() const;
  /// None: none came within `limit`.
  [[nodiscard]] std::optional<int> next(Milliseconds limit) const;

 private:
  sigset_t minded_{};
  sigset_t before_{};
};

struct ProcessLimits {
  std::size_t descriptors = 0;
  std::size_t stacks = 0;  ///< of threads and fibers
};

/// Raises the soft limit of descriptors to the hard one, and reads what there is: RLIMIT_NOFILE and
/// max_map_count (a stack takes two maps).
[[nodiscard]] ProcessLimits raise_process_limits();

/// No core file from now on, and no look into the process's memory by others of the same user: keys
/// stand there. Only root can still trace it.
void keep_memory_private() noexcept;

/// How many requests and connections there may be at once. But for `in_flight`, it is what the
/// system has room for: MAX_IN_FLIGHT may be raised by a reload.
struct Capacity {
  int in_flight = 0;
  std::size_t fibers = 0;
  std::size_t connections = 0;
  std::string warning = {};  ///< where it is less than was asked for: by which limit
};
/// A request in flight needs a stack, and another one beside it if its answer begins early; its
/// client's descriptor and one for fal.
[[nodiscard]] Capacity capacity(int max_in_flight, const ProcessLimits& limits);

}  // namespace falproxy::app
