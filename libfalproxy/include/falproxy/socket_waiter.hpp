// socket_waiter.hpp: how the transport's calls wait for their sockets.
#pragma once

#include "falproxy/clock.hpp"

namespace falproxy::inline v0 {

/// A program whose calls run on fibers or coroutines brings its own, so that a call that waits does
/// not stop the thread below it. Thread-safe.
class SocketWaiter {
 public:
  virtual ~SocketWaiter() = default;
  /// Blocks the caller until `socket` is ready for one of `events` (POLLIN, POLLOUT) or broken:
  /// true, which may also come for nothing; or until `deadline`: false. Nobody else waits for that
  /// socket at the same time, and it stays open meanwhile.
  virtual bool wait(int socket, short events, TimePoint deadline) = 0;
};

/// Blocks the thread in poll().
class PollWaiter final : public SocketWaiter {
 public:
  bool wait(int socket, short events, TimePoint deadline) override;
};

}  // namespace falproxy::inline v0
