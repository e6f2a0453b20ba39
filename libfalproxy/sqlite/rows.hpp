// rows.hpp: records as rows of the table `runs`, and back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "database.hpp"
#include "falproxy/state_store.hpp"

namespace falproxy::inline v0::sqlite {

/// What a row is made from. No more than this waits to be written.
struct Row {
  std::int64_t id = 0;  ///< the first 8 bytes of it, and so of the digests
  std::int64_t fence = 0;
  bool open = false;
  bool promised = false;
  std::string owner = {};
  std::string surface = {};
  std::int64_t created = 0;
  std::int64_t expires = 0;
  std::int64_t digest = 0;
  std::optional<std::int64_t> key = {};
  std::string record = {};  ///< pack()
};
/// Errors: those of pack().
[[nodiscard]] Result<Row, StoreError> row_of(const RunRecord& record);
/// The whole id of its run; valid as long as the row.
[[nodiscard]] std::string_view id_of(const Row& row) noexcept;

/// What one step of a transaction came to.
struct Written {
  int code = SQLITE_OK;                              ///< SQLite's; others end the transaction
  std::optional<StoreError> refused = std::nullopt;  ///< of this step alone
  /// @{
  /// How many more there are than before; negative: fewer.
  std::int64_t records = 0;
  std::int64_t open = 0;
  /// @}
  std::uint64_t steps = 0;  ///< of runs: for StoreStatus::written
};

/// Changes rows, within a transaction that the caller began. For one thread.
class RowWriter {
 public:
  /// SQLite's code. `database` must outlive it.
  [[nodiscard]] int prepare(const Database& database);

  [[nodiscard]] Written write(const Row& row);
  /// A row that is not written, as the next one of the same run, with a higher fence, says it all:
  /// `refused` is set when that is written. Both must stay until then.
  void write_with_next(const Row& row, std::optional<StoreError>& refused);
  [[nodiscard]] Written erase(const RunId& id);
  /// At most `limit` of those that expire at `now` or earlier.
  [[nodiscard]] Written forget(std::int64_t now, std::int64_t limit);
  /// After a transaction that was undone: what is known of names and rows may not hold.
  void forget_all() {
    names_.clear();
    earlier_.clear();
    known_.clear();
  }

 private:
  /// What is there, as far as a write must know.
  struct Stored {
    std::int64_t row = 0;
    std::int64_t fence = 0;
    bool open = false;
    bool promised = false;
    std::int64_t owner = 0, surface = 0, created = 0, expires = 0;
    std::optional<std::int64_t> key;
    bool same_digest = false;
    bool same_record = false;
  };
  /// The same of a run that is open, with its id and its digest.
  struct Known {
    Stored stored;
    std::string head;
  };
  [[nodiscard]] static int read(Statement& statement, std::string_view id, std::string_view record,
                                std::optional<Stored>& stored);
  [[nodiscard]] int find(const Row& row, std::int64_t owner, std::optional<Stored>& stored);
  [[nodiscard]] int look_up(const Row& row, std::int64_t owner, std::optional<Stored>& stored);
  void remember(const Row& row, const Stored& stored);
  [[nodiscard]] int number_of(const std::string& name, std::int64_t& number);
  /// Those that are done with a row of that id, before it is written.
  struct Earlier {
    const Row* row;
    std::optional<StoreError>* refused;
  };
  [[nodiscard]] Written write_alone(const Row& row, const std::vector<Earlier>& done_with);
  [[nodiscard]] int judge(const std::vector<Earlier>& earlier, std::int64_t owner,
                          const std::optional<Stored>& stored);

  const Database* writing_ = nullptr;
  Statement find_, find_by_id_, insert_, update_, update_open_, update_end_, update_all_, erase_,
      forget_, name_, new_name_;
  std::unordered_map<std::string, std::int64_t> names_;
  // Of runs that are open, by the first bytes of the id: most are written again soon, and need not
  // be read for that.
  std::unordered_map<std::int64_t, Known> known_;
  std::unordered_map<std::string_view, std::vector<Earlier>> earlier_;  // by id
};

/// Reads rows. For one thread.
class RowReader {
 public:
  /// SQLite's code.
  [[nodiscard]] int prepare(const Database& database);

  /// Appends what answers `query` to `found`. SQLite's code, or SQLITE_CORRUPT, if a record is
  /// none.
  [[nodiscard]] int find(const RunQuery& query, std::vector<RunRecord>& found);

 private:
  struct Bounds;
  [[nodiscard]] int collect(Statement& statement, const RunQuery& query,
                            std::vector<RunRecord>& found);
  [[nodiscard]] int find_of_owner(const RunQuery& query, std::int64_t owner, const Bounds& bounds,
                                  std::vector<RunRecord>& found);
  [[nodiscard]] int number_of(const std::string& name, std::optional<std::int64_t>& number);

  Statement by_id_, by_digest_, by_key_, by_owner_, by_owner_oldest_, open_, surfaces_, name_;
};

}  // namespace falproxy::inline v0::sqlite
