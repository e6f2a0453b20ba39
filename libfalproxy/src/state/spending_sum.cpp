#include "state/spending_sum.hpp"

#include <algorithm>
#include <string_view>
#include <tuple>

namespace falproxy::inline v0 {
namespace {

const std::string other_users = "(others)";

}  // namespace

SpendingReport::SpendingReport(SpendingQuery query) : query_(std::move(query)) {}

void SpendingReport::add(const Spending& spending) {
  if (spending.day < query_.first || spending.day > query_.last) return;
  if (query_.key && spending.key != *query_.key) return;
  const auto sum_of = [&](std::string_view name) -> Spending& {
    const auto found = sums_.find(name);
    return found != sums_.end() ? found->second
                                : sums_.try_emplace(std::string(name)).first->second;
  };
  switch (query_.by) {
    case SpendingBy::day: {
      Spending& sum = sum_of(std::to_string(spending.day));
      sum.day = spending.day;
      return add_to(sum, spending);
    }
    case SpendingBy::key:
      return add_to(sum_of(spending.key), spending);
    case SpendingBy::model:
      return add_to(sum_of(spending.model), spending);
    case SpendingBy::user: {
      const bool is_one_more = sums_.size() >= most_users && !sums_.contains(spending.user);
      return add_to(sum_of(is_one_more ? other_users : spending.user), spending);
    }
  }
}

std::vector<Spending> SpendingReport::rows() && {
  std::vector<Spending> rows;
  rows.reserve(sums_.size());
  for (auto& [name, sum] : sums_) {
    if (query_.by == SpendingBy::key) sum.key = name;
    if (query_.by == SpendingBy::model) sum.model = name;
    if (query_.by == SpendingBy::user) sum.user = name;
    rows.push_back(std::move(sum));
  }
  std::ranges::sort(rows, [&](const Spending& a, const Spending& b) {
    if (query_.by == SpendingBy::day) return a.day < b.day;
    if (a.cost != b.cost) return a.cost > b.cost;
    return std::tie(a.key, a.model, a.user) < std::tie(b.key, b.model, b.user);
  });
  if (rows.size() > most_spending_rows) rows.resize(most_spending_rows);
  return rows;
}

}  // namespace falproxy::inline v0
