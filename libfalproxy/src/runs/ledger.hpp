// ledger.hpp: requests that run, and what the jobs of earlier ones brought, so that a repeat is
// attached instead of paid again.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/bell.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/runner.hpp"
#include "runs/driver.hpp"
#include "runs/harvest.hpp"

namespace falproxy::inline v0::runs {

/// What a run of a request leaves: its answer, and what that was made of; null: no job was begun.
struct Served {
  Outcome outcome;
  std::shared_ptr<const Harvest> harvest = nullptr;
  bool can_be_mended = false;  ///< of a failure: what is in the harvest may be had another time
  bool is_elsewhere = false;   ///< another process has begun the same one, and nothing was done
};

/// Thread-safe. A request belongs to everybody who waits for it: when one leaves, it goes on for
/// the others; when the last leaves it is stopped, unless ON_DISCONNECT is keep. The thread that
/// began it runs it to its end in either case.
///
/// What its jobs brought is kept, and each repeat makes its answer of it anew: a picture that could
/// not be fetched is fetched again, and a job that was stopped is run again. A failure is kept,
/// too, if a job failed by itself.
class Ledger {
 public:
  struct Rules {
    std::chrono::seconds window{120};
    std::size_t max_bytes = 256u << 20;
    OnDisconnect on_disconnect = OnDisconnect::cancel;
  };
  /// Runs a request, or goes on with what `earlier` brought; null: nothing.
  using Work =
      std::function<Served(std::shared_ptr<const Harvest> earlier, const Patience&, Progress*)>;

  /// Runs `work`, or attaches to the same request's earlier run. That is one with the same `key`
  /// (client and digest), and
  /// - the same idempotency key, or a `context.retry_count` that says that this is a repeat; or
  /// - all who waited for it left before they had what its jobs brought; or
  /// - it failed in the last ten seconds.
  /// Where `work` throws, the answer is an internal error.
  [[nodiscard]] Outcome run(const std::string& key, const CallContext& context, Clock& clock,
                            const Rules& rules, const Work& work);

  /// Drops what is older than `window`.
  void forget_expired(TimePoint now, std::chrono::seconds window);

  /// Bytes of all that is kept.
  [[nodiscard]] std::size_t kept_bytes() const;

 private:
  struct Entry;
  struct Ending;
  struct Attached;
  using EntryPointer = std::shared_ptr<Entry>;

  /// What run() has to do with an entry that it found or made.
  enum class Part { begin, attach, recall, wait };
  struct Found {
    EntryPointer entry;
    Part part;
    std::shared_ptr<const Harvest> earlier = nullptr;
  };
  [[nodiscard]] Found find_or_enter(const std::string& key, const CallContext& context,
                                    TimePoint now);
  [[nodiscard]] EntryPointer find(const std::string& key, const CallContext& context,
                                  TimePoint now) const;
  [[nodiscard]] Outcome begin(const Found& found, const CallContext& context, Clock& clock,
                              const Rules& rules, const Work& work);
  [[nodiscard]] Outcome attach(const EntryPointer& entry, const CallContext& context, Clock& clock,
                               const Rules& rules);
  [[nodiscard]] Outcome recall(const EntryPointer& entry, const CallContext& context,
                               const Clock& clock, const Rules& rules, const Work& work);
  /// For Outcome::undelivered.
  [[nodiscard]] std::function<void()> unclaim_of(const EntryPointer& entry, const Clock& clock,
                                                 const Rules& rules);
  [[nodiscard]] bool wait_for_end(const EntryPointer& entry, const CallContext& context,
                                  Clock& clock);
  void leave(const EntryPointer& entry, const CallContext& context, const Rules& rules);
  void keep(const EntryPointer& entry, TimePoint now, const Rules& rules);
  void drop(const EntryPointer& entry);

  using Entries = std::multimap<std::string, EntryPointer>;
  using Kept = std::list<EntryPointer>;

  mutable std::mutex mutex_;
  Entries entries_;  // by key, running and kept
  // The oldest first: what somebody may come back for, and the rest.
  Kept kept_;
  Kept unasked_;
  std::size_t kept_bytes_ = 0;  // of both
};

}  // namespace falproxy::inline v0::runs
