#include "process.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <fstream>
#include <limits>

#include "base/fmt.hpp"

namespace falproxy::app {
namespace {

constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();
// For logs, listeners, epoll, the cache, and whatever libraries open.
constexpr std::size_t spare_descriptors = 128;
// For threads, the catalogue, and what is answered at once.
constexpr std::size_t spare_stacks = 64;

std::size_t number_in(const char* path) {
  std::ifstream file(path);
  std::size_t number = 0;
  return file >> number ? number : unlimited;  // "max", or there is no such file
}

std::size_t soft_limit(__rlimit_resource resource) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return unlimited;
  return static_cast<std::size_t>(limit.rlim_cur);
}

}  // namespace

bool write_whole(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(descriptor, text.data(), text.size());
    if (n == 0 || (n < 0 && errno != EINTR)) return false;
    text.remove_prefix(n > 0 ? static_cast<std::size_t>(n) : 0);
  }
  return true;
}

void write_to_stdout(std::string_view text) { write_whole(STDOUT_FILENO, text); }
void write_to_stderr(std::string_view text) { write_whole(STDERR_FILENO, text); }
bool stderr_is_terminal() noexcept { return ::isatty(STDERR_FILENO) == 1; }

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

ProcessLimits raise_process_limits() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    static_cast<void>(::setrlimit(RLIMIT_NOFILE, &files));
  }
  return {.descriptors = soft_limit(RLIMIT_NOFILE),
          .stacks = number_in("/proc/sys/vm/max_map_count") / 2};
}

void keep_memory_private() noexcept {
  // Each is enough if the system refuses the other; a pipe in core_pattern minds the first only.
  static_cast<void>(::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  static_cast<void>(::setrlimit(RLIMIT_CORE, &none));
}

Capacity capacity(int max_in_flight, const ProcessLimits& limits) {
  const std::size_t wanted = static_cast<std::size_t>(std::max(1, max_in_flight));
  const std::size_t descriptors =
      limits.descriptors - std::min(limits.descriptors, spare_descriptors);
  const std::size_t stacks = limits.stacks - std::min(limits.stacks, spare_stacks);
  const std::size_t most = std::max<std::size_t>(1, std::min(descriptors / 2, stacks / 2));
  const std::size_t in_flight = std::min(wanted, most);
  Capacity capacity{.in_flight = static_cast<int>(in_flight),
                    .fibers = stacks,
                    .connections = std::max(most, descriptors - std::min(descriptors, most))};
  if (in_flight < wanted) {
    const bool files = descriptors < stacks;
    capacity.warning = fmt::format(
        "MAX_IN_FLIGHT is {} instead of {}: the system allows {} {}; raise {}", in_flight, wanted,
        files ? limits.descriptors : limits.stacks, files ? "open files" : "stacks",
        files ? "ulimit -n (LimitNOFILE=)" : "vm.max_map_count");
  }
  return capacity;
}

}  // namespace falproxy::app
