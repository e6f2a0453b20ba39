// spending_store.hpp: what was spent, and where that is kept: what counts against budgets, and what
// reports are made from.
//
// `MemorySpending` keeps it as long as the process lives, `SqliteStore` of falproxy::sqlite in a
// file, `RedisStore` of falproxy::redis for several processes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/money.hpp"
#include "falproxy/print.hpp"
#include "falproxy/result.hpp"
#include "falproxy/state_store.hpp"

namespace falproxy::inline v0 {

/// What is added to what an owner of a budget has spent on a day.
struct Charge {
  std::string owner = {};  ///< the name of a key, or "*"
  Day day = 0;             ///< that its window is found by
  Usd amount = {};         ///< negative: it is given back
  bool operator==(const Charge&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Charge& charge);

/// What an owner has spent in each of the windows that a day is in.
struct Balance {
  std::string owner = {};  ///< of the charges
  Usd day = {};            ///< what was charged that day
  Usd week = {};           ///< that week
  Usd month = {};          ///< that month
  Usd total = {};          ///< ever
  bool operator==(const Balance&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Balance& balance);

/// What an owner may have spent in a window, at most.
struct SpendingBound {
  std::string owner = {};                     ///< of the charges
  BudgetWindow window = BudgetWindow::total;  ///< the one that the day of the charges is in
  Usd amount = {};                            ///< together with what is charged
  bool operator==(const SpendingBound&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const SpendingBound& bound);

/// What became of charges with a bound.
struct Charged {
  bool done = true;                    ///< false: a bound would have been passed
  std::vector<Balance> balances = {};  ///< as they are then, of the owners of the bounds
  bool operator==(const Charged&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Charged& charged);

/// Requests that have day, key, model and user in common, in one figure each.
struct Spending {
  Day day = 0;                  ///< of the answer
  std::string key = {};         ///< the access key's name
  std::string model = {};       ///< as it is configured
  std::string user = {};        ///< whom the key's holder asked for; empty: nobody said
  std::uint64_t requests = 0;   ///< that were answered, failures included
  std::uint64_t failures = 0;   ///< of them, those with a status of 400 and more
  std::uint64_t artifacts = 0;  ///< files that were made
  std::int64_t unpriced = 0;    ///< jobs whose cost is not known; negative: it became known
  Units units = {};             ///< of fal's billing
  Usd cost = {};                ///< as far as it is known
  Usd corrected = {};           ///< the part of `cost` that fal's bills have added or taken away
  bool operator==(const Spending&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Spending& spending);

/// What is added in one step: all of it, or nothing.
struct Posting {
  /// A store that several processes share does what has a name once, whoever asks for it and
  /// however often, within `posting_life`; empty: each time.
  std::string once = {};
  std::vector<Charge> charges = {};  ///< what budgets count
  Spending spending = {};            ///< nothing in it: no report changes
  bool takes_back = false;  ///< undoes the charges if they were made, and has them made no more
  bool operator==(const Posting&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Posting& posting);
/// How long the name of a posting is remembered.
inline constexpr std::chrono::hours posting_life{6};

/// What a report puts into one row.
enum class SpendingBy { day, key, model, user };
/// As written above.
[[nodiscard]] std::string_view name_of(SpendingBy value) noexcept;

/// Which spending sum() adds up.
struct SpendingQuery {
  Day first = 0;                        ///< with
  Day last = 0;                         ///< and with
  SpendingBy by = SpendingBy::day;      ///< the other names of a row are empty, and its day is 0
  std::optional<std::string> key = {};  ///< of this key only
  bool operator==(const SpendingQuery&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const SpendingQuery& query);

/// A text that is kept under a name.
struct KeptText {
  std::string text = {};      ///< empty: there is none
  std::uint64_t version = 0;  ///< another one after each put
  bool operator==(const KeptText&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const KeptText& kept);

/// Rows of one sum(), at most: those that cost most.
inline constexpr std::size_t most_spending_rows = 10'000;

/// Thread-safe, and asynchronous, with the errors and the promises of StateStore. Amounts are added
/// where they are kept, so that writers never undo each other.
class SpendingStore {
 public:
  /// Called once, with what came of an operation.
  template <class T>
  using Callback = StateStore::Callback<T>;

