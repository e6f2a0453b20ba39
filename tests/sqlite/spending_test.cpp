#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <string>
#include <utility>
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

TEST_CASE("a report by user that is made from many rows lets others have their turn") {
  const tests::Folder folder;
  const auto store = tests::opened(folder);
  const Day today = *parse_day("2026-11-29");
  constexpr int users = 12'000, keys = 10;
  std::vector<tests::Answer<Done>> added(users);
  for (int i = 0; i < users; ++i) {
    store->add({.day = today - i % 3,
                .key = "key-" + std::to_string(i % keys),
                .model = "flux",
                .user = "user-" + std::to_string(i / 2),
                .requests = 1,
                .cost = Usd{i}},
               no_deadline, added[static_cast<std::size_t>(i)].callback());
  }
  for (const auto& answer : added) REQUIRE(answer.wait().has_value());

  // The thread that reads is held until both have asked.
  std::promise<void> both;
  store->get("a", no_deadline, [&](const auto&) { both.get_future().wait(); });
  std::atomic<int> order = 0, place_of_report = 0, place_of_text = 0;
  const tests::Answer<std::vector<Spending>> report;
  store->sum({.first = today - 2, .last = today, .by = SpendingBy::user}, no_deadline,
             [&, done = report.callback()](Result<std::vector<Spending>, StoreError> rows) {
               place_of_report = ++order;
               done(std::move(rows));
             });
  const tests::Answer<std::string> text;
  store->get("a", no_deadline, [&, done = text.callback()](Result<std::string, StoreError> found) {
    place_of_text = ++order;
    done(std::move(found));
  });
  both.set_value();
  const std::vector<Spending> rows = report.wait().value();
  REQUIRE(text.wait().has_value());
  CHECK(place_of_text < place_of_report);
  REQUIRE(rows.size() == users / 2);
  CHECK(rows.front() == Spending{.user = "user-5999", .requests = 2, .cost = Usd{11'998 + 11'999}});
  CHECK(rows.back() == Spending{.user = "user-0", .requests = 2, .cost = Usd{1}});
  CHECK(tests::sum(*store, {.first = today, .last = today, .by = SpendingBy::user, .key = "key-3"})
            .size() == users / keys / 3);
  CHECK(tests::sum(*store, {.first = 0, .last = 1'000'000, .by = SpendingBy::user, .key = "key-3"})
            .size() == users / keys);
}
