// balances.hpp: what the owner of a budget has spent in the windows that today is in.
#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include "falproxy/money.hpp"
#include "falproxy/spending_store.hpp"

namespace falproxy::inline v0 {

/// One owner's. Windows end by themselves.
class RunningBalance {
 public:
  RunningBalance() = default;
  RunningBalance(const Balance& sums, Day today) : sums_(sums), today_(today) {}

  /// What others know better. Who was told of what stays.
  void become(const Balance& sums, Day today) {
    sums_ = sums;
    today_ = today;
  }

  /// `day`: that the amount counts for; a window that has ended meanwhile does not change.
  void add(Usd amount, Day day, Day today) {
    turn(today);
    for (const auto& [window, sum] : windows_of(sums_)) {
      if (day >= first_day(window, today_)) *sum = *sum + amount;
    }
  }

  [[nodiscard]] Usd spent(BudgetWindow window, Day today) {
    turn(today);
    for (const auto& [one, sum] : windows_of(sums_)) {
      if (one == window) return *sum;
    }
    return {};
  }

  /// Whether nobody was told yet that so many percent are spent, in the window that begins then.
  bool is_news(int percent, Day window) {
    if (std::exchange(told_window_, window) != window) told_percent_ = 0;
    return percent > std::exchange(told_percent_, std::max(told_percent_, percent));
  }

 private:
  struct Sum {
    BudgetWindow window;
    Usd* sum;
  };
  static std::array<Sum, 4> windows_of(Balance& sums) {
    return {{{BudgetWindow::day, &sums.day},
             {BudgetWindow::week, &sums.week},
             {BudgetWindow::month, &sums.month},
             {BudgetWindow::total, &sums.total}}};
  }

  // A day never goes back.
  void turn(Day today) {
    if (today <= today_) return;
    for (const auto& [window, sum] : windows_of(sums_)) {
      if (first_day(window, today) == first_day(window, today_)) continue;
      *sum = {};
    }
    today_ = today;
  }

  Balance sums_;
  Day today_ = 0;
  Day told_window_ = 0;
  int told_percent_ = 0;
};

}  // namespace falproxy::inline v0