  virtual ~SpendingStore() = default;

  /// Adds all of them, or none.
  virtual void charge(std::vector<Charge> charges, Durability durability, TimePoint deadline,
                      Callback<Done> done) = 0;
  /// Adds all of them (durable), if each bound is kept then; else none. One step, whoever else
  /// charges. A store that one process has alone adds them, and tells no balances: who charges
  /// compares before.
  virtual void charge_within(std::vector<Charge> charges, std::vector<SpendingBound> bounds,
                             Day today, TimePoint deadline, Callback<Charged> done);
  /// As charge_within(), under a name: see Posting::once. Nothing but charges is posted.
  virtual void post_within(Posting posting, std::vector<SpendingBound> bounds, Day today,
                           TimePoint deadline, Callback<Charged> done);
  /// Adds what a job or an answer comes to (lazy). A store that one process has alone pays no heed
  /// to names, and charges and reports in two steps.
  virtual void post(Posting posting, TimePoint deadline, Callback<Done> done);
  /// Of every owner that was ever charged, in no order.
  virtual void balances(Day today, TimePoint deadline, Callback<std::vector<Balance>> done) = 0;
  /// Adds one request or more (lazy).
  virtual void add(Spending spending, TimePoint deadline, Callback<Done> done) = 0;
  /// Days in their order; all else what cost most first.
  virtual void sum(const SpendingQuery& query, TimePoint deadline,
                   Callback<std::vector<Spending>> done) = 0;
  /// Forgets the spending, and not the charges, of days before `day` (lazy).
  virtual void forget_spending(Day day, TimePoint deadline, Callback<Done> done) = 0;

  /// Keeps a text under a name, in place of the one before (durable); an empty one is forgotten.
  /// For price lists, keys and the like.
  virtual void put(std::string name, std::string text, TimePoint deadline, Callback<Done> done) = 0;
  /// As put(), if nobody has ever put a text of that name; the callback hears what is there then.
  /// One step in a store that several processes share.
  virtual void put_first(std::string name, std::string text, TimePoint deadline,
                         Callback<KeptText> done);
  /// The text; empty: there is none.
  virtual void get(std::string name, TimePoint deadline, Callback<std::string> done) = 0;
  /// As get(); none: the text is still the one of `version`. A store that one process has alone
  /// tells none whenever a version is given.
  virtual void get_newer(std::string name, std::optional<std::uint64_t> version, TimePoint deadline,
                         Callback<std::optional<KeptText>> done);
  /// As put(), but only if the text is still the one of `version`; false: it is not, and nothing
  /// was put. A store that one process has alone puts it.
  virtual void put_after(std::string name, std::uint64_t version, std::string text,
                         TimePoint deadline, Callback<bool> done);
};

/// Puts what `change` makes of a text, and does so anew if another process has put one meanwhile;
/// so `change` may be called several times, from whatever thread. It does not block. Two changes
/// that one process makes must come one after the other. Errors: those of the store.
void edit_text(SpendingStore& store, const std::string& name,
               std::function<std::string(const std::string&)> change, TimePoint deadline,
               SpendingStore::Callback<Done> done);

/// Keeps it as long as it lives. Thread-safe; it calls back before an operation returns, and no
/// deadline passes.
class MemorySpending final : public SpendingStore {
 public:
  MemorySpending();
  ~MemorySpending() override;
  MemorySpending(const MemorySpending&) = delete;
  MemorySpending& operator=(const MemorySpending&) = delete;

  void charge(std::vector<Charge> charges, Durability durability, TimePoint deadline,
              Callback<Done> done) override;
  void balances(Day today, TimePoint deadline, Callback<std::vector<Balance>> done) override;
  void add(Spending spending, TimePoint deadline, Callback<Done> done) override;
  void sum(const SpendingQuery& query, TimePoint deadline,
           Callback<std::vector<Spending>> done) override;
  void forget_spending(Day day, TimePoint deadline, Callback<Done> done) override;
  void put(std::string name, std::string text, TimePoint deadline, Callback<Done> done) override;
  void get(std::string name, TimePoint deadline, Callback<std::string> done) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace falproxy::inline v0
