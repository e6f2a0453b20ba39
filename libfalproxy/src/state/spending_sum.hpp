// spending_sum.hpp: figures of spending, added up.
#pragma once

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

}  // namespace falproxy::inline v0
