// peers.hpp: the processes that share a store, and what they share beside records: places at
// accounts, limits of access keys, and what fal has said of fal keys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/print.hpp"
#include "falproxy/state_store.hpp"

namespace falproxy::inline v0 {

/// A fal key, or an account, that all should leave alone for a while.
struct KeyBan {
  /// Why.
  enum class Kind {
    resting,  ///< a key that was rate limited, until `until`
    refused,  ///< a key, until a probe succeeds; the next one may be sent at `until`
    blocked,  ///< an account, in the same way
  };
  Kind kind = Kind::resting;  ///< decides what `until` means
  std::string name = {};      ///< a fingerprint: of the key, or of the account's first key
  TimePoint until = {};       ///< of the monotonic clock
  /// Another one each time that somebody tells of it anew; Peers gives it.
  std::string stamp = {};
  /// But for `until`, which clocks that differ tell apart by a little.
  bool operator==(const KeyBan& other) const noexcept {
    return kind == other.kind && name == other.name && stamp == other.stamp;
  }
};
/// As written above.
[[nodiscard]] std::string_view name_of(KeyBan::Kind value) noexcept;
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const KeyBan& ban);

/// A request that a client's own limits may let in.
struct Turn {
  std::string client = {};  ///< the name of its access key
  std::string ticket = {};  ///< the caller's own name for the request
  int places = 0;           ///< requests at once; 0: no limit
  int requests = 0;         ///< in each `period`, all of which may come at once; 0: no limit
  Milliseconds period{0};   ///< more than 0 with `requests`
  bool operator==(const Turn&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Turn& turn);
/// What its limits say.
struct TurnAnswer {
  /// A limit that is reached refuses, and then nothing is taken.
  enum class Kind { yes, no_place, too_fast };
  Kind kind = Kind::yes;       ///< decides
  int remaining = 0;           ///< requests that may follow at once, by the rate
  Milliseconds until_next{0};  ///< until the next one may come, by the rate
  Milliseconds until_full{0};  ///< until all of them may come at once
  bool operator==(const TurnAnswer&) const = default;
};
/// As written above.
[[nodiscard]] std::string_view name_of(TurnAnswer::Kind value) noexcept;
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const TurnAnswer& answer);

/// Thread-safe, and asynchronous as StateStore is: callbacks do not block.
class Peers {
 public:
  /// Called once, with what came of an operation.
  template <class T>
  using Callback = StateStore::Callback<T>;

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
  /// How often this process was silent for so long that the others may have taken up its runs.
  [[nodiscard]] virtual std::uint64_t absences() const { return 0; }

  /// Asks for a place at an account that has `limit` of them, all processes together: true, or
  /// false if all are taken. `ticket` is the caller's own name for it, and is kept until
  /// give_back(), whether or not this process hears of the answer. Errors: those of StateStore; the
  /// limit is not known to hold then, and the caller keeps to share_of(). A place is given back by
  /// itself when its process has not been heard of for half a minute.
  virtual void take_place(const std::string& account, const std::string& ticket, int limit,
                          TimePoint deadline, Callback<bool> done) = 0;
  /// Does not wait.
  virtual void give_back(const std::string& account, const std::string& ticket) = 0;
  /// What this process may have of `limit` as long as nothing can be shared; at least 1.
  [[nodiscard]] int share_of(int limit) const {
    const auto all = static_cast<int>(count());
    return limit / all > 1 ? limit / all : 1;
  }

  /// Asks for a client's place and turn, all processes together, in one step. The place is given
  /// back as one at the account place_of(). Errors: as of take_place().
  virtual void take_turn(const Turn& /*turn*/, TimePoint /*deadline*/, Callback<TurnAnswer> done) {
    Callback<TurnAnswer>(std::move(done))(StoreError{});
  }
  /// The account at which the places of a client are.
  [[nodiscard]] static std::string place_of(const std::string& client) { return "c:" + client; }

  /// Tells all of them, with the next heartbeat, which comes soon then; the stamp that the ban has
  /// from now on. Does not wait.
  virtual std::string tell(const KeyBan& ban) { return ban.stamp; }
  /// It is over: a probe has succeeded, or the operator has mended it.
  virtual void lift(KeyBan::Kind /*kind*/, const std::string& /*name*/) {}
  /// What was heard last, this process's own included; one at most of a kind and name.
  [[nodiscard]] virtual std::vector<KeyBan> bans() const { return {}; }
  /// Another number whenever bans() has changed; 0: nothing was heard yet.
  [[nodiscard]] virtual std::uint64_t news() const { return 0; }
  /// Asks whether this process is the one to send the probe: zero, or how long the others are to
  /// leave it alone still. Errors: those of StateStore; nobody knows then.
  virtual void take_probe(KeyBan::Kind /*kind*/, const std::string& /*name*/,
                          TimePoint /*deadline*/, Callback<Milliseconds> done) {
    Callback<Milliseconds>(std::move(done))(Milliseconds(0));
  }

  /// Asks whoever follows a run to cancel it; heard with the next heartbeats. Does not wait.
  virtual void cancel(const RunId& /*run*/) {}
  /// `heard` is called with each run that is to be cancelled, perhaps more than once, on a thread
  /// of this; it does not block. Empty: nobody is called any more when this returns.
  virtual void on_cancel(const std::function<void(const RunId&)>& /*heard*/) {}
};

}  // namespace falproxy::inline v0
