// program.hpp: falproxy as a process of its own, over a falsim of the test's.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <falsim/falsim.hpp>
#include <optional>
#include <string>

#include "configuration.hpp"
#include "falproxy/clock.hpp"
#include "folder.hpp"

namespace falproxy::test {

class Program {
 public:
  /// Serves when this has returned. `more`: settings beside those that it needs. `variables`: of
  /// its environment.
  explicit Program(const falsim::Falsim& sim, const app::Environment& more = {},
                   const app::Environment& variables = {});
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  void signal(int number) const;
  /// The exit status, 128 and the signal for one that a signal ended; none: it still runs after
  /// `limit`.
  std::optional<int> wait(Milliseconds limit);
  /// What it has logged since the last call, up to a line that holds `word`.
  std::string log_until(std::string_view word);
  /// All that log_until() has read since the start.
  [[nodiscard]] const std::string& log() const noexcept { return all_; }

 private:
  testing::Folder folder_;
  pid_t pid_ = -1;
  int log_ = -1;  // the pipe behind its standard error
  std::string unread_;
  std::string all_;
  std::uint16_t port_ = 0;
};

}  // namespace falproxy::test
