// resolver.hpp: names to addresses, remembered for a while.
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/result.hpp"
#include "falproxy/socket_waiter.hpp"

namespace falproxy::inline v0 {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

/// Thread-safe. The system's lookup can neither be stopped nor given a deadline, so it runs on a
/// thread of its own, one for each name at a time; whoever needs the answer waits for it, and may
/// give up. A lookup that hangs holds up neither the end of the process nor its name for long: it
/// counts as lost after a while, and another one begins.
class Resolver {
 public:
  struct Failure {
    bool timed_out = false;
    std::string what = {};
  };
  using Lookup = std::function<Result<std::vector<Address>, Failure>(const std::string& host)>;

  /// `lookup`: the system's, or a test's. `waiter` outlives this.
  explicit Resolver(SocketWaiter& waiter, Lookup lookup = system_lookup,
                    std::chrono::seconds lost_after = std::chrono::seconds(10));
  /// How long after a lookup of a name the next one is begun if `lost` of them have not answered:
  /// each keeps its thread, so that they come ever more rarely, but never not at all.
  [[nodiscard]] static std::chrono::seconds pause_before_next(
      int lost, std::chrono::seconds lost_after) noexcept;

  /// The host's addresses with `port`, best first. An answer is used for 60 s, and for an hour
  /// while a new one is looked for. Addresses need no lookup. A stop ends the wait; the error is
  /// then of no meaning.
  [[nodiscard]] Result<std::vector<Address>, Failure> resolve(const std::string& host,
                                                              std::uint16_t port,
                                                              TimePoint deadline,
                                                              const std::stop_token& stop);

  [[nodiscard]] static Result<std::vector<Address>, Failure> system_lookup(const std::string& host);

 private:
  struct State;
  SocketWaiter& waiter_;
  std::shared_ptr<State> state_;
};

}  // namespace falproxy::inline v0
