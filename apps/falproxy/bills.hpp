// bills.hpp: compares what jobs cost with what fal has billed for them, and looks at what is left
// on fal's account: FAL_ADMIN_KEY.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <unordered_set>
#include <vector>

#include "falproxy/budgets.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/fal.hpp"
#include "falproxy/log.hpp"
#include "falproxy/peers.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/spending_store.hpp"
#include "falproxy/transport.hpp"

namespace falproxy::app {

/// Thread-safe.
class BillKeeper {
 public:
  /// fal's bill of a job is looked for after so long; the last time only if it was not there
  /// before.
  static constexpr Seconds looks_after[] = {Seconds(600), Seconds(3600), Seconds(24 * 3600)};
  static constexpr Seconds interval{60}, between_balances{600}, between_saves{300};
  /// No look goes on to ask fal for longer.
  static constexpr Seconds longest_look{120};
  /// So many jobs wait for their bills; those that come then are not compared.
  static constexpr std::size_t most_waiting = 50'000;

  struct Parts {
    Transport& transport;
    Clock& clock;
    SpendingStore& store;
    Budgets& budgets;  ///< that are corrected
    LogLine log;
    std::function<void(const SpendingAlert&)> alert;
    /// A job was billed with so much more than it was settled with; may be negative.
    std::function<void(const Payer&, Usd)> corrected;
    /// With whom `store` is shared: each has a list of its own, and those of who is gone are taken
    /// over. Null: with nobody.
    Peers* peers = nullptr;
  };
  explicit BillKeeper(Parts parts);

  void reload(const Settings& settings);
  /// Does not block. Without FAL_ADMIN_KEY it is not kept, nor is a job that fal never named.
  void add(SettledJob job);
  /// What an earlier process had still to compare. Blocks.
  void restore();
  /// Looks for what is due. Blocks.
  void look(const std::stop_token& stop);
  /// Before the end. Does not block.
  void save();

  /// What is left on the account; none: not known.
  [[nodiscard]] std::optional<Usd> balance() const;

 private:
  struct Waiting {
    SettledJob job;
    WallTime settled;
    std::size_t looks = 0;
    bool was_found = false;
  };
  // Of `before` fal has billed so much.
  struct Billed {
    Waiting before;
    Usd billed;
  };
  struct Access {
    fal::Addresses fal = {};
    Secret key = {};          // FAL_ADMIN_KEY
    Secret balance_key = {};  // else the first of AI_KEYS
    Usd least = {};
  };

  [[nodiscard]] Access access() const;
  [[nodiscard]] std::vector<Waiting> take_due();
  /// False: fal could not be asked.
  bool look_for(std::vector<Waiting>& some, const Access& by, std::vector<Billed>& bills,
                const std::stop_token& stop);
  void correct_all(const std::vector<Billed>& bills);
  void correct(const Billed& bill);
  void put_rows(TimePoint deadline, SpendingStore::Callback<Done> done);
  bool save_and_wait();
  void add_rows(const std::string& text);
  void take_over_from_gone();
  bool take_over(const std::string& name);
  void look_at_balance(const Access& by, const std::stop_token& stop);
  void tell(const std::string& trouble);

  const Parts parts_;
  const std::string name_;  // of the text of this process
  mutable std::mutex mutex_;
  Access access_;
  bool may_see_balance_ = true;
  std::deque<Waiting> waiting_;
  std::unordered_set<std::string> ids_;  // fal's, of those that wait
  bool is_changed_ = false, is_full_ = false;
  std::string trouble_;
  std::optional<Usd> balance_;
  bool is_low_ = false;
  TimePoint balance_due_ = {}, save_due_ = {};
};

}  // namespace falproxy::app
