#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "falproxy/sqlite_store.hpp"
#include "folder.hpp"
#include "migrations.hpp"
#include "support/spending_laws.hpp"

using namespace falproxy;

TEST_CASE("spending in a file keeps to the laws of every store") {
  const tests::Folder folder;
  const auto store = tests::opened(folder);
  tests::check_spending_laws(*store);
}

TEST_CASE("what was charged is there when the file is opened again") {
  const tests::Folder folder;
  const Day today = *parse_day("2026-11-29");
  {
    const auto store = tests::opened(folder);
    tests::charge(*store, {{"ann", today, Usd{7}}});
    tests::put(*store, "prices", "{}");
  }
  const auto store = tests::opened(folder);
  CHECK(tests::balances(*store, today) ==
        std::vector<Balance>{{"ann", Usd{7}, Usd{7}, Usd{7}, Usd{7}}});
  CHECK(tests::text(*store, "prices") == "{}");
}

TEST_CASE("a file of the version without spending gets its tables, and keeps its runs") {
  const tests::Folder folder;
  const RunRecord record = tests::run(1);
  {
    const auto store = tests::opened(folder);
    REQUIRE(tests::write(*store, record).has_value());
  }
  sqlite::Database database;
  REQUIRE(database.open(folder.file().string(), SQLITE_OPEN_READWRITE, "") == SQLITE_OK);
  REQUIRE(
      database.run("DROP TABLE charges; DROP TABLE spending; DROP TABLE texts; DROP TABLE media; "
                   "DROP TABLE totals; PRAGMA user_version=1") == SQLITE_OK);
  database.close();
  const auto store = tests::opened(folder);
  tests::check_spending_laws(*store);
  CHECK(store->status().open == (is_open(record.state) ? 1 : 0));
}

TEST_CASE("a file of the version that kept no totals has them of what was spent before") {
  const tests::Folder folder;
  const Day today = *parse_day("2026-11-29");
  {
    const auto store = tests::opened(folder);
    for (const char* user : {"u1", "u2", "u2"}) {
      tests::add(*store, {.day = today,
                          .key = "ann",
                          .model = "flux",
                          .user = user,
                          .requests = 1,
                          .cost = Usd{5}});
    }
  }
  sqlite::Database database;
  REQUIRE(database.open(folder.file().string(), SQLITE_OPEN_READWRITE, "") == SQLITE_OK);
  REQUIRE(database.run("DROP TABLE totals; ALTER TABLE spending DROP COLUMN corrected; "
                       "ALTER TABLE media DROP COLUMN fal_request_id; PRAGMA user_version=3") ==
          SQLITE_OK);
  database.close();
  const auto store = tests::opened(folder);
  const auto of = [&](SpendingBy by) {
    return tests::sum(*store, {.first = today, .last = today, .by = by});
  };
  CHECK(of(SpendingBy::day) ==
        std::vector<Spending>{{.day = today, .requests = 3, .cost = Usd{15}}});
  CHECK(of(SpendingBy::user).size() == 2);
  tests::add(*store, {.day = today, .key = "ann", .model = "flux", .requests = 1});
  CHECK(of(SpendingBy::key).at(0).requests == 4);
}
