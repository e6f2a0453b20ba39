#include "falproxy/memory_store.hpp"

#include <doctest/doctest.h>

#include "falproxy/test_doubles.hpp"
#include "support/store_laws.hpp"

using namespace falproxy;

TEST_CASE("a store in memory keeps to the laws of every store") {
  tests::check_store_laws([](void (*law)(StateStore&)) {
    const testing::VirtualClock clock;
    MemoryStore store(clock);
    law(store);
  });
}

TEST_CASE("a store in memory that is full forgets the oldest that is not open") {
  const testing::VirtualClock clock;
  MemoryStore store(clock, {.max_records = 3, .max_bytes = 1u << 20});
  for (const unsigned number : {2U, 1U, 3U}) {
    RunRecord record = tests::run(number);
    if (number != 1) record.state = RunState::completed;
    REQUIRE(tests::write(store, record).has_value());
  }
  REQUIRE(tests::write(store, tests::run(4)).has_value());
  CHECK(tests::numbers(tests::find(store, RunQuery::of_owner("alice", 10))) == "4 3 1");
  REQUIRE(tests::write(store, tests::run(5)).has_value());
  CHECK(tests::numbers(tests::find(store, RunQuery::of_owner("alice", 10))) == "5 4 1");
  CHECK(tests::fault(tests::write(store, tests::run(6))) == StoreFault::overloaded);
  // Whoever is in has room to end.
  RunRecord ended = tests::run(4);
  ended.fence = 2;
  ended.state = RunState::completed;
  REQUIRE(tests::write(store, ended).has_value());
  REQUIRE(tests::write(store, tests::run(6)).has_value());
  CHECK(tests::numbers(tests::find(store, RunQuery::of_owner("alice", 10))) == "6 5 1");
}

TEST_CASE("a store in memory counts bytes, too") {
  const testing::VirtualClock clock;
  MemoryStore store(clock, {.max_records = 100, .max_bytes = 5000});
  for (const unsigned number : {1U, 2U, 3U}) {
    RunRecord record = tests::run(number);
    record.state = RunState::completed;
    record.details.assign(2000, 'x');
    REQUIRE(tests::write(store, record).has_value());
  }
  CHECK(tests::numbers(tests::find(store, RunQuery::of_owner("alice", 10))) == "3 2");
  CHECK(store.status().records == std::uint64_t{2});
}
