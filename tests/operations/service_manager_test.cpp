// What systemd hears of falproxy, on a socket of the test's.
#include "service_manager.hpp"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <string>

#include "app/folder.hpp"
#include "app/program.hpp"
#include "app/served.hpp"
#include "commands/commands.hpp"
#include "falproxy/http_transport.hpp"
#include "http/loopback_server.hpp"
#include "serving/flag.hpp"

namespace falproxy::app {
namespace {

class Manager {
 public:
  Manager() {
    const std::string path = address();
    sockaddr_un own{};
    own.sun_family = AF_UNIX;
    std::memcpy(own.sun_path, path.data(), path.size());
    REQUIRE(::bind(socket_, reinterpret_cast<const sockaddr*>(&own), sizeof own) == 0);
  }
  ~Manager() { ::close(socket_); }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  [[nodiscard]] std::string address() const { return (folder_.path() / "notify").string(); }
  [[nodiscard]] Environment environment(const std::string& microseconds) const {
    return {{"NOTIFY_SOCKET", address()}, {"WATCHDOG_USEC", microseconds}};
  }
  /// What comes next; empty: nothing within `limit`.
  std::string next(Milliseconds limit = Seconds(20)) const {
    pollfd ready{socket_, POLLIN, 0};
    if (::poll(&ready, 1, static_cast<int>(limit.count())) != 1) return {};
    std::array<char, 256> bytes;
    const ssize_t n = ::recv(socket_, bytes.data(), bytes.size(), 0);
    return {bytes.data(), static_cast<std::size_t>(n < 0 ? 0 : n)};
  }

 private:
  testing::Folder folder_;
  const int socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
};

TEST_CASE("systemd hears that falproxy serves, that it still does, and that it stops") {
  const Manager manager;
  const auto sim = falsim::Falsim::start({});
  REQUIRE(sim.has_value());
  test::Program program(*sim, {}, manager.environment("400000"));
  std::string said = manager.next();
  while (said == "WATCHDOG=1") said = manager.next();
  CHECK(said == "READY=1");
  for (int i = 0; i < 3; ++i) CHECK(manager.next() == "WATCHDOG=1");
  program.signal(SIGTERM);
  said = manager.next();
  while (said == "WATCHDOG=1") said = manager.next();
  CHECK(said == "STOPPING=1");
  CHECK(program.wait(Seconds(20)) == 0);
}

TEST_CASE("a process that stands still gives no sign of life") {
  const Manager manager;
  std::atomic<int> asked = 0;
  std::atomic<int> warned = 0;
  const ServiceManager told(manager.environment("40000"));
  {
    const Watchdog watchdog(
        told, [&](Milliseconds) { return ++asked < 3 ? std::string() : std::string("no answer"); },
        [&](std::string_view why) {
          CHECK(why == "no answer");
          ++warned;
        });
    CHECK(manager.next() == "WATCHDOG=1");
    CHECK(manager.next() == "WATCHDOG=1");
    CHECK(test::eventually([&] { return warned > 3; }));
  }
  CHECK(manager.next(Milliseconds(0)).empty());
}

TEST_CASE("a server that is full, and says so, lives; one that says nothing does not") {
  const falproxy_test::LoopbackServer full([](falproxy_test::Peer& peer, int) {
    if (peer.read_request().has_value())
      peer.write("HTTP/1.1 503 Full\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  });
  const falproxy_test::LoopbackServer silent(
      [](falproxy_test::Peer& peer, int) { peer.wait_for_end(); });
  const auto transport = HttpTransport::create({});
  REQUIRE(transport.has_value());
  const auto why = [&](const falproxy_test::LoopbackServer& server, Milliseconds limit) {
    return why_silent(**transport, "127.0.0.1", static_cast<std::uint16_t>(server.port()),
                      std::chrono::steady_clock::now() + limit);
  };
  CHECK(why(full, Seconds(20)) == "");
  CHECK(why(silent, Milliseconds(50)).find("/health") != std::string::npos);
}

TEST_CASE("who stops is given the time that it takes, and nobody is asked any more") {
  const Manager manager;
  std::atomic<bool> stops = false;
  const ServiceManager told(manager.environment("40000"));
  Watchdog watchdog(
      told,
      [&](Milliseconds) {
        CHECK_FALSE(stops);
        return std::string("it refuses");
      },
      [](std::string_view) {});
  watchdog.stopping();
  CHECK(manager.next() == "WATCHDOG=1");
  stops = true;
  CHECK(manager.next() == "WATCHDOG=1");
}

TEST_CASE("without a manager, or for another process, no sign is wanted") {
  CHECK(ServiceManager(Environment()).patience() == Milliseconds(0));
  CHECK(ServiceManager(Environment{{"WATCHDOG_USEC", "1000000"}}).patience() == Milliseconds(0));
  CHECK(ServiceManager(Environment{{"NOTIFY_SOCKET", "@abc"}, {"WATCHDOG_USEC", "1000000"}})
            .patience() == Milliseconds(1000));
  CHECK(
      ServiceManager(
          Environment{{"NOTIFY_SOCKET", "/a"}, {"WATCHDOG_USEC", "1000000"}, {"WATCHDOG_PID", "1"}})
          .patience() == Milliseconds(0));
  for (const std::string wrong : {"", "-5", "5s"}) {
    CHECK(
        ServiceManager(Environment{{"NOTIFY_SOCKET", "/a"}, {"WATCHDOG_USEC", wrong}}).patience() ==
        Milliseconds(0));
  }
  ServiceManager(Environment{{"NOTIFY_SOCKET", "/nowhere/at/all"}}).tell("READY=1");
  ServiceManager(Environment{{"NOTIFY_SOCKET", "vsock:2:1"}}).tell("READY=1");
}

}  // namespace
}  // namespace falproxy::app
