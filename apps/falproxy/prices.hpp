// prices.hpp: what fal takes, asked for every hour: FAL_API_URL and PRICES_FILE.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "falproxy/budgets.hpp"
#include "falproxy/catalog.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/log.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/spending_store.hpp"
#include "falproxy/transport.hpp"

namespace falproxy::app {

/// Thread-safe.
class PriceKeeper {
 public:
  /// Until fal is asked again.
  static constexpr Seconds interval{3600}, pause_after_fault{60};
  /// What a call takes on average is asked for once a day, of so many endpoints at a time.
  static constexpr Seconds usual_interval{24 * 3600};
  static constexpr std::size_t most_usual = 50;

  struct Parts {
    Transport& transport;
    Clock& clock;
    SpendingStore& store;
    Budgets& budgets;  ///< that are told
    LogLine log;
  };
  explicit PriceKeeper(Parts parts) : parts_(std::move(parts)) {}

  /// What an earlier process has learned; stale is better than none. Blocks.
  void restore();
  /// Asks fal, and says when to ask again. What fal does not say stays as it was. Blocks.
  [[nodiscard]] Seconds refresh(const std::vector<CatalogModel>& models,
                                const std::stop_token& stop);
  void reload(const Settings& settings);

 private:
  void publish();
  void tell(const std::string& trouble);
  void ask_for_usual_costs(const fal::Addresses& fal, const Secret& key,
                           const std::vector<std::string>& endpoints, const std::stop_token& stop);

  const Parts parts_;
  std::mutex mutex_;
  bool asks_ = false;
  fal::Addresses fal_;
  Secret key_;
  bool published_ = false;
  PriceTable told_;     // by fal
  PriceTable written_;  // in PRICES_FILE
  UsualCosts usual_;
  std::map<std::string, TimePoint> usual_due_;  // by endpoint
  bool may_ask_usual_ = true;
  std::string trouble_;
};

}  // namespace falproxy::app
