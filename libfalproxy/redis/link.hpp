// link.hpp: one connection to the Redis of an address, ready for commands.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/redis_store.hpp"
#include "falproxy/socket_waiter.hpp"
#include "http/connection.hpp"
#include "http/resolver.hpp"
#include "http/tls.hpp"
#include "reply.hpp"
#include "scripts.hpp"

namespace falproxy::inline v0::redis {

/// Why there is no going on with a connection.
struct LinkError {
  std::string message = {};  ///< one sentence for the operator
  bool timed_out = false;
};

/// Used by one thread.
class Link {
 public:
  /// `tls` may be null unless the address wants it.
  Link(const StateAddress& address, std::shared_ptr<const TlsContext> tls);

  [[nodiscard]] bool is_open() const noexcept { return connection_ != nullptr; }
  /// Finds the master, connects, and makes it ready. The message names no password.
  [[nodiscard]] Result<Done, LinkError> open(TimePoint deadline);
  void close() noexcept;
  /// It is open, but the other side has closed it, or says what nobody asked for.
  [[nodiscard]] bool is_stale();

  /// Sends `count` commands, and waits for so many answers. After an error it is closed;
  /// `answers` has those that came.
  [[nodiscard]] Result<Done, LinkError> exchange(std::string_view commands, std::size_t count,
                                                 TimePoint deadline, std::vector<Reply>& answers);
  /// The name of a script for EVALSHA.
  [[nodiscard]] const std::string& name_of(Script script) const {
    return names_[static_cast<std::size_t>(script)];
  }
  [[nodiscard]] const RedisStore::Traffic& traffic() const noexcept { return traffic_; }

 private:
  [[nodiscard]] Result<Done, LinkError> connect_to(const StateAddress::Host& host,
                                                   TimePoint deadline);
  [[nodiscard]] Result<Done, LinkError> connect_to_socket(TimePoint deadline);
  [[nodiscard]] Result<StateAddress::Host, LinkError> find_master(TimePoint deadline);
  [[nodiscard]] Result<Done, LinkError> greet(TimePoint deadline);

  const StateAddress address_;
  const std::shared_ptr<const TlsContext> tls_;
  TlsSessionSlot session_;
  PollWaiter waiter_;
  Resolver resolver_;
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<ReplyReader> reader_;
  std::array<std::string, script_count> names_;
  RedisStore::Traffic traffic_;
};

}  // namespace falproxy::inline v0::redis
