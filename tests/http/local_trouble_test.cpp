// System calls that fail for reasons of this machine. They are replaced for the whole program, and
// fail for the thread that asks for it.
#include "local_trouble.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <vector>

#include "pair.hpp"

using namespace falproxy;
using namespace falproxy_test;

namespace {

struct Fails {
  int error = 0;
  int times = 0;
  bool now() noexcept {
    if (times == 0) return false;
    --times;
    errno = error;
    return true;
  }
};
thread_local Fails at_socket, at_send, at_recv;

// A pair whose transport tells its log.
struct Told : Pair {
  explicit Told(bool tls, LoopbackServer::Handler handler = serve_all)
      : Pair(std::move(handler), tls) {
    HttpTransport::Options options;
    options.ca_file = authority.file();
    options.log = [this](LogLevel level, std::string_view line) {
      CHECK(level == LogLevel::warning);
      lines += line;
    };
    transport = make_transport(std::move(options));
  }
  ~Told() { at_socket = at_send = at_recv = {}; }
  std::string lines;
};

}  // namespace

extern "C" {
int socket(int domain, int type, int protocol) noexcept {
  if (at_socket.now()) return -1;
  return static_cast<int>(::syscall(SYS_socket, domain, type, protocol));
}
ssize_t recv(int fd, void* data, std::size_t size, int flags) {
  if (at_recv.now()) return -1;
  return ::recvfrom(fd, data, size, flags, nullptr, nullptr);
}
ssize_t send(int fd, const void* data, std::size_t size, int flags) {
  if (at_send.now()) return -1;
  return ::sendto(fd, data, size, flags, nullptr, 0);
}
ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  if (at_send.now()) return -1;
  return ::syscall(SYS_sendmsg, fd, message, flags);
}
}

TEST_CASE_TEMPLATE("a submit survives a machine that has no memory for its socket at the moment",
                   Scheme, Http, Https) {
  std::atomic<int> submits{0};
  Told pair(Scheme::tls, [&](Peer& peer, int) {
    while (peer.read_request()) {
      ++submits;
      peer.answer("fine");
    }
  });
  for (const int error : {ENOBUFS, ENOMEM}) {
    for (int i = 0; i < 2; ++i) {  // over a new connection, and over one that is kept
      at_send = {error, 3};
      at_recv = {error, 3};
      REQUIRE(pair.post("{}"));
      CHECK(at_send.times == 0);
      CHECK(at_recv.times == 0);
    }
  }
  CHECK(submits == 4);
  CHECK(pair.server.connections() == 1);
  CHECK(pair.lines.find("No buffer space available") != std::string::npos);
}

TEST_CASE("a machine without memory for a socket is not waited for beyond the deadline") {
  Told pair(false);
  at_recv = {ENOBUFS, 1'000'000};
  check_failed(pair.fetch({"POST", pair.server.url(), {}, Body("{}")}, in(50ms)),
               TransportFault::timed_out, false);
}

TEST_CASE("without a descriptor nothing is sent, and the log says why") {
  for (const int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM}) {
    Told pair(false);
    at_socket = {error, 1};
    check_failed(pair.post("{}"), TransportFault::unreachable, true);
    CHECK(pair.lines.starts_with("trouble on the way to fal: socket: "));
    CHECK(pair.post("{}"));
  }
}

TEST_CASE("what networks do every day is no trouble of this machine's") {
  Told pair(false, [](Peer& peer, int) {
    peer.read_request();
    peer.reset();
  });
  check_failed(pair.post("{}"), TransportFault::interrupted, false);
  pair.transport = nullptr;
  CHECK(pair.lines.empty());
}

TEST_CASE("trouble is told once a second at most, and what was left out is counted") {
  std::vector<std::string> lines;
  LocalTrouble trouble([&](LogLevel, std::string_view line) { lines.emplace_back(line); });
  for (int i = 0; i < 1000; ++i) trouble.tell("no descriptors");
  CHECK(lines.front() == "trouble on the way to fal: no descriptors");
  CHECK(lines.size() < 100);
  LocalTrouble({}).tell("nobody listens");
}
