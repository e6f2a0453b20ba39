#include "resolver.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

namespace falproxy::inline v0 {
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

// A signal in the list of those who wait. The list's lock is held at its begin; whether it is at
// its end does not matter.
class Waiting {
 public:
  Waiting(std::unique_lock<std::mutex>& lock, std::vector<const Signal*>& list,
          const Signal& signal)
      : lock_(lock), list_(list), signal_(signal) {
    list_.push_back(&signal);
  }
  ~Waiting() {
    if (!lock_.owns_lock()) lock_.lock();
    std::erase(list_, &signal_);
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  std::unique_lock<std::mutex>& lock_;
  std::vector<const Signal*>& list_;
  const Signal& signal_;
};

}  // namespace

struct Resolver::State {
  State(Lookup from, std::chrono::seconds lost) : lookup(std::move(from)), lost_after(lost) {}

  struct Entry {
    std::vector<Address> addresses = {};
    TimePoint answered_at = {};
    int lookups = 0;  // under way
    TimePoint asked_at = {};
    Failure failure = {};
    std::uint64_t answers = 0;  // lookups that have ended, well or not
    std::vector<const Signal*> waiting = {};
  };

  // On a thread of its own, which the state outlives. Whatever the lookup does, it has an end.
  static void look_up(const std::shared_ptr<State>& state, const std::string& host, Entry& entry) {
    std::optional<Result<std::vector<Address>, Failure>> answer;
    try {
      answer = state->lookup(host);
    } catch (...) {
      answer = Failure{};
    }
    const std::lock_guard lock(state->mutex);
    --entry.lookups;
    ++entry.answers;
    if (*answer) {
      entry.addresses = **std::move(answer);
      entry.answered_at = std::chrono::steady_clock::now();
    } else {
      entry.failure = std::move(*answer).error();
    }
    for (const Signal* signal : entry.waiting) signal->raise();
  }

  [[nodiscard]] bool may_ask(const Entry& entry, TimePoint now) const noexcept {
    return entry.lookups == 0 ||
           now - entry.asked_at >= pause_before_next(entry.lookups, lost_after);
  }

  const Lookup lookup;
  const std::chrono::seconds lost_after;
  std::mutex mutex;
  std::map<std::string, Entry> entries;
};

std::chrono::seconds Resolver::pause_before_next(int lost,
                                                 std::chrono::seconds lost_after) noexcept {
  constexpr int few = 4;
  constexpr std::chrono::seconds longest = std::chrono::hours(1);
  if (lost < few) return lost_after;
  return std::min(longest,
                  (lost_after + std::chrono::seconds(10)) * (1 << std::min(lost - few, 9)));
}

Resolver::Resolver(SocketWaiter& waiter, Lookup lookup, std::chrono::seconds lost_after)
    : waiter_(waiter), state_(std::make_shared<State>(std::move(lookup), lost_after)) {}

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

  if (state_->may_ask(entry, now)) {
    try {
      std::thread(&State::look_up, state_, host, std::ref(entry)).detach();
      ++entry.lookups;
      entry.asked_at = now;
    } catch (const std::system_error&) {
      if (!known) return Failure{false, "cannot resolve " + host + ": no thread can be started"};
    }
  }
  if (known && now - entry.answered_at < usable_for) return with_port(entry.addresses, port);

  const std::uint64_t before = entry.answers;
  const Signal signal;
  if (signal.fd() < 0) return Failure{false, "cannot resolve " + host + ": no descriptor is left"};
  const std::stop_callback wake(stop, [&signal] { signal.raise(); });
  const Waiting waiting(lock, entry.waiting, signal);
  bool in_time = true;
  while (entry.answers == before && !stop.stop_requested() && in_time) {
    lock.unlock();
    in_time = waiter_.wait(signal.fd(), POLLIN, deadline);
    lock.lock();
  }
  if (entry.answers == before) return Failure{true, "resolving " + host + " took too long"};
  if (entry.addresses.empty() || entry.answered_at < now) {
    if (!entry.failure.what.empty()) return entry.failure;
    return Failure{false, "cannot resolve " + host};
  }
  return with_port(entry.addresses, port);
}

}  // namespace falproxy::inline v0
