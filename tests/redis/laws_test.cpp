#include <doctest/doctest.h>

#include "shared.hpp"
#include "support/spending_laws.hpp"

using namespace falproxy;

TEST_CASE("a store in Redis keeps to the laws of every store") {
  if (!tests::RedisServer::is_there()) return;
  tests::check_store_laws([](void (*law)(StateStore&)) {
    const tests::RedisServer server;
    const auto store = tests::opened(tests::options_for(server));
    CHECK(store->status().degraded == "");
    law(*store);
  });
}

TEST_CASE("spending in Redis keeps to the laws of every store") {
  if (!tests::RedisServer::is_there()) return;
  const tests::RedisServer server;
  const auto store = tests::opened(tests::options_for(server));
  tests::check_spending_laws(*store);
}
