// spending_rows.hpp: charges, spending and texts as rows of their tables, and back.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "database.hpp"
#include "falproxy/spending_store.hpp"
#include "state/spending_sum.hpp"

namespace falproxy::inline v0::sqlite {

/// Adds to rows, within a transaction that the caller began. For one thread. All give SQLite's
/// code.
class SpendingWriter {
 public:
  [[nodiscard]] int prepare(const Database& database);
  [[nodiscard]] int charge(const std::vector<Charge>& charges);
  /// Writes it with flush(): what has day, key, model and user in common becomes one write.
  [[nodiscard]] int add(const Spending& spending);
  [[nodiscard]] int flush();
  /// What was added since the last flush() is forgotten.
  void drop() noexcept { added_.clear(); }
  [[nodiscard]] int forget_spending(Day day);
  [[nodiscard]] int put(const std::string& name, const std::string& text);

 private:
  using Names = std::tuple<Day, std::string, std::string, std::string>;
  Statement charge_, add_, add_total_, forget_, forget_totals_, put_, drop_;
  std::map<Names, Spending> added_;
};

/// A report by user on its way: it may be made from millions of rows, so it is made in parts.
struct UserReport {
  explicit UserReport(const SpendingQuery& asked)
      : query(asked), sums(asked), day(asked.first), key(asked.key.value_or("")) {}

  const SpendingQuery query;
  SpendingReport sums;
  bool is_whole = false;
  /// @{
  /// The first key of the first day that is not added yet, or one before it.
  Day day;
  std::string key;
  /// @}
};

/// Reads them. For one thread. All give SQLite's code.
class SpendingReader {
 public:
  [[nodiscard]] int prepare(const Database& database);
  [[nodiscard]] int balances(Day today, std::vector<Balance>& all);
  /// Not by user.
  [[nodiscard]] int sum(const SpendingQuery& query, std::vector<Spending>& rows);
  /// One more part of it.
  [[nodiscard]] int go_on(UserReport& report);
  [[nodiscard]] int get(const std::string& name, std::string& text);

 private:
  [[nodiscard]] int find_next_key(UserReport& report);
  [[nodiscard]] int add_users(UserReport& report, std::size_t& rows);

  Statement balances_, by_day_, by_key_, by_model_, next_key_, users_, get_;
};

}  // namespace falproxy::inline v0::sqlite
