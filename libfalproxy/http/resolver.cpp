#include "resolver.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

namespace falproxy {
namespace {

constexpr std::chrono::seconds fresh_for{60};
constexpr std::chrono::hours usable_for{1};

std::optional<Address> numeric_address(const std::string& host) {
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (::inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    address.size = sizeof(sockaddr_in);
    return address;
  }
  if (::inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    address.size = sizeof(sockaddr_in6);
    return address;
  }
  return std::nullopt;
}

std::vector<Address> with_port(std::vector<Address> addresses, std::uint16_t port) {
  for (Address& address : addresses) {
    // sin_port and sin6_port are at the same place.
    reinterpret_cast<sockaddr_in*>(&address.storage)->sin_port = htons(port);
  }
  return addresses;
}

// What a call waits on: a descriptor, as everything that a SocketWaiter waits for.
class Signal {
 public:
  Signal() noexcept : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~Signal() {
    if (fd_ >= 0) ::close(fd_);
  }
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;

  [[nodiscard]] int fd() const noexcept { return fd_; }
  void raise() const noexcept {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(fd_, &one, sizeof one));
  }

 private:
  int fd_;
};

}  // namespace

struct Resolver::State {
  struct Entry {
    std::vector<Address> addresses = {};
    TimePoint answered_at = {};
    bool asking = false;
    Failure failure = {};
    std::uint64_t answers = 0;  // lookups that have ended, well or not
    std::vector<const Signal*> waiting = {};
  };

  // On a thread of its own, which the state outlives.
  static void look_up(const std::shared_ptr<State>& state, const std::string& host) {
    Result<std::vector<Address>, Failure> answer = state->lookup(host);
    const std::lock_guard lock(state->mutex);
    Entry& entry = state->entries[host];
    entry.asking = false;
    ++entry.answers;
    if (answer) {
      entry.addresses = *std::move(answer);
      entry.answered_at = std::chrono::steady_clock::now();
    } else {
      entry.failure = std::move(answer).error();
    }
    for (const Signal* signal : entry.waiting) signal->raise();
  }

  Lookup lookup;
  std::mutex mutex;
  std::map<std::string, Entry> entries;
};

Resolver::Resolver(SocketWaiter& waiter, Lookup lookup)
    : waiter_(waiter), state_(std::make_shared<State>()) {
  state_->lookup = std::move(lookup);
}

Result<std::vector<Address>, Resolver::Failure> Resolver::system_lookup(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  if (const int fault = ::getaddrinfo(host.c_str(), nullptr, &hints, &found); fault != 0) {
    return Failure{false, "cannot resolve " + host + ": " + ::gai_strerror(fault)};
  }
  std::vector<Address> addresses;
  for (const addrinfo* item = found; item != nullptr; item = item->ai_next) {
    if (item->ai_addrlen > sizeof(sockaddr_storage)) continue;
    Address address;
    std::memcpy(&address.storage, item->ai_addr, item->ai_addrlen);
    address.size = item->ai_addrlen;
    addresses.push_back(address);
  }
  ::freeaddrinfo(found);
  if (addresses.empty()) return Failure{false, host + " has no address"};
  return addresses;
}

Result<std::vector<Address>, Resolver::Failure> Resolver::resolve(const std::string& host,
                                                                  std::uint16_t port,
                                                                  TimePoint deadline,
                                                                  const std::stop_token& stop) {
  if (const std::optional<Address> numeric = numeric_address(host))
    return with_port({*numeric}, port);

  std::unique_lock lock(state_->mutex);
  State::Entry& entry =
      state_->entries[host];  // entries are never removed: a process talks to few hosts
  const TimePoint now = std::chrono::steady_clock::now();
  const bool known = !entry.addresses.empty();
  if (known && now - entry.answered_at < fresh_for) return with_port(entry.addresses, port);

  if (!entry.asking) {
    try {
      std::thread(&State::look_up, state_, host).detach();
      entry.asking = true;
    } catch (const std::system_error&) {
      if (!known) return Failure{false, "cannot resolve " + host + ": no thread can be started"};
    }
  }
  if (known && now - entry.answered_at < usable_for) return with_port(entry.addresses, port);

  const std::uint64_t before = entry.answers;
  const Signal signal;
  if (signal.fd() < 0) return Failure{false, "cannot resolve " + host + ": no descriptor is left"};
  const std::stop_callback wake(stop, [&signal] { signal.raise(); });
  entry.waiting.push_back(&signal);
  while (entry.answers == before && !stop.stop_requested() &&
         std::chrono::steady_clock::now() < deadline) {
    lock.unlock();
    waiter_.wait(signal.fd(), POLLIN, deadline);
    lock.lock();
  }
  std::erase(entry.waiting, &signal);
  if (entry.answers == before) return Failure{true, "resolving " + host + " took too long"};
  if (entry.addresses.empty() || entry.answered_at < now) return entry.failure;
  return with_port(entry.addresses, port);
}

}  // namespace falproxy
