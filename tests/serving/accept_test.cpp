#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "app/raw_client.hpp"
#include "flag.hpp"
#include "serving/server.hpp"

namespace falproxy::serving {
namespace {

using test::RawClient;

class Fixed final : public Application {
 public:
  // There are no rows.
  Response refuse(Request*, const Error&) override { return {.body = Body(std::string("fixed"))}; }
};

class Lines {
 public:
  void add(std::string_view line) {
    const std::lock_guard lock(mutex_);
    lines_.emplace_back(line);
  }
  [[nodiscard]] std::vector<std::string> all() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

std::unique_ptr<Server> started(Server::Options options, Application& application,
                                const Reactors& reactors) {
  options.host = "127.0.0.1";
  auto server = Server::create(std::move(options), application, {}, reactors);
  REQUIRE(server.has_value());
  (*server)->start();
  return std::move(server).value();
}

TEST_CASE("no error of accept() ends the accepting, and it is said") {
  const std::vector<int> faults = {
      ENFILE, EMFILE,    ENOBUFS,      ENOMEM,      ECONNABORTED, EPROTO, EINTR,  EPERM, ENETDOWN,
      ENONET, EHOSTDOWN, EHOSTUNREACH, ENETUNREACH, EOPNOTSUPP,   EIO,    EINVAL, EBADF};
  Fixed fixed;
  Lines lines;
  const Reactors reactors = make_reactors({}, 1);
  std::size_t next = 0;
  const auto server = started({.warn = [&](std::string_view line) { lines.add(line); },
                               .accept =
                                   [&](int listener) {
                                     if (next == faults.size()) return accept_socket(listener);
                                     errno = faults[next++];
                                     return -1;
                                   }},
                              fixed, reactors);
  for (int i = 0; i < 2; ++i) {
    RawClient client(server->port());
    CHECK(client.exchange(test::get("/")).body == "fixed");
  }
  CHECK(server->counters().accepted == 2);
  CHECK(server->counters().not_accepted == faults.size() - 1);  // EINTR is none
  REQUIRE(lines.all().size() == 1);
  CHECK(lines.all().front().find("Too many open files") != std::string::npos);
}

// As a process that is just being begun has copies of all descriptors, for a moment.
TEST_CASE("a connection that is closed is not heard of again, though another process has a copy") {
  Fixed fixed;
  const Reactors reactors = make_reactors({}, 1);
  std::vector<int> copies;
  const auto server = started({.accept =
                                   [&](int listener) {
                                     const int socket = accept_socket(listener);
                                     if (socket >= 0) copies.push_back(::dup(socket));
                                     return socket;
                                   }},
                              fixed, reactors);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<RawClient>(server->port()));
    CHECK(clients.back()->exchange(test::get("/")).body == "fixed");
  }
  server->drain();
  REQUIRE(test::eventually([&] { return server->counters().open == 0; }));
  const auto a_round = [&] {
    test::Flag over;
    reactors.front()->post([&over] { over.raise(); });
    REQUIRE(over.wait());
  };
  a_round();  // what was closed is freed
  for (const auto& client : clients) CHECK(client->send("more"));
  a_round();
  a_round();
  for (const int copy : copies) ::close(copy);
}

TEST_CASE("a fault of accept() that stays does not take a whole processor") {
  struct Case {
    int fault, calls;
    Milliseconds least;
  };
  for (const Case& c : {Case{EMFILE, 4, Milliseconds(300)},
                        {ENOMEM, 4, Milliseconds(300)},
                        {ENETDOWN, 30, Milliseconds(100)}}) {
    CAPTURE(c.fault);
    Fixed fixed;
    std::atomic<int> calls{0};
    const Reactors reactors = make_reactors({}, 1);
    const int errno_now = c.fault;
    const auto server = started({.accept =
                                     [&calls, errno_now](int) {
                                       ++calls;
                                       errno = errno_now;
                                       return -1;
                                     }},
                                fixed, reactors);
    const RawClient client(server->port());
    const TimePoint before = std::chrono::steady_clock::now();
    CHECK(test::eventually([&] { return calls >= c.calls; }));
    CHECK(std::chrono::steady_clock::now() - before >= c.least);
  }
}

TEST_CASE("when descriptors are short, the longest idle connection makes room") {
  Fixed fixed;
  std::atomic<bool> short_of_them{false};
  const Reactors reactors = make_reactors({}, 1);
  const auto server = started({.accept =
                                   [&](int listener) {
                                     if (!short_of_them.exchange(false))
                                       return accept_socket(listener);
                                     errno = EMFILE;
                                     return -1;
                                   }},
                              fixed, reactors);
  RawClient idle(server->port());
  CHECK(idle.exchange(test::get("/")).body == "fixed");
  short_of_them = true;
  RawClient newcomer(server->port());
  CHECK(newcomer.exchange(test::get("/")).body == "fixed");
  CHECK(idle.at_end());
}

TEST_CASE("a server says where it listens, and why it cannot") {
  Fixed fixed;
  const Reactors reactors = make_reactors({}, 1);
  for (const char* host : {"127.0.0.1", "*", "0.0.0.0"}) {
    CAPTURE(host);
    const auto server = Server::create({.host = host}, fixed, {}, reactors);
    REQUIRE(server.has_value());
    CHECK((*server)->address().ends_with(":" + std::to_string((*server)->port())));
    const auto second =
        Server::create({.host = host, .port = (*server)->port()}, fixed, {}, reactors);
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error().field == "PORT");
  }
  const auto elsewhere = Server::create({.host = "192.0.2.1"}, fixed, {}, reactors);
  REQUIRE_FALSE(elsewhere.has_value());
  CHECK(elsewhere.error().field == "HOST");
}

}  // namespace
}  // namespace falproxy::serving
