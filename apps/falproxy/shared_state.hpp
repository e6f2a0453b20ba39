// shared_state.hpp: what is noted in the Redis of STATE_URL, and on this machine while that is
// away.
#pragma once

#include <atomic>
#include <cstddef>
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

/// Thread-safe. Each operation goes to the shared store; what that one cannot do is noted here, and
/// handed to it once it is back. What only all together can decide (a charge within a budget,
/// what was spent, kept files) fails meanwhile.
///
/// So while the shared store is away each process knows its own runs alone: a repeat that lands
/// elsewhere is not found.
class SharedState final : public StateStore, public SpendingStore, public MediaIndex {
 public:
  /// Of all three.
  template <class T>
  using Callback = StateStore::Callback<T>;
  /// The stores that it works with.
  struct Parts {
    std::unique_ptr<StateStore> local;     ///< on this machine
    SpendingStore* local_texts = nullptr;  ///< beside it; not null
    std::function<TimePoint()> now;        ///< of the monotonic clock
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
    owned_ = std::move(shared);
    begin();
  }
  /// The shared store can be used again: it is given what was noted here. Does not block.
  void hand_over();
  /// How many runs it has yet to be given.
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
  void put(std::string name, std::string text, TimePoint deadline, Callback<Done> done) override;
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
  void write_here(const RunRecord& record, Durability durability, TimePoint deadline,
                  Callback<Done> done);
  void keep(const RunRecord& record);
  void keep_charges(const std::vector<Charge>& charges);
  void note_charges();  // under the lock
  void hand_over_next();
  void hand_over_charges();
  void hand_over_spending();
  void keep_text(const std::string& name, const std::string& text);

  Parts parts_;
  mutable std::mutex mutex_;
  std::map<RunId, RunRecord> kept_;                  // that the shared store does not have
  std::map<std::pair<std::string, Day>, Usd> owed_;  // charges
  std::vector<Spending> reports_;
  std::map<std::string, std::size_t> texts_;  // hashes of what is kept here, too
  std::size_t handing_over_ = 0;
  bool tells_full_ = true;
  std::atomic<bool> has_kept_ = false;
  StateStore* store_ = nullptr;
  SpendingStore* spending_ = nullptr;
  MediaIndex* media_ = nullptr;
  // The last member: when it goes, what waits for it is noted here.
  std::shared_ptr<void> owned_;
};

}  // namespace falproxy::app
