// signals.hpp: the signals that a server minds, taken one by one by the main thread.
#pragma once

#include <csignal>
#include <optional>

#include "falproxy/clock.hpp"

namespace falproxy::app {

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

}  // namespace falproxy::app
