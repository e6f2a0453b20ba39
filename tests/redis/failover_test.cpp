// A master that Sentinel replaces, and a connection that nobody can read along.
#include <doctest/doctest.h>
#include <openssl/pem.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "http/certificates.hpp"
#include "shared.hpp"

using namespace falproxy;
using tests::RedisServer;

namespace {

template <class Test>
bool sometime(Test&& test) {
  for (int tries = 0; tries < 6'000; ++tries) {
    if (test()) return true;
    std::this_thread::sleep_for(Milliseconds(10));
  }
  return false;
}

// With what a TLS server of Redis needs, in files.
struct RedisCertificates {
  explicit RedisCertificates(const std::string& names) {
    char name[] = "/tmp/falproxy-redis-tls-XXXXXX";
    folder = ::mkdtemp(name);
    const falproxy_test::ContextPtr context = authority.server_context({.names = names});
    std::FILE* const key = std::fopen((folder / "key.pem").c_str(), "w");
    PEM_write_PrivateKey(key, SSL_CTX_get0_privatekey(context.get()), nullptr, nullptr, 0, nullptr,
                         nullptr);
    std::fclose(key);
    std::FILE* const certificate = std::fopen((folder / "cert.pem").c_str(), "w");
    PEM_write_X509(certificate, SSL_CTX_get0_certificate(context.get()));
    std::fclose(certificate);
  }
  ~RedisCertificates() {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  RedisCertificates(const RedisCertificates&) = delete;
  RedisCertificates& operator=(const RedisCertificates&) = delete;

  // A port beside the plain one.
  [[nodiscard]] std::vector<std::string> options(std::uint16_t port) const {
    return {"--tls-port",         std::to_string(port), "--tls-cert-file",    folder / "cert.pem",
            "--tls-key-file",     folder / "key.pem",   "--tls-auth-clients", "no",
            "--tls-ca-cert-file", authority.file()};
  }

  falproxy_test::Authority authority;
  std::filesystem::path folder;
};

// Free a moment ago.
std::uint16_t another_port() {
  const RedisServer server;
  return server.port();
}

}  // namespace

TEST_CASE("the master that Sentinel names is used, and after a failover the new one") {
  if (!RedisServer::is_there()) return;
  auto master = std::make_unique<RedisServer>();
  const RedisServer replica({"--replicaof", "127.0.0.1 " + std::to_string(master->port()),
                             "--repl-diskless-sync-delay", "0"});
  const auto sentinel = RedisServer::sentinel(master->port());
  REQUIRE(sometime([&] {
    return replica.says("INFO REPLICATION").find("master_link_status:up") != std::string::npos;
  }));
  REQUIRE(sometime([&] {
    return sentinel->says("SENTINEL REPLICAS master").find(std::to_string(replica.port())) !=
           std::string::npos;
  }));
  RedisStore::Options options = tests::options_for(*master);
  options.address.hosts = {{"127.0.0.1", sentinel->port()}};
  options.address.master = "master";
  options.address.bound = Milliseconds(500);
  options.beat = Milliseconds(50);
  const auto store = tests::opened(options);
  CHECK(store->status().degraded == "");
  REQUIRE(sometime([&] { return tests::write(*store, tests::run(1)).has_value(); }));
  REQUIRE(sometime([&] { return replica.says("KEYS falproxy:r:*").starts_with("*1"); }));
  const tests::Answer<bool> taken;
  store->take_place("account", "a", 1, no_deadline, taken.callback());
  REQUIRE(taken.wait().value());

  master.reset();  // as a power failure would
  CHECK(sometime([&] { return tests::write(*store, tests::run(2)).has_value(); }));
  CHECK(replica.says("INFO REPLICATION").find("role:master") != std::string::npos);
  CHECK(tests::numbers(tests::find(*store, RunQuery::of_open(5))) == "2 1");
  CHECK(store->status().degraded == "");
  const auto two = [&] {
    RedisStore::Options more = options;
    more.self = tests::run_id(2);
    return tests::opened(more);
  }();
  const tests::Answer<bool> again;
  two->take_place("account", "b", 1, no_deadline, again.callback());
  CHECK_FALSE(again.wait().value());  // the first one still has it
}

TEST_CASE("Redis is reached over TLS, and a certificate of somebody else's is a fault") {
  if (!RedisServer::is_there()) return;
  const RedisCertificates certificates("IP:127.0.0.1");
  const std::uint16_t port = another_port();
  const RedisServer server(certificates.options(port));
  RedisStore::Options options = tests::options_for(server);
  options.address.tls = true;
  options.address.hosts = {{"127.0.0.1", port}};
  {
    options.ca_file = certificates.authority.file();
    const auto store = tests::opened(options);
    CHECK(store->status().degraded == "");
    CHECK(tests::write(*store, tests::run(1)).has_value());
    CHECK(tests::numbers(tests::find(*store, RunQuery::of_open(5))) == "1");
  }
  const RedisCertificates others("IP:127.0.0.1");
  options.ca_file = others.authority.file();
  CHECK(tests::opened(options)->status().degraded.find("certificate") != std::string::npos);
}
