#include "signals.hpp"

#include <ctime>

namespace falproxy::app {

Signals::Signals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigemptyset(&minded_);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&minded_, signal);
  pthread_sigmask(SIG_BLOCK, &minded_, &before_);
}

Signals::~Signals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

int Signals::next() const {
  int signal = 0;
  while (sigwait(&minded_, &signal) != 0) {
  }
  return signal;
}

std::optional<int> Signals::next(Milliseconds limit) const {
  const auto seconds = std::chrono::floor<Seconds>(limit);
  const timespec wait{
      .tv_sec = static_cast<time_t>(seconds.count()),
      .tv_nsec = static_cast<long>(std::chrono::nanoseconds(limit - seconds).count())};
  const int signal = sigtimedwait(&minded_, nullptr, &wait);
  return signal > 0 ? std::optional(signal) : std::nullopt;
}

}  // namespace falproxy::app
