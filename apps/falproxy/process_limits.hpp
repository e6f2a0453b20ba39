// process_limits.hpp: what the system lets one process have, and what MAX_IN_FLIGHT becomes under
// it.
#pragma once

#include <cstddef>
#include <string>

namespace falproxy::app {

struct ProcessLimits {
  std::size_t descriptors = 0;
  std::size_t threads = 0;
  std::size_t stacks = 0;  ///< of threads and fibers
};

/// Raises the soft limit of descriptors to the hard one, and reads what there is: RLIMIT_NOFILE;
/// RLIMIT_NPROC, the kernel's threads-max and the control group's pids.max; max_map_count (a stack
/// takes two maps).
[[nodiscard]] ProcessLimits raise_process_limits();

/// How many requests and connections there may be at once. But for `in_flight`, it is what the
/// system has room for: MAX_IN_FLIGHT may be raised by a reload.
struct Capacity {
  int in_flight = 0;
  std::size_t threads = 0;
  std::size_t fibers = 0;
  std::size_t connections = 0;
  std::string warning = {};  ///< where it is less than was asked for: by which limit
};
/// A request in flight needs a stack, its client's descriptor and one for fal; an edit or a
/// variation a thread, too.
[[nodiscard]] Capacity capacity(int max_in_flight, const ProcessLimits& limits);

}  // namespace falproxy::app
