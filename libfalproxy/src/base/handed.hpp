// handed.hpp: waits on a Clock for what a callback brings.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "base/bell.hpp"
#include "falproxy/clock.hpp"

namespace falproxy::inline v0 {

/// What one callback is called with. Copies are of the same one.
template <class T>
class Handed {
 public:
  [[nodiscard]] std::function<void(T)> callback() const {
    return [state = state_](T value) {
      std::unique_lock lock(state->mutex);
      state->value.emplace(std::move(value));
      Bell::Ring wake = state->done.take();
      lock.unlock();
      wake();
    };
  }

  /// None: nothing came until then.
  [[nodiscard]] std::optional<T> wait(Clock& clock, TimePoint until) const {
    std::unique_lock lock(state_->mutex);
    while (!state_->value.has_value()) {
      if (clock.now() >= until) return std::nullopt;
      state_->done.wait(lock, clock, until, {});
    }
    return state_->value;
  }

 private:
  struct State {
    std::mutex mutex;
    Bell done;
    std::optional<T> value;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace falproxy::inline v0
