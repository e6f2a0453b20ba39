#include <doctest/doctest.h>
#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "crash_disk.hpp"
#include "falproxy/sqlite_store.hpp"
#include "folder.hpp"
#include "support/store_laws.hpp"

using namespace falproxy;

namespace {

std::unique_ptr<SqliteStore> opened_on(const tests::CrashDisk& disk, const tests::Folder& folder) {
  return tests::opened(SqliteStore::Options{.folder = folder.store(), .vfs = disk.name()});
}

// Which fence is known to be on the disk, of which run.
class Promises {
 public:
  void keep(const RunId& id, std::uint64_t fence) {
    const std::lock_guard lock(mutex_);
    kept_[id] = std::max(kept_[id], fence);
  }
  [[nodiscard]] std::map<RunId, std::uint64_t> so_far() const {
    const std::lock_guard lock(mutex_);
    return kept_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<RunId, std::uint64_t> kept_;
};

}  // namespace

TEST_CASE("whatever a durable write was told of survives a power failure, at any moment") {
  const tests::Folder folder;
  tests::CrashDisk disk;
  Promises promises;
  std::atomic<bool> stop = false;
  std::vector<std::pair<std::filesystem::path, std::map<RunId, std::uint64_t>>> crashes;
  {
    const auto store = opened_on(disk, folder);
    std::vector<std::thread> writers;
    for (unsigned w = 0; w < 3; ++w) {
      writers.emplace_back([&, w] {
        std::mt19937 random(w);
        for (unsigned i = 0; !stop; ++i) {
          RunRecord record = tests::run(w * 1'000'000 + i % 300 + 1);
          record.fence = i / 300 + 1;
          record.details.assign(random() % 3000, 'x');
          const bool durable = random() % 3 != 0;
          const tests::Answer<Done> answer;
          store->write(record, durable ? Durability::durable : Durability::lazy, no_deadline,
                       [&, durable, id = record.id, fence = record.fence,
                        done = answer.callback()](Result<Done, StoreError> result) {
                         if (durable && result.has_value()) promises.keep(id, fence);
                         done(std::move(result));
                       });
          if (random() % 4 != 0) static_cast<void>(answer.wait());
        }
      });
    }
    std::mt19937 random(7);
    for (unsigned i = 0; i < 20; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(random() % 40));
      auto promised = promises.so_far();
      const std::filesystem::path copy = folder.path() / ("crash" + std::to_string(i));
      disk.crash_into(copy, i);
      crashes.emplace_back(copy, std::move(promised));
    }
    stop = true;
    for (std::thread& writer : writers) writer.join();
  }
  CHECK(crashes.back().second.size() > 100);
  for (const auto& crash : crashes) {
    const std::filesystem::path& copy = crash.first;
    CAPTURE(copy.string());
    const auto store = tests::opened(SqliteStore::Options{.folder = copy});
    CHECK(store->notice() == "");
    for (const auto& [id, fence] : crash.second) {
      const auto found = tests::find(*store, RunQuery::of_id(id));
      REQUIRE(found.has_value());
      REQUIRE(found->size() == 1);
      CHECK(found->front().fence >= fence);
    }
  }
}

TEST_CASE("writes that wait together cost one flush") {
  const tests::Folder folder;
  tests::CrashDisk disk;
  disk.slow_flushes(std::chrono::milliseconds(5));
  const auto store = opened_on(disk, folder);
  REQUIRE(tests::write(*store, tests::run(1)).has_value());
  const int before = disk.flushes();
  std::vector<tests::Answer<Done>> answers(200);
  for (unsigned i = 0; i < answers.size(); ++i)
    store->write(tests::run(i + 2), Durability::durable, no_deadline, answers[i].callback());
  for (const auto& answer : answers) CHECK(answer.wait().has_value());
  CHECK(disk.flushes() - before >= 1);
  CHECK(disk.flushes() - before <= 20);
}

