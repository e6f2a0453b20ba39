// side_by_side.hpp: a bounded number of workers over any number of pieces of work.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <vector>

#include "falproxy/executor.hpp"

namespace falproxy::gateway {

/// Calls `work(i)` once for each i below `count`, at most `parallel` at a time, one of them on the
/// calling thread.
template <class Work>
void side_by_side(Executor& executor, std::size_t count, std::size_t parallel, const Work& work) {
  if (count == 1) return work(std::size_t{0});
  std::atomic<std::size_t> next{0};
  const std::function<void()> worker = [&] {
    for (std::size_t i = next++; i < count; i = next++) work(i);
  };
  const std::vector<std::function<void()>> workers(std::min(count, parallel), worker);
  if (!workers.empty()) executor.run_all(workers);
}

}  // namespace falproxy::gateway
