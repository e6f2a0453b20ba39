// local_trouble.hpp: what this machine lacks, told to the operator and not too often.
#pragma once

#include <atomic>
#include <string>

#include "falproxy/clock.hpp"
#include "falproxy/log.hpp"

namespace falproxy::inline v0 {

/// Thread-safe.
class LocalTrouble {
 public:
  /// `log` may be empty.
  explicit LocalTrouble(LogLine log) : log_(std::move(log)) {}

  /// At most one line a second; it counts those that were left out since the last one.
  void tell(const std::string& what);
  /// Tells only if `error`, an errno, is not what networks and the other side do every day. 0: no
  /// error.
  void tell_if_local(int error, const std::string& what) {
    if (error != 0 && !is_of_the_network(error)) tell(what);
  }
  [[nodiscard]] static bool is_of_the_network(int error) noexcept;

 private:
  LogLine log_;
  std::atomic<TimePoint::rep> next_{0};
  std::atomic<int> left_out_{0};
};

}  // namespace falproxy::inline v0
