#include "service_manager.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "falproxy/system_clock.hpp"

namespace falproxy::app {
namespace {

std::string variable(const Environment& environment, const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? std::string() : found->second;
}

std::int64_t number(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  return fault == std::errc() && end == text.data() + text.size() ? std::max<std::int64_t>(value, 0)
                                                                  : 0;
}

}  // namespace

ServiceManager::ServiceManager(const Environment& environment)
    : address_(variable(environment, "NOTIFY_SOCKET")) {
  const bool is_unix = address_.starts_with('/') || address_.starts_with('@');
  if (!is_unix || address_.size() >= sizeof(sockaddr_un::sun_path)) address_.clear();
  if (address_.starts_with('@')) address_.front() = '\0';
  // The variables are inherited: they may mean the process that has started this one.
  const std::string process = variable(environment, "WATCHDOG_PID");
  if (address_.empty() || (!process.empty() && number(process) != ::getpid())) return;
  patience_ = Milliseconds(number(variable(environment, "WATCHDOG_USEC")) / 1000);
}

void ServiceManager::tell(std::string_view state) const noexcept {
  if (address_.empty()) return;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, address_.data(), address_.size());
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  static_cast<void>(::sendto(socket, state.data(), state.size(), MSG_NOSIGNAL,
                             reinterpret_cast<const sockaddr*>(&to), length));
  ::close(socket);
}

Watchdog::Watchdog(const ServiceManager& manager, IsWell is_well,
                   std::function<void(std::string_view)> warn)
    : manager_(manager), is_well_(std::move(is_well)), warn_(std::move(warn)) {
  if (manager_.patience().count() == 0) return;
  thread_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
}

void Watchdog::stopping() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
}

bool Watchdog::is_stopping() {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

void Watchdog::watch(const std::stop_token& stop) {
  const Milliseconds pause = manager_.patience() / 4;
  SystemClock clock;
  while (!stop.stop_requested()) {
    const std::string fault = is_stopping() ? std::string() : is_well_(pause);
    {
      const std::lock_guard lock(mutex_);
      // Whoever has begun to stop meanwhile was right to refuse.
      if (fault.empty() || stopping_) {
        manager_.tell("WATCHDOG=1");
      } else {
        warn_(fault);
      }
    }
    clock.sleep_until(clock.now() + pause, stop);
  }
}

}  // namespace falproxy::app
