// ledger.hpp: requests that run, and answers that were given lately, so that a repeat is attached
// instead of paid again.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "base/bell.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/gateway.hpp"
#include "gateway/driver.hpp"

namespace falproxy::gateway {

/// Thread-safe. A request belongs to everybody who waits for it: when one leaves, it goes on for
/// the others; when the last leaves it is stopped, unless ON_DISCONNECT is keep. The thread that
/// began it runs it to its end in either case.
class Ledger {
 public:
  struct Rules {
    std::chrono::seconds window{120};
    std::size_t max_bytes = 256u << 20;
    OnDisconnect on_disconnect = OnDisconnect::cancel;
  };
  using Work = std::function<Outcome(const Patience&, Progress*)>;

  /// Runs `work`, or attaches to the same request's earlier run: one with the same `key` (client
  /// and digest) and either the same idempotency key, or where `context.retry_count` says that this
  /// is a repeat. Where `work` throws, the answer is an internal error.
  [[nodiscard]] Outcome run(const std::string& key, const CallContext& context, Clock& clock,
                            const Rules& rules, const Work& work);

  /// Drops answers that are older than `window`.
  void forget_expired(TimePoint now, std::chrono::seconds window);

  /// Bytes of the answers that are kept.
  [[nodiscard]] std::size_t kept_bytes() const;

 private:
  struct Entry;
  using EntryPointer = std::shared_ptr<Entry>;

  [[nodiscard]] EntryPointer find(const std::string& key, const CallContext& context) const;
  [[nodiscard]] Outcome begin(const EntryPointer& entry, const CallContext& context, Clock& clock,
                              const Rules& rules, const Work& work);
  [[nodiscard]] Outcome attach(const EntryPointer& entry, const CallContext& context, Clock& clock,
                               const Rules& rules);
  void leave(const EntryPointer& entry, const Rules& rules);
  void keep(const EntryPointer& entry, TimePoint now, const Rules& rules);
  void drop_oldest(std::list<EntryPointer>& kept);

  using Entries = std::multimap<std::string, EntryPointer>;

  mutable std::mutex mutex_;
  Entries entries_;  // by key, running and kept
  // The oldest first: of clients that may repeat a request, and of those that never said so.
  std::list<EntryPointer> kept_;
  std::list<EntryPointer> unasked_;
  std::size_t kept_bytes_ = 0;  // of both
};

}  // namespace falproxy::gateway
