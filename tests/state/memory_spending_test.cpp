#include <doctest/doctest.h>

#include "falproxy/spending_store.hpp"
#include "support/spending_laws.hpp"

TEST_CASE("spending in memory keeps to the laws of every store") {
  falproxy::MemorySpending store;
  falproxy::tests::check_spending_laws(store);
}
