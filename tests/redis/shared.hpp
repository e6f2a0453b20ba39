// shared.hpp: what the tests of this room have in common.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "falproxy/redis_store.hpp"
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

}  // namespace falproxy::tests
