#include "background.hpp"

#include <utility>

#include "base/finally.hpp"
#include "serving/reactor.hpp"

namespace falproxy::app {

bool Background::begin(std::function<void(const std::stop_token&)> task) {
  {
    const std::lock_guard lock(mutex_);
    if (stop_.stop_requested()) return false;
    if (running_++ == 0) idle_.acquire();
  }
  const bool runs = serving::Reactor::current()->spawn([this, task = std::move(task)] {
    const Finally over([this] { end(); });
    serving::Reactor::current()->carried() = nullptr;
    serving::safely([&] { task(stop_.get_token()); });
  });
  if (!runs) end();
  return runs;
}

void Background::end() {
  const std::lock_guard lock(mutex_);
  if (--running_ == 0) idle_.release();
}

bool Background::wait_for(Milliseconds time) {
  if (!idle_.try_acquire_for(time)) return false;
  idle_.release();
  return true;
}

void Background::wait() {
  idle_.acquire();
  idle_.release();
}

}  // namespace falproxy::app
