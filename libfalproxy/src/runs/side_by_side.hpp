// side_by_side.hpp: a bounded number of workers over any number of pieces of work.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "falproxy/executor.hpp"

namespace falproxy::inline v0::runs {

/// Calls `work(i)` once for each i below `count`, at most `parallel` at a time, one of them on the
/// calling thread. Of what they throw this throws one, once all have returned.
template <class Work>
void side_by_side(Executor& executor, std::size_t count, std::size_t parallel, const Work& work) {
  if (count == 1) return work(std::size_t{0});
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::exception_ptr fault;
  const std::function<void()> worker = [&] {
    try {
      for (std::size_t i = next++; i < count; i = next++) work(i);
    } catch (...) {
      const std::lock_guard lock(mutex);
      fault = std::current_exception();
    }
  };
  const std::vector<std::function<void()>> workers(std::min(count, parallel), worker);
  if (!workers.empty()) executor.run_all(workers);
  if (fault) std::rethrow_exception(std::move(fault));
}

}  // namespace falproxy::inline v0::runs