TEST_CASE("lazy writes alone cost no flush, and are there when the process is not") {
  const tests::Folder folder;
  tests::CrashDisk disk;
  const auto store = opened_on(disk, folder);
  REQUIRE(tests::write(*store, tests::run(1)).has_value());
  const int before = disk.flushes();
  for (unsigned i = 2; i < 6; ++i)
    REQUIRE(tests::write(*store, tests::run(i), Durability::lazy).has_value());
  CHECK(disk.flushes() == before);
  REQUIRE(tests::write(*store, tests::run(6)).has_value());
  CHECK(disk.flushes() == before + 1);
}

TEST_CASE("a full disk fails the write, is told, and is over when there is room again") {
  const tests::Folder folder;
  tests::CrashDisk disk;
  std::mutex mutex;
  std::vector<std::string> lines;
  const auto store = tests::opened(SqliteStore::Options{
      .folder = folder.store(), .vfs = disk.name(), .log = [&](LogLevel, std::string_view line) {
        const std::lock_guard lock(mutex);
        lines.emplace_back(line);
      }});
  REQUIRE(tests::write(*store, tests::run(1)).has_value());
  CHECK(store->status().degraded == "");

  disk.fail_writes(SQLITE_FULL);
  for (unsigned i = 2; i < 4; ++i) {
    const auto result = tests::write(*store, tests::run(i));
    CHECK(tests::fault(result) == StoreFault::unavailable);
    CHECK(result.error().message.find("the disk is full") != std::string::npos);
    CHECK(store->status().degraded == result.error().message);
  }
  CHECK(tests::numbers(tests::find(*store, RunQuery::of_id(tests::run_id(1)))) == "1");

  disk.fail_writes(SQLITE_OK);
  REQUIRE(tests::write(*store, tests::run(4)).has_value());
  CHECK(store->status().degraded == "");
  CHECK(tests::numbers(tests::find(*store, RunQuery::of_owner("alice", 10))) == "4 1");
  CHECK(store->status().open == 2);
  const std::lock_guard lock(mutex);
  REQUIRE(lines.size() == 2);  // once each
  CHECK(lines.back().ends_with("is written again."));
}

TEST_CASE("what is remembered of a run that is open goes with it") {
  const tests::Folder folder;
  tests::CrashDisk disk;
  const auto store = opened_on(disk, folder);
  const auto fence_of = [&](unsigned number) {
    const auto found = tests::find(*store, RunQuery::of_id(tests::run_id(number)));
    return found && !found->empty() ? found->front().fence : 0;
  };
  RunRecord record = tests::run(1);
  record.promised = true;
  record.state = RunState::accepted;
  SUBCASE("if the transaction that wrote it was undone") {
    disk.fail_writes(SQLITE_FULL);
    CHECK_FALSE(tests::write(*store, record).has_value());
    disk.fail_writes(SQLITE_OK);
  }
  SUBCASE("if it was erased") {
    REQUIRE(tests::write(*store, record).has_value());
    REQUIRE(tests::erase(*store, record.id).has_value());
  }
  SUBCASE("if it has expired and was forgotten") {
    REQUIRE(tests::write(*store, record).has_value());
    CHECK(tests::forget(*store, record.expires).value() == 1);
  }
  CHECK(fence_of(1) == 0);
  ++record.fence;
  REQUIRE(tests::write(*store, record).has_value());
  CHECK(fence_of(1) == record.fence);
}

TEST_CASE("a flush that fails fails the write, and nothing durable is lost behind it") {
  const tests::Folder folder;
  tests::CrashDisk disk;
  const auto store = opened_on(disk, folder);
  REQUIRE(tests::write(*store, tests::run(1)).has_value());
  REQUIRE(tests::write(*store, tests::run(2), Durability::lazy).has_value());
  disk.fail_flushes(SQLITE_IOERR_FSYNC);
  const auto result = tests::write(*store, tests::run(3));
  CHECK(tests::fault(result) == StoreFault::unavailable);
  CHECK(result.error().may_be_done);
  CHECK_FALSE(store->status().degraded.empty());
  disk.fail_flushes(SQLITE_OK);
  REQUIRE(tests::write(*store, tests::run(4)).has_value());
  CHECK(store->status().degraded == "");

  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const std::filesystem::path copy = folder.path() / ("crash" + std::to_string(seed));
    disk.crash_into(copy, seed);
    const auto after = tests::opened(SqliteStore::Options{.folder = copy});
    CHECK(after->notice() == "");
    CHECK(tests::numbers(tests::find(*after, RunQuery::of_id(tests::run_id(1)))) == "1");
    CHECK(tests::numbers(tests::find(*after, RunQuery::of_id(tests::run_id(4)))) == "4");
  }
}

