// What is known of kept files, in SQLite's file.
#include <doctest/doctest.h>

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "falproxy/sqlite_store.hpp"
#include "folder.hpp"

namespace falproxy {
namespace {

TimePoint soon_enough() { return std::chrono::steady_clock::now() + std::chrono::seconds(10); }

template <class T, class F>
T wait_for(F&& ask) {
  std::promise<Result<T, StoreError>> promise;
  ask([&](Result<T, StoreError> got) { promise.set_value(std::move(got)); });
  Result<T, StoreError> got = promise.get_future().get();
  REQUIRE(got.has_value());
  return *std::move(got);
}

std::vector<MediaRecord> look_up(SqliteStore& store, const MediaQuery& query) {
  return wait_for<std::vector<MediaRecord>>(
      [&](auto done) { store.look_up(query, soon_enough(), std::move(done)); });
}

void note(SqliteStore& store, std::vector<MediaRecord> records) {
  static_cast<void>(wait_for<Done>(
      [&](auto done) { store.note(std::move(records), soon_enough(), std::move(done)); }));
}

MediaRecord media_of(std::uint8_t number, const std::string& owner,
                     MediaState state = MediaState::kept) {
  MediaRecord record{
      .state = state, .owner = owner, .created = WallTime(std::chrono::seconds(number))};
  record.id.bytes[0] = number;
  record.size = number;
  return record;
}

std::vector<int> numbers_of(const std::vector<MediaRecord>& records) {
  std::vector<int> numbers;
  for (const MediaRecord& record : records) numbers.push_back(record.id.bytes[0]);
  return numbers;
}

}  // namespace

TEST_CASE("a record of a kept file comes back as it was noted, also from another process") {
  const tests::Folder folder;
  MediaRecord whole{.id = RunId::parse("0123456789abcdef0123456789abcdef").value(),
                    .state = MediaState::waiting,
                    .owner = "ann",
                    .created = WallTime(std::chrono::seconds(1'700'000'000)),
                    .expires = WallTime(std::chrono::seconds(1'800'000'000)),
                    .content_type = "image/png",
                    .extension = "png",
                    .model = "flux",
                    .request_id = "req_1",
                    .run = RunId::parse("fedcba9876543210fedcba9876543210").value(),
                    .source = "https://v3.fal.media/files/a.png",
                    .cost = Usd{40'000'000},
                    .prompt = "a lighthouse"};
  {
    const auto store = tests::opened(folder);
    note(*store, {whole});
  }
  const auto store = tests::opened(folder);
  REQUIRE(look_up(*store, {.id = whole.id}) == std::vector{whole});
  CHECK(look_up(*store, {.id = whole.id, .owner = "bob"}).empty());
  // What is there stays as it is, but for what change() changes.
  MediaRecord other = whole;
  other.owner = "bob";
  note(*store, {other});
  whole.state = MediaState::kept;
  whole.size = 17;
  whole.content_type = "image/webp";
  static_cast<void>(
      wait_for<Done>([&](auto done) { store->change(whole, soon_enough(), std::move(done)); }));
  CHECK(look_up(*store, {.id = whole.id}) == std::vector{whole});
  static_cast<void>(
      wait_for<Done>([&](auto done) { store->forget(whole.id, soon_enough(), std::move(done)); }));
  CHECK(look_up(*store, {.id = whole.id}).empty());
}

TEST_CASE("records of kept files are found by owner, age, end and state") {
  using By = MediaQuery::By;
  const tests::Folder folder;
  const auto store = tests::opened(folder);
  MediaRecord ending = media_of(3, "ann");
  ending.expires = WallTime(std::chrono::seconds(100));
  note(*store, {media_of(1, "ann"), media_of(2, "bob"), ending,
                media_of(4, "ann", MediaState::waiting), media_of(5, "ann", MediaState::lost)});
  const auto found = [&](const MediaQuery& query) { return numbers_of(look_up(*store, query)); };
  CHECK(found({.by = By::owner, .owner = "ann", .limit = 10}) == std::vector{5, 4, 3, 1});
  CHECK(found({.by = By::owner, .owner = "ann", .after = media_of(4, "").id, .limit = 1}) ==
        std::vector{3});
  CHECK(found({.by = By::oldest, .limit = 2}) == std::vector{1, 2});
  CHECK(found({.by = By::oldest, .owner = "ann", .limit = 10}) == std::vector{1, 3});
  CHECK(found({.by = By::waiting, .limit = 10}) == std::vector{4});
  CHECK(found({.by = By::expired, .now = WallTime(std::chrono::seconds(99)), .limit = 10}).empty());
  CHECK(found({.by = By::expired, .now = WallTime(std::chrono::seconds(100)), .limit = 10}) ==
        std::vector{3});
  const auto totals = wait_for<std::vector<MediaTotal>>(
      [&](auto done) { store->totals(soon_enough(), std::move(done)); });
  REQUIRE(totals.size() == 2);
  for (const MediaTotal& total : totals) {
    CHECK(total.files == (total.owner == "ann" ? 2 : 1));
    CHECK(total.bytes == (total.owner == "ann" ? 4 : 2));
  }
}

TEST_CASE("what was deleted stays so: it is not listed, counted or changed, and ends in time") {
  using By = MediaQuery::By;
  const tests::Folder folder;
  const auto store = tests::opened(folder);
  MediaRecord deleted = media_of(1, "ann", MediaState::deleted);
  deleted.size = 0;
  deleted.expires = WallTime(std::chrono::seconds(100));
  note(*store, {deleted, media_of(2, "ann")});
  MediaRecord again = deleted;
  again.state = MediaState::kept;
  again.size = 7;
  note(*store, {again});
  static_cast<void>(
      wait_for<Done>([&](auto done) { store->change(again, soon_enough(), std::move(done)); }));
  CHECK(look_up(*store, {.id = deleted.id}) == std::vector{deleted});
  for (const By by : {By::owner, By::oldest})
    CHECK(numbers_of(look_up(*store, {.by = by, .owner = "ann", .limit = 9})) == std::vector{2});
  CHECK(look_up(*store, {.by = By::waiting, .limit = 9}).empty());
  const auto totals = wait_for<std::vector<MediaTotal>>(
      [&](auto done) { store->totals(soon_enough(), std::move(done)); });
  CHECK(totals == std::vector<MediaTotal>{{"ann", 1, 2}});
  const MediaQuery expired{
      .by = By::expired, .now = WallTime(std::chrono::seconds(100)), .limit = 9};
  CHECK(numbers_of(look_up(*store, expired)) == std::vector{1});
}

}  // namespace falproxy
