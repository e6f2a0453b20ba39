#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "shared.hpp"

using namespace falproxy;
using tests::RedisServer;

namespace {

template <class Test>
bool comes(Test&& test) {
  for (int tries = 0; tries < 2'000; ++tries) {
    if (test()) return true;
    std::this_thread::sleep_for(Milliseconds(10));
  }
  return false;
}

// With the bound that a server has.
RedisStore::Options strict(const RedisServer& server) {
  RedisStore::Options options = tests::options_for(server);
  options.address.bound = Milliseconds(25);
  return options;
}

}  // namespace

TEST_CASE("a Redis that is silent holds nobody up, and is used again once it answers") {
  if (!RedisServer::is_there()) return;
  const RedisServer server;
  std::atomic<int> returns = 0;
  RedisStore::Options options = strict(server);
  options.on_return = [&] { ++returns; };
  const auto store = tests::opened(options);
  REQUIRE(comes([&] { return tests::write(*store, tests::run(1)).has_value(); }));

  server.pause();
  const auto silent = tests::write(*store, tests::run(2));
  REQUIRE_FALSE(silent.has_value());
  CHECK(silent.error().may_be_done);
  CHECK(comes([&] {
    const auto refused = tests::write(*store, tests::run(3));
    return !refused && refused.error().fault == StoreFault::unavailable;
  }));
  // From now on nobody waits at all.
  tests::Answer<Done> answer;
  store->write(tests::run(4), Durability::durable, no_deadline, answer.callback());
  CHECK(answer.calls() == 1);
  CHECK(tests::fault(answer.wait()) == StoreFault::unavailable);
  CHECK(store->status().degraded != "");

  server.go_on();
  CHECK(comes([&] { return tests::write(*store, tests::run(5)).has_value(); }));
  CHECK(store->status().degraded == "");
  CHECK(returns >= 1);
}

TEST_CASE("a Redis that is stopped fails at once, and one that is started again is found") {
  if (!RedisServer::is_there()) return;
  RedisServer server;
  const auto store = tests::opened(strict(server));
  REQUIRE(comes([&] { return tests::write(*store, tests::run(1)).has_value(); }));
  server.stop();
  CHECK(comes([&] {
    static_cast<void>(tests::write(*store, tests::run(2)));
    return store->status().degraded != "";
  }));
  server.start();
  CHECK(comes([&] { return tests::write(*store, tests::run(3)).has_value(); }));
  CHECK(tests::numbers(tests::find(*store, RunQuery::of_open(5))).ends_with('3'));
}

TEST_CASE("a Redis that is not there is no reason not to begin") {
  if (!RedisServer::is_there()) return;
  RedisServer server;
  server.stop();
  const auto store = tests::opened(strict(server));
  CHECK(store->status().degraded.find("127.0.0.1:") != std::string::npos);
  CHECK(tests::fault(tests::write(*store, tests::run(1))) == StoreFault::unavailable);
  server.start();
  CHECK(comes([&] { return tests::write(*store, tests::run(1)).has_value(); }));
}

TEST_CASE("a wrong password is said, and is not shown") {
  if (!RedisServer::is_there()) return;
  const RedisServer server({"--requirepass", "right-password"});
  RedisStore::Options options = tests::options_for(server);
  {
    options.address.password = Secret("right-password");
    const auto store = tests::opened(options);
    CHECK(tests::write(*store, tests::run(1)).has_value());
  }
  options.address.password = Secret("wrong-password");
  const auto store = tests::opened(options);
  const std::string why = store->status().degraded;
  CHECK(why.find("WRONGPASS") != std::string::npos);
  CHECK(why.find("wrong-password") == std::string::npos);
}

TEST_CASE("a Redis Cluster is a fault of the configuration, and a replica is none to write to") {
  if (!RedisServer::is_there()) return;
  {
    const RedisServer server({"--cluster-enabled", "yes"});
    const auto store = tests::opened(tests::options_for(server));
    CHECK(store->status().degraded.find("Redis Cluster, which is not supported") !=
          std::string::npos);
  }
  const RedisServer master;
  const RedisServer replica({"--replicaof", "127.0.0.1 " + std::to_string(master.port())});
  const auto store = tests::opened(tests::options_for(replica));
  CHECK(store->status().degraded.find("must name the master") != std::string::npos);
}

TEST_CASE("Redis is reached by its socket, and a database of its own is another store") {
  if (!RedisServer::is_there()) return;
  const RedisServer server;
  RedisStore::Options options = tests::options_for(server);
  options.address.hosts.clear();
  options.address.socket = server.socket();
  const auto store = tests::opened(options);
  CHECK(store->status().degraded == "");
  CHECK(tests::write(*store, tests::run(1)).has_value());
  RedisStore::Options other = tests::options_for(server);
  other.address.database = 3;
  CHECK(tests::numbers(tests::find(*tests::opened(other), RunQuery::of_open(5))) == "");
  other.address.database = 0;
  CHECK(tests::numbers(tests::find(*tests::opened(other), RunQuery::of_open(5))) == "1");
}

TEST_CASE("scripts that Redis has forgotten are loaded again, and nobody notices") {
  if (!RedisServer::is_there()) return;
  RedisServer server;
  RedisStore::Options options = tests::options_for(server);
  const auto store = tests::opened(options);
  REQUIRE(tests::write(*store, tests::run(1)).has_value());
  // A new one on the same port has no script.
  server.stop();
  server.start();
  CHECK(tests::write(*store, tests::run(2)).has_value());
  CHECK(tests::numbers(tests::find(*store, RunQuery::of_open(5))) == "2");
}

TEST_CASE("scripts that are forgotten while nobody asks for anything open no breaker") {
  if (!RedisServer::is_there()) return;
  const RedisServer server;
  RedisStore::Options options = tests::options_for(server);
  options.beat = Milliseconds(5);
  const auto store = tests::opened(options);
  tests::say(server, {"SCRIPT", "FLUSH"});
  const std::uint64_t trips = store->traffic().trips;
  bool was_down = false;
  CHECK(comes([&] {
    was_down = was_down || store->status().degraded != "";
    return store->traffic().trips > trips + 20;
  }));
  CHECK_FALSE(was_down);
}

TEST_CASE("what Redis repeats of a refused command is not shown") {
  if (!RedisServer::is_there()) return;
  const RedisServer server({"--rename-command", "AUTH", "ANOTHER"});
  RedisStore::Options options = tests::options_for(server);
  options.address.user = "the-user";
  options.address.password = Secret("the-password");
  const std::string why = tests::opened(options)->status().degraded;
  CHECK(why.find("ERR") != std::string::npos);
  CHECK(why.find("the-password") == std::string::npos);
  CHECK(why.find("the-user") == std::string::npos);
}
