// awaited.hpp: waits on a Clock for what a store calls back with.
#pragma once

#include <optional>

#include "base/handed.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/state_store.hpp"

namespace falproxy::inline v0 {

/// Nobody waits longer for a store.
inline constexpr Milliseconds longest_store_wait{5000};

/// The outcome of one operation of a store. Copies are of the same one.
template <class T>
class Awaited {
 public:
  [[nodiscard]] StateStore::Callback<T> callback() const { return handed_.callback(); }

  /// Errors: those of the operation; timed_out if nothing came until then.
  [[nodiscard]] Result<T, StoreError> wait(Clock& clock, TimePoint until) const {
    std::optional<Result<T, StoreError>> result = handed_.wait(clock, until);
    if (result.has_value()) return *std::move(result);
    return StoreError{StoreFault::timed_out, "The store did not answer in time.", true};
  }

 private:
  Handed<Result<T, StoreError>> handed_;
};

}  // namespace falproxy::inline v0
