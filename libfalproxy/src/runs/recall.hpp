// recall.hpp: looks in the store for an earlier run of the same wish, by another process or long
// ago.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>

#include "falproxy/state_store.hpp"
#include "runs/recorder.hpp"

namespace falproxy::inline v0::runs {

/// Clients whose connection was cut send the same request again within this time.
inline constexpr std::chrono::seconds cut_clients_return{10};

/// What an earlier process has left. Thread-safe.
class Past {
 public:
  /// `peers`: who shares the store; null: nobody.
  explicit Past(WallTime started, const Peers* peers = nullptr)
      : started_(started), peers_(peers) {}

  [[nodiscard]] WallTime started() const noexcept { return started_; }
  /// Its process is gone: of one that has the store alone, what was created before it began.
  [[nodiscard]] bool has(const RunRecord& record) const {
    if (peers_ == nullptr || record.holder == RunId()) return record.created < started_;
    return peers_->is_gone(record.holder);
  }
  /// Another process of those that share the store looks after it.
  [[nodiscard]] bool is_elsewhere(const RunRecord& record) const {
    return peers_ != nullptr && record.holder != RunId() && record.holder != peers_->self() &&
           !peers_->is_gone(record.holder);
  }
  /// False: it was said before.
  [[nodiscard]] bool is_news(const RunId& id) {
    const std::lock_guard lock(mutex_);
    return told_.insert(id).second;
  }

  /// The right to go on with a run, for one request at a time; whoever follows it hears of that.
  /// None: another request has it.
  using Hold = std::unique_ptr<Past, std::function<void(Past*)>>;
  [[nodiscard]] std::optional<Hold> hold(const RunRecord& record);
  /// A request goes on with it.
  [[nodiscard]] bool is_held(const RunId& id) const;
  /// Whether fal may be asked for an uncertain run once more, since somebody repeats it.
  [[nodiscard]] bool may_look(const RunRecord& record);
  /// @{
  /// Whether fal has the jobs of an uncertain run is being looked for.
  void search(const RunId& id);
  void end_search(const RunId& id);
  [[nodiscard]] bool is_searched(const RunId& id) const;
  /// @}

  /// Hears of a claim as long as it lives, and of one that came before.
  class Claims {
   public:
    /// `heard` is called with a lock held: it must not call `past`.
    Claims(Past& past, const RunId& id, std::function<void()> heard);
    ~Claims();
    Claims(const Claims&) = delete;
    Claims& operator=(const Claims&) = delete;

   private:
    Past& past_;
    const RunId id_;
  };

 private:
  const WallTime started_;
  const Peers* const peers_;
  mutable std::mutex mutex_;
  std::set<RunId> claimed_, held_, searched_, told_;
  std::map<RunId, std::function<void()>> hear_;
  std::map<RunId, int> looks_;
};

/// A run that can be gone on with.
struct Recalled {
  RunRecord record;
  std::shared_ptr<const Harvest> harvest;
  Past::Hold hold;  ///< as long as the request is served
};

/// What the store has, asked once and waited for.
[[nodiscard]] Result<std::vector<RunRecord>, StoreError> find_records(
    const World& world, const RunQuery& query, Milliseconds longest = longest_store_wait);

/// The earlier run that a request repeats: by its Idempotency-Key, by a retry count, or because an
/// earlier process was following it when it ended a moment ago. None: it has to be run, and
/// `asked.known` has what was found all the same. What another process is about to submit is waited
/// for; what is uncertain is looked for at fal first, see find_lost().
/// Errors: idempotency_key_reused, job_uncertain, overloaded (the store is slow).
[[nodiscard]] Result<std::optional<Recalled>> recall(const World& world, Asked& asked, Past& past,
                                                     const Patience& patience);

/// Makes a record of a process that is gone this one's own. False: another one has it, or the store
/// fails.
[[nodiscard]] bool take_over(const World& world, RunRecord& record);

/// fal took a job of it, and did not cancel it.
[[nodiscard]] bool fal_has_some(const RunRecord& record);
/// An Idempotency-Key came with another request before.
[[nodiscard]] Error key_reused();
/// A job as far as its record tells of it.
[[nodiscard]] JobOutput output_of(const World& world, const RunJob& job);
/// The job of a record as fal knows it; none if it cannot be said.
[[nodiscard]] std::optional<TakenJob> taken_job(const World& world, const RunJob& job);

}  // namespace falproxy::inline v0::runs