TEST_CASE("a disk that hangs costs no more than the deadline") {
  const tests::Folder folder;
  tests::CrashDisk disk;
  const auto store = opened_on(disk, folder);
  REQUIRE(tests::write(*store, tests::run(1)).has_value());
  disk.slow_flushes(std::chrono::milliseconds(700));
  const auto soon = [] { return std::chrono::steady_clock::now() + std::chrono::milliseconds(60); };
  const tests::Answer<Done> begun, queued;
  const TimePoint start = std::chrono::steady_clock::now();
  store->write(tests::run(2), Durability::durable, soon(), begun.callback());
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // so that it is at it
  store->write(tests::run(3), Durability::durable, soon(), queued.callback());
  const auto first = begun.wait();
  CHECK(tests::fault(first) == StoreFault::timed_out);
  CHECK(first.error().may_be_done);
  const auto second = queued.wait();
  CHECK(tests::fault(second) == StoreFault::timed_out);
  CHECK_FALSE(second.error().may_be_done);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::milliseconds(500));
  disk.slow_flushes(std::chrono::milliseconds(0));
  REQUIRE(tests::write(*store, tests::run(4)).has_value());
  CHECK(tests::numbers(tests::find(*store, RunQuery::of_owner("alice", 10))) == "4 2 1");
  CHECK(begun.calls() == 1);
  CHECK(queued.calls() == 1);
}

TEST_CASE("beyond so many that wait a write is refused at once") {
  const tests::Folder folder;
  tests::CrashDisk disk;
  const auto store = tests::opened(
      SqliteStore::Options{.folder = folder.store(), .max_waiting = 10, .vfs = disk.name()});
  disk.slow_flushes(std::chrono::milliseconds(300));
  std::vector<tests::Answer<Done>> answers(20);
  for (unsigned i = 0; i < answers.size(); ++i)
    store->write(tests::run(i + 1), Durability::durable, no_deadline, answers[i].callback());
  int refused = 0;
  for (const auto& answer : answers) refused += answer.calls();
  CHECK(refused == 10);
  for (unsigned i = 0; i < answers.size(); ++i) {
    const auto result = answers[i].wait();
    if (!result.has_value()) CHECK(result.error().fault == StoreFault::overloaded);
  }
}

TEST_CASE(
    "a store that goes writes what waits, and gives a disk that hangs no more than its time") {
  const tests::Folder folder;
  tests::CrashDisk disk;
  std::vector<tests::Answer<Done>> answers(2500);
  {
    const auto store = opened_on(disk, folder);
    for (unsigned i = 0; i < answers.size(); ++i) {
      RunRecord record = tests::run(i + 1);
      record.promised = i % 100 == 0;  // the ids begin alike
      store->write(record, Durability::lazy, no_deadline, answers[i].callback());
    }
  }
  for (const auto& answer : answers) CHECK(answer.wait().has_value());

  tests::Answer<Done> left;
  const TimePoint start = std::chrono::steady_clock::now();
  {
    const auto store = tests::opened(SqliteStore::Options{
        .folder = folder.store(), .drain = std::chrono::milliseconds(50), .vfs = disk.name()});
    disk.slow_flushes(std::chrono::milliseconds(600));
    store->write(tests::run(9999), Durability::durable, no_deadline, left.callback());
  }
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::milliseconds(500));
  CHECK(tests::fault(left.wait()) == StoreFault::closed);
  disk.slow_flushes(std::chrono::milliseconds(0));
  // The thread that hung lets the folder go when it is done.
  for (int tries = 0; tries < 100; ++tries) {
    const auto again = SqliteStore::open({.folder = folder.store()});
    if (again.has_value()) {
      CHECK(tests::numbers(tests::find(**again, RunQuery::of_id(tests::run_id(2401)))) == "2401");
      return;
    }
    CHECK(again.error().fault == StoreFault::in_use);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  FAIL("the folder was never let go");
}
