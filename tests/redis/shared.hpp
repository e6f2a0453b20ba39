// shared.hpp: what the tests of this room have in common.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "falproxy/redis_store.hpp"
#include "link.hpp"
#include "support/redis_server.hpp"
#include "support/store_laws.hpp"

namespace falproxy::tests {

// A machine that has much else to do is no reason to fail.
inline constexpr Milliseconds generous{10'000};

inline RedisStore::Options options_for(const RedisServer& server, unsigned process = 1) {
  return {.address = {.hosts = {{"127.0.0.1", server.port()}}, .bound = generous},
          .self = run_id(process),
          .connect_bound = generous};
}

inline std::unique_ptr<RedisStore> opened(RedisStore::Options options) {
  auto store = RedisStore::open(std::move(options));
  REQUIRE(store.has_value());
  return *std::move(store);
}

// By a connection of its own.
inline void say(const RedisServer& server, const std::vector<std::string>& words) {
  redis::Link link(options_for(server).address, nullptr);
  const TimePoint until = std::chrono::steady_clock::now() + generous;
  REQUIRE(link.open(until).has_value());
  std::vector<redis::Reply> answers;
  static_cast<void>(link.exchange(redis::command_of(words), 1, until, answers));
}

}  // namespace falproxy::tests
