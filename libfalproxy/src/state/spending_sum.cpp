#include "state/spending_sum.hpp"

#include <algorithm>
#include <functional>

namespace falproxy::inline v0 {

SpendingReport::SpendingReport(SpendingQuery query) : query_(std::move(query)) {}

void SpendingReport::add(const Spending& spending) {
  if (spending.day < query_.first || spending.day > query_.last) return;
  if (query_.key && spending.key != *query_.key) return;
  Spending row;
  std::string name;
  switch (query_.by) {
    case SpendingBy::day:
      row.day = spending.day;
      break;
    case SpendingBy::key:
      row.key = name = spending.key;
      break;
    case SpendingBy::model:
      row.model = name = spending.model;
      break;
    case SpendingBy::user:
      row.user = name = spending.user;
      break;
  }
  add_to(sums_.try_emplace({row.day, std::move(name)}, row).first->second, spending);
}

std::vector<Spending> SpendingReport::rows() && {
  std::vector<Spending> rows;
  rows.reserve(sums_.size());
  for (auto& [place, row] : sums_) rows.push_back(std::move(row));
  if (query_.by != SpendingBy::day)
    std::ranges::stable_sort(rows, std::ranges::greater(), &Spending::cost);
  if (rows.size() > most_spending_rows) rows.resize(most_spending_rows);
  return rows;
}

}  // namespace falproxy::inline v0
