// peers.hpp: the processes that share a store, and the places at accounts that they share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "falproxy/clock.hpp"
#include "falproxy/state_store.hpp"

namespace falproxy::inline v0 {

/// Thread-safe, and asynchronous as StateStore is: callbacks do not block.
class Peers {
 public:
  virtual ~Peers() = default;

  /// What this process is called among them; not all zero.
  [[nodiscard]] virtual const RunId& self() const noexcept = 0;
  /// Nothing was heard of it for so long that others take up its runs. Never this process itself,
  /// and nobody as long as this process does not hear of anybody.
  [[nodiscard]] virtual bool is_gone(const RunId& process) const = 0;
  /// How many there are, or were when that could be told last; at least 1.
  [[nodiscard]] virtual std::size_t count() const = 0;
  /// How often one of them was missed, since the start.
  [[nodiscard]] virtual std::uint64_t departures() const = 0;

  /// Asks for a place at an account that has `limit` of them, all processes together: true, or
  /// false if all are taken. `ticket` is the caller's own name for it, and is kept until
  /// give_back(), whether or not this process hears of the answer. Errors: those of StateStore; the
  /// limit is not known to hold then, and the caller keeps to share_of(). A place is given back by
  /// itself when its process has not been heard of for half a minute.
  virtual void take_place(const std::string& account, const std::string& ticket, int limit,
                          TimePoint deadline, StateStore::Callback<bool> done) = 0;
  /// Does not wait.
  virtual void give_back(const std::string& account, const std::string& ticket) = 0;
  /// What this process may have of `limit` as long as nothing can be shared; at least 1.
  [[nodiscard]] int share_of(int limit) const {
    const auto all = static_cast<int>(count());
    return limit / all > 1 ? limit / all : 1;
  }
};

}  // namespace falproxy::inline v0
