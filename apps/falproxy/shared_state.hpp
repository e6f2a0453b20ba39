// shared_state.hpp: what is noted in the Redis of STATE_URL, and on this machine while that is
// away.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "falproxy/log.hpp"
#include "falproxy/media_index.hpp"
#include "falproxy/spending_store.hpp"
#include "falproxy/state_store.hpp"

namespace falproxy::app {

/// Thread-safe. Each operation goes to the shared store; what that one cannot do is noted in the
/// local one, and handed to it once it is back, by a later process if this one ends before. What
/// only all together can decide (a charge within a budget, what was spent, kept files) fails
/// meanwhile.
///
/// What is promised to somebody is noted here in any case. So while the shared store is away each
/// machine knows its own runs alone: a repeat that lands elsewhere is not found.
class SharedState final : public StateStore, public SpendingStore, public MediaIndex {
 public:
  /// Of all three.
  template <class T>
  using Callback = StateStore::Callback<T>;
  /// The stores that it works with.
  struct Parts {
    std::unique_ptr<StateStore> local;  ///< on this machine
    /// Beside it; not null. Of what an earlier process that was alone has charged there the shared
    /// store hears once.
    SpendingStore* local_texts = nullptr;
    std::function<TimePoint()> now;  ///< of the monotonic clock
    LogLine log = {};
  };
  explicit SharedState(Parts parts);
  ~SharedState() override;
  SharedState(const SharedState&) = delete;
  SharedState& operator=(const SharedState&) = delete;

  /// What all share; called once, before anything else. It outlives nothing of this.
  template <class Shared>
  void share(std::unique_ptr<Shared> shared) {
    store_ = shared.get();
    spending_ = shared.get();
    media_ = shared.get();
    self_ = shared->self();
    owned_ = std::move(shared);
    begin();
  }
  /// The shared store can be used again: it is given what was noted here. Does not block.
  void hand_over();
  /// How much it has yet to be given: runs, charges, reports.
  [[nodiscard]] std::size_t kept_here() const;

  /// @{
  /// As StateStore, SpendingStore and MediaIndex say.
  void write(const RunRecord& record, Durability durability, TimePoint deadline,
             Callback<Done> done) override;
  void claim(const RunRecord& record, std::vector<RunId> known, TimePoint deadline,
             Callback<std::optional<RunId>> done) override;
  void erase(const RunId& id, TimePoint deadline, Callback<Done> done) override;
  void find(const RunQuery& query, TimePoint deadline,
            Callback<std::vector<RunRecord>> done) override;
  void forget_expired(WallTime now, TimePoint deadline, Callback<std::uint64_t> done) override;
  [[nodiscard]] StoreStatus status() const override;

  void charge(std::vector<Charge> charges, Durability durability, TimePoint deadline,
              Callback<Done> done) override;
  void charge_within(std::vector<Charge> charges, std::vector<SpendingBound> bounds, Day today,
                     TimePoint deadline, Callback<Charged> done) override;
  void balances(Day today, TimePoint deadline, Callback<std::vector<Balance>> done) override;
  void add(Spending spending, TimePoint deadline, Callback<Done> done) override;
  void sum(const SpendingQuery& query, TimePoint deadline,
           Callback<std::vector<Spending>> done) override;
  void forget_spending(Day day, TimePoint deadline, Callback<Done> done) override;
  void post_within(Posting posting, std::vector<SpendingBound> bounds, Day today,
                   TimePoint deadline, Callback<Charged> done) override;
  void post(Posting posting, TimePoint deadline, Callback<Done> done) override;
  void put(std::string name, std::string text, TimePoint deadline, Callback<Done> done) override;
  void put_first(std::string name, std::string text, TimePoint deadline,
                 Callback<KeptText> done) override;
  void get(std::string name, TimePoint deadline, Callback<std::string> done) override;
  void get_newer(std::string name, std::optional<std::uint64_t> version, TimePoint deadline,
                 Callback<std::optional<KeptText>> done) override;
  void put_after(std::string name, std::uint64_t version, std::string text, TimePoint deadline,
                 Callback<bool> done) override;

  void note(std::vector<MediaRecord> records, TimePoint deadline, Callback<Done> done) override;
  void change(const MediaRecord& record, TimePoint deadline, Callback<Done> done) override;
  void forget(const RunId& id, TimePoint deadline, Callback<Done> done) override;
  void look_up(const MediaQuery& query, TimePoint deadline,
               Callback<std::vector<MediaRecord>> done) override;
  void totals(TimePoint deadline, Callback<std::vector<MediaTotal>> done) override;
  /// @}

 private:
  void begin();
  void bring_charges();
  void write_here(const RunRecord& record, Durability durability, TimePoint deadline,
                  Callback<Done> done);
  void copy_here(const RunRecord& record, Durability durability, TimePoint deadline,
                 std::function<void()> done);
  void keep(const Posting& posting, Callback<Done> done);
  [[nodiscard]] Callback<Done> when_kept(Callback<Done> done);
  [[nodiscard]] RunId new_id();
  void look_for_kept();
  void hand_over_next();
  void hand_over_one(const RunRecord& kept);
  void handed_over(bool is_over);
  void keep_text(const std::string& name, const std::string& text);

  Parts parts_;
  RunId self_;  // of the shared store's members
  mutable std::mutex mutex_;
  std::deque<RunRecord> page_;  // of what is to be handed over, as it is noted here
  std::size_t handing_over_ = 0;
  bool is_looking_ = false, has_failed_ = false, is_ending_ = false;
  std::condition_variable idle_;
  std::uint64_t kept_ = 0, kept_before_ = 0;  // how often something was, and before the last look
  std::uint64_t names_ = 0;
  TimePoint not_before_ = TimePoint::min();
  std::map<std::string, std::size_t> texts_;  // hashes of what is kept here, too
  std::atomic<bool> has_kept_ = false;        // from begin() on, until a look finds nothing
  StateStore* store_ = nullptr;
  SpendingStore* spending_ = nullptr;
  MediaIndex* media_ = nullptr;
  // The last member: when it goes, what waits for it is noted here.
  std::shared_ptr<void> owned_;
};

}  // namespace falproxy::app
