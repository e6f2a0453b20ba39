#include "process_limits.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <limits>

#include "base/fmt.hpp"

namespace falproxy::app {
namespace {

constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();
// For logs, listeners, epoll, the cache, and whatever libraries open.
constexpr std::size_t spare_descriptors = 128;
// For the loop, the log, the catalogue, and tasks that run side by side within a request.
constexpr std::size_t spare_threads = 64;

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

ProcessLimits raise_process_limits() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    static_cast<void>(::setrlimit(RLIMIT_NOFILE, &files));
  }
  return {.descriptors = soft_limit(RLIMIT_NOFILE),
          .threads = std::min({soft_limit(RLIMIT_NPROC), number_in("/proc/sys/kernel/threads-max"),
                               number_in("/sys/fs/cgroup/pids.max")}),
          .stacks = number_in("/proc/sys/vm/max_map_count") / 2};
}

Capacity capacity(int max_in_flight, const ProcessLimits& limits) {
  const std::size_t wanted = static_cast<std::size_t>(std::max(1, max_in_flight));
  const std::size_t descriptors =
      limits.descriptors - std::min(limits.descriptors, spare_descriptors);
  const std::size_t stacks = limits.stacks - std::min(limits.stacks, spare_threads);
  const std::size_t most = std::max<std::size_t>(1, std::min(descriptors / 2, stacks / 2));
  const std::size_t in_flight = std::min(wanted, most);
  const std::size_t threads =
      std::min(limits.threads - std::min(limits.threads, spare_threads), stacks / 2);
  Capacity capacity{.in_flight = static_cast<int>(in_flight),
                    .threads = threads,
                    .fibers = stacks - threads,
                    .connections = std::max(most, descriptors - std::min(descriptors, most))};
  if (in_flight < wanted) {
    const bool files = descriptors < stacks;
    capacity.warning = fmt::format(
        "MAX_IN_FLIGHT is {} instead of {}: the system allows {} {}; raise {}", in_flight, wanted,
        files ? limits.descriptors : limits.stacks, files ? "open files" : "stacks",
        files ? "ulimit -n (LimitNOFILE=)" : "vm.max_map_count");
  } else if (threads < in_flight) {
    capacity.warning = fmt::format(
        "at most {} edits and variations run at once: the system allows {} threads; "
        "raise ulimit -u or pids.max (TasksMax=)",
        threads, limits.threads);
  }
  return capacity;
}

}  // namespace falproxy::app
