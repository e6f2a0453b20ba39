// process_limits.hpp: what the system lets one process have, and what MAX_IN_FLIGHT becomes under
// it.
#pragma once

#include <cstddef>
#include <string>

namespace falproxy::app {

struct ProcessLimits {
  std::size_t descriptors = 0;
  std::size_t threads = 0;
};

/// Raises the soft limit of descriptors to the hard one, and reads what there is: RLIMIT_NOFILE;
/// RLIMIT_NPROC, the kernel's threads-max, max_map_count (a thread's stack takes two maps) and the
/// control group's pids.max.
[[nodiscard]] ProcessLimits raise_process_limits();

/// How many requests and connections there may be at once.
struct Capacity {
  int in_flight = 0;
  std::size_t threads = 0;
  std::size_t connections = 0;
  std::string warning = {};  ///< where `in_flight` is less than was asked for: by which limit
};
/// A request in flight needs a thread, its client's descriptor and one for fal.
[[nodiscard]] Capacity capacity(int max_in_flight, const ProcessLimits& limits);

}  // namespace falproxy::app
