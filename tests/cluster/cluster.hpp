// cluster.hpp: several falproxies, each a process, over one fal and one Redis.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "app/folder.hpp"
#include "app/program.hpp"
#include "app/raw_client.hpp"
#include "app/served.hpp"
#include "support/redis_server.hpp"

namespace falproxy::app {

using falsim::FalsimStats;
using tests::RedisServer;
using namespace test;

inline const std::string generations = "/v1/images/generations";

struct Cluster {
  // The bound is one for a machine that has much else to do, unless a test is about it.
  explicit Cluster(std::size_t count, const falsim::FalsimOptions& options = Served::quick(),
                   const Environment& more = {}, const std::string& bound = "?bound_ms=5000")
      : sim(std::move(falsim::Falsim::start(options)).value()) {
    for (std::size_t i = 0; i < count; ++i) {
      folders.push_back(std::make_unique<testing::Folder>());
      Environment& all = environments.emplace_back(Environment{
          {"STATE_URL", redis.address() + bound}, {"STATE_DIR", folders.back()->path().string()}});
      for (const auto& [name, value] : more) all[name] = value;
      replicas.push_back(std::make_unique<Program>(sim, all));
    }
  }
  [[nodiscard]] Received ask(std::size_t replica, const std::string& fields,
                             const std::string& body = lighthouse) const {
    RawClient client(replicas[replica]->port());
    return client.exchange(post(generations, body, fields));
  }
  [[nodiscard]] Received ready(std::size_t replica) const {
    RawClient client(replicas[replica]->port());
    return client.exchange(get("/ready"));
  }
  // What fal calls the job that was submitted then.
  [[nodiscard]] std::string job(std::size_t number) const {
    const std::vector<falsim::SeenSubmit> all = sim.submits();
    return number < all.size() ? all[number].request_id : "none";
  }
  void kill(std::size_t replica) const {
    replicas[replica]->signal(SIGKILL);
    REQUIRE(replicas[replica]->wait(Seconds(20)) == 128 + SIGKILL);
  }

  // Whether `text` stands in what a replica has on its own disk.
  [[nodiscard]] bool has_copy(std::size_t replica, const std::string& text) const {
    for (const char* name : {"falproxy.db", "falproxy.db-wal"}) {
      std::ifstream file(folders[replica]->path() / name, std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(file), {}};
      if (bytes.find(text) != std::string::npos) return true;
    }
    return false;
  }

  // Over what its last process has left.
  void begin_again(std::size_t replica) {
    replicas[replica] = std::make_unique<Program>(sim, environments[replica]);
  }

  RedisServer redis;
  falsim::Falsim sim;
  std::vector<Environment> environments;
  std::vector<std::unique_ptr<testing::Folder>> folders;
  std::vector<std::unique_ptr<Program>> replicas;
};

inline std::string with_key(const std::string& key) {
  return key_field() + "Idempotency-Key: " + key + "\r\n";
}

template <class Test>
bool in_the_end(Test&& test) {
  for (int tries = 0; tries < 3'000; ++tries) {
    if (test()) return true;
    std::this_thread::sleep_for(Milliseconds(20));
  }
  return false;
}

}  // namespace falproxy::app
