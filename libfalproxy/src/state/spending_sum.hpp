// spending_sum.hpp: figures of spending, added up.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "falproxy/spending_store.hpp"

namespace falproxy::inline v0 {

/// Day, key, model and user stay.
inline void add_to(Spending& sum, const Spending& more) {
  sum.requests += more.requests;
  sum.failures += more.failures;
  sum.artifacts += more.artifacts;
  sum.unpriced += more.unpriced;
  sum.units = sum.units + more.units;
  sum.cost = sum.cost + more.cost;
  sum.corrected = sum.corrected + more.corrected;
}

/// What a query asks for, made of what was spent under each name.
class SpendingReport {
 public:
  /// So many are told apart. What comes after them is `(others)`.
  static constexpr std::size_t most_users = 50'000;

  explicit SpendingReport(SpendingQuery query);
  /// Counts if its day and key are asked for.
  void add(const Spending& spending);
  /// By day, or the dearest first; cut off after `most_spending_rows`.
  [[nodiscard]] std::vector<Spending> rows() &&;

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  SpendingQuery query_;
  std::unordered_map<std::string, Spending, Hash, std::equal_to<>> sums_;
};

}  // namespace falproxy::inline v0
