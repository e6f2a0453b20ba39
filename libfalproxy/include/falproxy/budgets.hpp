// budgets.hpp: a Purse that holds each key to its budget, and knows what fal takes for a job.
#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/log.hpp"
#include "falproxy/money.hpp"
#include "falproxy/print.hpp"
#include "falproxy/purse.hpp"
#include "falproxy/result.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/spending_store.hpp"

namespace falproxy::inline v0 {

/// What an operator wants to hear at once.
struct SpendingAlert {
  /// Of what.
  enum class Kind {
    budget_nearly_spent,  ///< four fifths of a budget
    budget_spent,         ///< all of a budget
    costly_job,           ///< a job cost ten times its estimate, or more than `max_job_cost`
    account_locked,       ///< fal takes no jobs of an account: it is locked, or has no balance
    low_balance,          ///< less is left on fal's account than the operator wants
  };
  Kind kind = Kind::budget_spent;  ///< decides what else is there
  std::string key = {};            ///< the name of its row in KEYS_FILE; empty: of no key
  std::string message = {};        ///< one sentence
  Usd spent = {};                  ///< in the window; of a job: what it cost
  /// The budget; of a job: its estimate, or `max_job_cost`; of fal's account: what is left on it.
  Usd limit = {};
  /// But for the message.
  bool operator==(const SpendingAlert& other) const noexcept {
    return kind == other.kind && key == other.key && spent == other.spent && limit == other.limit;
  }
};
/// As written above.
[[nodiscard]] std::string_view name_of(SpendingAlert::Kind value) noexcept;
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const SpendingAlert& alert);

/// How a key stands.
struct BudgetStatus {
  std::optional<Budget> budget = {};           ///< none: it may spend what it likes
  Usd spent = {};                              ///< in the budget's window, what is reserved too
  std::optional<WallTime> window_ends = {};    ///< none: `total`, or no budget
  std::optional<WallTime> blocked_until = {};  ///< by a job that cost more than `max_job_cost`
  bool operator==(const BudgetStatus&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const BudgetStatus& status);

/// What a job cost as it was settled, until fal's own bill for it is there.
struct SettledJob {
  Payer payer = {};                  ///< whose it was
  std::string fal_request_id = {};   ///< by which its bill is found; empty: fal never named it
  Day charged_on = 0;                ///< the day whose window it counts for
  Day spent_on = 0;                  ///< the day whose report it is in
  std::optional<Usd> cost = {};      ///< none: it was not known, and `charged` stayed spent
  Usd charged = {};                  ///< against budgets
  std::optional<Usd> estimate = {};  ///< before it ran; none: not known beforehand
  bool restored = false;             ///< see Reservation::restored
  bool operator==(const SettledJob&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const SettledJob& job);

/// Thread-safe. What is reserved counts as spent from before the submit, and is in the store by
/// then; so of a budget B and jobs of the price p there are never more than B/p submits, however
/// many ask at once, and also if the process is killed. What a killed process had reserved stays
/// spent, unless the job is followed to its end.
class Budgets final : public Purse {
 public:
  /// What it works with. Everything that is referred to must outlive it.
  struct Parts {
    Clock& clock;          ///< for windows, and for waiting for the store
    SpendingStore& store;  ///< where spending outlasts the process
    LogLine log = {};      ///< of costly jobs, and of what could not be noted
    /// Called in the middle of a request: it does not block. May be empty.
    std::function<void(const SpendingAlert&)> alert = {};
    /// Called with each job that fal may bill, once it is settled; it does not block. May be empty.
    std::function<void(SettledJob)> settled = {};
    /// Other processes charge in `store`, too: it decides what a budget has room for, and load()
    /// may be called again to hear of what they did.
    bool is_shared = false;
  };
  /// Knows of nothing that was spent before load().
  explicit Budgets(Parts parts);
  ~Budgets() override;
  Budgets(const Budgets&) = delete;
  Budgets& operator=(const Budgets&) = delete;

  /// Reads what was spent before. Until that is done no key with a budget gets anything, unless its
  /// row allows it. `lost`: what was there is gone, so that no window that has begun by today is
  /// known until it ends; that is noted, too. Blocks. Errors: those of the store; try again.
  [[nodiscard]] Result<Done, StoreError> load(bool lost = false);
  /// The rows of KEYS_FILE, from now on.
  void set_rows(std::vector<KeyRules> rows);
  /// What fal takes, from now on. `usual` counts if nobody knows beforehand what a job will
  /// cost: estimate() tells it, and keys that take jobs of an unknown price reserve it.
  void set_prices(PriceTable prices, UsualCosts usual = {});
  /// As set last.
  [[nodiscard]] std::shared_ptr<const PriceTable> prices() const;

  /// None: neither is known what a job of that kind costs, nor what one did cost on average.
  [[nodiscard]] std::optional<Usd> estimate(std::string_view endpoint, const Quantities& job) const;
  /// What is left to a client, of its own budget or of that of all together, whichever is less;
  /// not less than nothing. None: it has no budget.
  [[nodiscard]] std::optional<Usd> remaining(std::string_view client) const;
  /// Of a row of KEYS_FILE, or of a key without one.
  [[nodiscard]] BudgetStatus status(std::string_view name) const;
  /// Lets a key go on that a costly job has blocked, or whose spending was lost.
  void unblock(const std::string& name);

  [[nodiscard]] Result<std::vector<Reservation>> reserve(const Payer& payer,
                                                         const std::vector<Job>& jobs) override;
  std::optional<Usd> settle(const Payer& payer, const Reservation& reservation,
                            const Ended& job) override;
  /// fal has billed a job: what it was settled with becomes what was billed, in budgets and
  /// reports, and alerts and blocks as settle() does. The difference. Does not block.
  Usd correct(const SettledJob& job, Usd billed);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace falproxy::inline v0
