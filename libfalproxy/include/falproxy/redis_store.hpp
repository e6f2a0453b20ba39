// redis_store.hpp: records of runs, of what was spent and of kept files in a Redis or Valkey that
// several processes share.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/log.hpp"
#include "falproxy/media_index.hpp"
#include "falproxy/peers.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/spending_store.hpp"
#include "falproxy/state_store.hpp"

namespace falproxy::inline v0 {

/// Thread-safe. One thread has one connection, over which whatever waits goes at once; callbacks
/// are called on that thread, or on the caller's. It reads the monotonic clock. What has to be one
/// step is a script inside Redis, whose clock counts for places and for who is gone.
///
/// What Redis has not answered within StateAddress::bound fails as `timed_out`, perhaps done
/// (StoreError::may_be_done). Its turn and a new connection may take as long each, so that an
/// operation takes three times the bound at most; sum() and balances() are several, one after the
/// other, until their deadline. After five
/// failures in a row all fail at once, as `unavailable`, until one of the probes, of which there is
/// one a second, is answered. Nothing is done twice but what Redis refused because it loads its
/// data, or is no master.
///
/// What is durable is what Redis makes of it: once it has answered, its own persistence decides.
class RedisStore final : public StateStore, public SpendingStore, public MediaIndex, public Peers {
 public:
  /// Of all of them.
  template <class T>
  using Callback = StateStore::Callback<T>;
  /// As they are when the store is opened.
  struct Options {
    StateAddress address;               ///< where Redis is
    RunId self;                         ///< Peers::self(); drawn by chance
    std::string ca_file = {};           ///< PEM, for `rediss`; empty: the system's
    std::size_t max_waiting = 20'000;   ///< operations that may wait at once
    Milliseconds connect_bound{1'000};  ///< of a connection that no operation waits for
    Milliseconds lease{30'000};         ///< see Peers: a process that is silent for so long is gone
    Milliseconds beat{5'000};           ///< how often it tells that it is there
    LogLine log = {};  ///< told when Redis can no longer be used, and when it can again

    /// Called once Redis can be used again, on the store's thread; it does not block.
    std::function<void()> on_return = {};
  };
  /// Connects, for at most `connect_bound`. That Redis cannot be reached is no error: status() says
  /// so, and it is tried again. Errors: unavailable, if the certificates of `ca_file` cannot be
  /// read.
  [[nodiscard]] static Result<std::unique_ptr<RedisStore>, StoreError> open(Options options);
  /// Lets what was begun end, gives all places back and tells the others that it goes; what waits
  /// hears `closed`.
  ~RedisStore() override;
  RedisStore(const RedisStore&) = delete;
  RedisStore& operator=(const RedisStore&) = delete;

  /// What passed over the connection, since the start.
  struct Traffic {
    std::uint64_t commands = 0;  ///< sent
    std::uint64_t trips = 0;     ///< answers that were waited for: many commands share one
    std::uint64_t sent = 0;      ///< bytes
    std::uint64_t received = 0;  ///< bytes
    bool operator==(const Traffic&) const = default;
  };
  /// What passed until now.
  [[nodiscard]] Traffic traffic() const;

  /// @{
  /// As StateStore, SpendingStore, MediaIndex and Peers say.
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
  void post_within(Posting posting, std::vector<SpendingBound> bounds, Day today,
                   TimePoint deadline, Callback<Charged> done) override;
  void post(Posting posting, TimePoint deadline, Callback<Done> done) override;
  void put_first(std::string name, std::string text, TimePoint deadline,
                 Callback<KeptText> done) override;
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

  [[nodiscard]] const RunId& self() const noexcept override;
  [[nodiscard]] bool is_gone(const RunId& process) const override;
  [[nodiscard]] std::size_t count() const override;
  [[nodiscard]] std::uint64_t departures() const override;
  void take_place(const std::string& account, const std::string& ticket, int limit,
                  TimePoint deadline, Callback<bool> done) override;
  void give_back(const std::string& account, const std::string& ticket) override;
  [[nodiscard]] std::uint64_t absences() const override;
  void take_turn(const Turn& turn, TimePoint deadline, Callback<TurnAnswer> done) override;
  std::string tell(const KeyBan& ban) override;
  void lift(KeyBan::Kind kind, const std::string& name) override;
  [[nodiscard]] std::vector<KeyBan> bans() const override;
  [[nodiscard]] std::uint64_t news() const override;
  void take_probe(KeyBan::Kind kind, const std::string& name, TimePoint deadline,
                  Callback<Milliseconds> done) override;
  void cancel(const RunId& run) override;
  void on_cancel(const std::function<void(const RunId&)>& heard) override;
  /// @}
  /// All processes, as they were heard of last.
  [[nodiscard]] std::vector<RunId> members() const;

 private:
  struct Impl;
  explicit RedisStore(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace falproxy::inline v0
