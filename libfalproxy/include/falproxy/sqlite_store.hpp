// sqlite_store.hpp: records of runs, of what was spent and of kept files, in one file, for one
// process on one machine.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/log.hpp"
#include "falproxy/media_index.hpp"
#include "falproxy/spending_store.hpp"
#include "falproxy/state_store.hpp"

namespace falproxy::inline v0 {

/// Thread-safe. One thread writes and one reads; whatever waits to be written is written in one
/// transaction, so that many durable writes cost one flush of the disk. Callbacks are called on
/// these threads, or on the caller's. It reads the monotonic clock.
///
/// The folder holds `falproxy.db`, SQLite's files beside it, and `falproxy.lock`, which keeps other
/// processes out as long as the store lives, and is gone with the process. What is damaged is
/// renamed to `falproxy.db.damaged-` and the time, and never deleted.
class SqliteStore final : public StateStore, public SpendingStore, public MediaIndex {
 public:
  /// Of all three.
  template <class T>
  using Callback = StateStore::Callback<T>;
  /// As they are when the store is opened.
  struct Options {
    std::filesystem::path folder;               ///< made if it is not there, for its owner alone
    std::size_t max_waiting = 20'000;           ///< operations that may wait at once
    std::size_t max_waiting_bytes = 64u << 20;  ///< of records that wait to be written
    Milliseconds lazy_wait{50};                 ///< how long a lazy write waits for a durable one
    Milliseconds drain{5000};  ///< how long the destructor lets what waits be written
    std::string vfs = {};      ///< SQLite's name of a file system; empty: its default
    /// Told when writes begin to fail, and when they are done again.
    LogLine log = {};
  };
  /// A file that was there before is read and brought up to date. Returns within a third of a
  /// second, whatever it holds. Errors: in_use; newer; foreign; unavailable, if the folder or the
  /// file cannot be made, read or written. A file that is damaged is no error: see notice().
  [[nodiscard]] static Result<std::unique_ptr<SqliteStore>, StoreError> open(Options options);
  /// Writes what waits, for Options::drain at most; what is left hears `closed`.
  ~SqliteStore() override;
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;

  /// What the operator should hear of the opening: that a damaged file was set aside, where to, and
  /// why. Empty: nothing.
  [[nodiscard]] const std::string& notice() const noexcept;

  /// @{
  /// As StateStore, SpendingStore and MediaIndex say.
  void write(const RunRecord& record, Durability durability, TimePoint deadline,
             Callback<Done> done) override;
  void erase(const RunId& id, TimePoint deadline, Callback<Done> done) override;
  void find(const RunQuery& query, TimePoint deadline,
            Callback<std::vector<RunRecord>> done) override;
  void forget_expired(WallTime now, TimePoint deadline, Callback<std::uint64_t> done) override;
  [[nodiscard]] StoreStatus status() const override;

  void charge(std::vector<Charge> charges, Durability durability, TimePoint deadline,
              Callback<Done> done) override;
  void balances(Day today, TimePoint deadline, Callback<std::vector<Balance>> done) override;
  void add(Spending spending, TimePoint deadline, Callback<Done> done) override;
  void sum(const SpendingQuery& query, TimePoint deadline,
           Callback<std::vector<Spending>> done) override;
  void forget_spending(Day day, TimePoint deadline, Callback<Done> done) override;
  void put(std::string name, std::string text, TimePoint deadline, Callback<Done> done) override;
  void get(std::string name, TimePoint deadline, Callback<std::string> done) override;

  void note(std::vector<MediaRecord> records, TimePoint deadline, Callback<Done> done) override;
  void change(const MediaRecord& record, TimePoint deadline, Callback<Done> done) override;
  void forget(const RunId& id, TimePoint deadline, Callback<Done> done) override;
  void look_up(const MediaQuery& query, TimePoint deadline,
               Callback<std::vector<MediaRecord>> done) override;
  void totals(TimePoint deadline, Callback<std::vector<MediaTotal>> done) override;
  /// @}

 private:
  struct Impl;
  explicit SqliteStore(std::shared_ptr<Impl> impl) noexcept;
  std::shared_ptr<Impl> impl_;
};

}  // namespace falproxy::inline v0
