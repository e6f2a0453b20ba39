#include <doctest/doctest.h>

#include <string>
#include <utility>

#include "falproxy/spending_store.hpp"
#include "state/spending_sum.hpp"
#include "support/spending_laws.hpp"

TEST_CASE("spending in memory keeps to the laws of every store") {
  falproxy::MemorySpending store;
  falproxy::tests::check_spending_laws(store);
}

TEST_CASE("a report tells so many users apart, and adds up the others") {
  falproxy::SpendingReport report({.first = 1, .last = 1, .by = falproxy::SpendingBy::user});
  const std::size_t all = falproxy::SpendingReport::most_users + 2;
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < all; ++i)
      report.add({.day = 1, .user = "user-" + std::to_string(i), .cost = falproxy::Usd{1}});
  }
  const auto rows = std::move(report).rows();
  CHECK(rows.size() == falproxy::most_spending_rows);
  CHECK(rows[0] == falproxy::Spending{.user = "(others)", .cost = falproxy::Usd{4}});
  CHECK(rows[1] == falproxy::Spending{.user = "user-0", .cost = falproxy::Usd{2}});
}
