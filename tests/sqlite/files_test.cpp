#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "falproxy/sqlite_store.hpp"
#include "folder.hpp"
#include "migrations.hpp"
#include "support/store_laws.hpp"

using namespace falproxy;
namespace fs = std::filesystem;

namespace {

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

StoreError refused(const fs::path& folder) {
  const auto store = SqliteStore::open({.folder = folder});
  REQUIRE_FALSE(store.has_value());
  return store.error();
}

unsigned permissions(const fs::path& path) {
  struct stat about{};
  REQUIRE(::stat(path.c_str(), &about) == 0);
  return about.st_mode & 0777U;
}

std::vector<fs::path> damaged_in(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().string().find(".damaged-") != std::string::npos) found.push_back(entry.path());
  }
  return found;
}

// Not all ids begin alike.
RunRecord spread_run(unsigned number) {
  RunRecord record = tests::run(number);
  record.id.bytes[1] = static_cast<std::uint8_t>(number);
  record.id.bytes[2] = static_cast<std::uint8_t>(number >> 8);
  return record;
}

void fill(const tests::Folder& folder, unsigned from, unsigned count) {
  const auto store = tests::opened(folder);
  std::vector<tests::Answer<Done>> answers(count);
  for (unsigned i = 0; i < count; ++i)
    store->write(spread_run(from + i), Durability::lazy, no_deadline, answers[i].callback());
  for (const auto& answer : answers) REQUIRE(answer.wait().has_value());
}

void change(const fs::path& file, const char* sql) {
  sqlite::Database database;
  REQUIRE(database.open(file.string(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, {}) ==
          SQLITE_OK);
  REQUIRE(database.run(sql) == SQLITE_OK);
}

}  // namespace

TEST_CASE("a store that is opened again has what was written") {
  const tests::Folder folder;
  RunRecord erased = tests::run(1);
  {
    const auto store = tests::opened(folder);
    CHECK(store->notice() == "");
    REQUIRE(tests::write(*store, erased).has_value());
    REQUIRE(tests::write(*store, tests::full_run()).has_value());
    REQUIRE(tests::write(*store, tests::run(2), Durability::lazy).has_value());
    REQUIRE(tests::erase(*store, erased.id).has_value());
  }
  const auto store = tests::opened(folder);
  CHECK(store->notice() == "");
  CHECK(tests::find(*store, RunQuery::of_id(tests::run_id(7)))->front() == tests::full_run());
  CHECK(tests::numbers(tests::find(*store, RunQuery::of_owner("alice", 10))) == "7 2");
  CHECK(tests::numbers(tests::find(*store, RunQuery::of_open(10))) == "2");
  CHECK(store->status().open == 1);
  CHECK(store->status().records == std::uint64_t{2});
  CHECK(tests::fault(tests::write(*store, tests::run(7))) == StoreFault::outdated);
}

TEST_CASE("only one store at a time has a folder, in this process or in another") {
  const tests::Folder folder;
  auto store = tests::opened(folder);
  const StoreError error = refused(folder.store());
  CHECK(error.fault == StoreFault::in_use);
  CHECK(error.message.find("give each one a folder of its own") != std::string::npos);

  const auto in_child = [&] {
    const pid_t child = ::fork();
    if (child == 0) {
      const auto other = SqliteStore::open({.folder = folder.store()});
      ::_exit(other.has_value() ? 0 : 10 + static_cast<int>(other.error().fault));
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WEXITSTATUS(status);
  };
  CHECK(in_child() == 10 + static_cast<int>(StoreFault::in_use));
  REQUIRE(tests::write(*store, tests::run(1)).has_value());
  store.reset();
  store = tests::opened(folder);
  CHECK(tests::numbers(tests::find(*store, RunQuery::of_id(tests::run_id(1)))) == "1");
}

TEST_CASE("what a store makes is for its owner alone") {
  const tests::Folder folder;
  const auto store = tests::opened(folder);
  REQUIRE(tests::write(*store, tests::run(1)).has_value());
  CHECK(permissions(folder.store()) == 0700);
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder.store())) {
    CAPTURE(entry.path().string());
    CHECK(permissions(entry.path()) == 0600);
    ++files;
  }
  CHECK(files == 4);  // the database, its log, the log's index, the lock
}

TEST_CASE("the store of a newer version is not touched") {
  const tests::Folder folder;
  fill(folder, 1, 3);
  change(folder.file(), "PRAGMA user_version=1000");
  const std::string before = read(folder.file());
  const StoreError error = refused(folder.store());
  CHECK(error.fault == StoreFault::newer);
  CHECK(error.message.find("is of version 1000") != std::string::npos);
  CHECK(read(folder.file()) == before);
  CHECK(damaged_in(folder.store()).empty());
}

TEST_CASE("the store of a newer version is not touched if that one was cut off, either") {
  const tests::Folder folder;
  fs::create_directories(folder.store());
  {
    sqlite::Database newer;
    REQUIRE(newer.open((folder.path() / "db").string(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                       {}) == SQLITE_OK);
    REQUIRE(newer.run("PRAGMA journal_mode=WAL; PRAGMA user_version=1000; CREATE TABLE t(x);"
                      "PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t VALUES(1)") == SQLITE_OK);
    fs::copy(folder.path() / "db", folder.file());
    fs::copy(folder.path() / "db-wal", folder.file().string() + "-wal");
  }
  const std::string before = read(folder.file());
  const std::string log = read(folder.file().string() + "-wal");
  REQUIRE(log.size() > 4096);
  CHECK(refused(folder.store()).fault == StoreFault::newer);
  CHECK(read(folder.file()) == before);
  CHECK(read(folder.file().string() + "-wal") == log);
}

TEST_CASE("another program's database is not touched") {
  for (const char* sql :
       {"CREATE TABLE t(x)", "PRAGMA application_id=7; PRAGMA user_version=1; CREATE TABLE t(x)"}) {
    CAPTURE(sql);
    const tests::Folder folder;
    fs::create_directories(folder.store());
    change(folder.file(), sql);
    CHECK(refused(folder.store()).fault == StoreFault::foreign);
    CHECK(damaged_in(folder.store()).empty());
    change(folder.file(), "INSERT INTO t VALUES(1)");
  }
}

TEST_CASE("a damaged store is set aside, kept as it was, and a new one is begun") {
  struct Case {
    const char* name;
    void (*damage)(std::string&);
  };
  for (const Case& c : {
           Case{"no database", [](std::string& bytes) { bytes.assign(5000, 'x'); }},
           Case{"a page of zeros",
                [](std::string& bytes) { bytes.replace(4096, 4096, 4096, '\0'); }},
           Case{"the end is missing", [](std::string& bytes) { bytes.resize(bytes.size() / 2); }},
           Case{"a broken page in the middle",
                [](std::string& bytes) {
                  const std::size_t page = bytes.size() / 4096 / 2;
                  bytes.replace(page * 4096, 100, 100, '\xEE');
                }},
           Case{"a broken schema", [](std::string& bytes) { bytes.replace(100, 40, 40, '\xEE'); }},
       }) {
    CAPTURE(c.name);
    const tests::Folder folder;
    fill(folder, 1, 200);
    std::string bytes = read(folder.file());
    c.damage(bytes);
    write(folder.file(), bytes);
    {
      const auto store = tests::opened(folder);
      CHECK(store->notice().find("damaged") != std::string::npos);
      CHECK(store->notice().find("a new one is begun") != std::string::npos);
      CHECK(tests::numbers(tests::find(*store, RunQuery::of_owner("alice", 10))) == "");
      REQUIRE(tests::write(*store, tests::run(5)).has_value());
    }
    const std::vector<fs::path> aside = damaged_in(folder.store());
    REQUIRE(aside.size() == 1);
    CHECK(read(aside.front()) == bytes);
    CHECK(aside.front().filename().string().starts_with("falproxy.db.damaged-20"));
    const auto again = tests::opened(folder);
    CHECK(again->notice() == "");
    CHECK(tests::numbers(tests::find(*again, RunQuery::of_owner("alice", 10))) == "5");
  }
}

TEST_CASE("a large file whose end is missing is set aside when it is opened") {
  const tests::Folder folder;
  fill(folder, 1, 20'000);  // too large for a look at every page
  fs::resize_file(folder.file(), fs::file_size(folder.file()) - 8192);
  const auto store = tests::opened(folder);
  CHECK(store->notice().find("its end is missing") != std::string::npos);
  CHECK(damaged_in(folder.store()).size() == 1);
}

TEST_CASE("damage that shows only while a store is used sets it aside when it is opened again") {
  const tests::Folder folder;
  fill(folder, 1, 20'000);  // too large for a look at every page
  std::string bytes = read(folder.file());
  REQUIRE(bytes.size() > 5'000'000);
  // Rows alone, and neither the first nor the last ones.
  for (std::size_t page = 100; page + 100 < bytes.size() / 4096; ++page) {
    if (bytes[page * 4096] == '\x0D') bytes.replace(page * 4096, 100, 100, '\xEE');
  }
  write(folder.file(), bytes);
  {
    const auto store = tests::opened(folder);
    CHECK(store->notice() == "");
    const auto found = tests::find(*store, RunQuery::of_id(spread_run(10'000).id));
    REQUIRE_FALSE(found.has_value());
    CHECK(found.error().fault == StoreFault::damaged);
    // The others are still there.
    CHECK(tests::numbers(tests::find(*store, RunQuery::of_id(spread_run(1).id))) == "1");
  }
  const auto store = tests::opened(folder);
  CHECK(damaged_in(folder.store()).size() == 1);
  CHECK(tests::numbers(tests::find(*store, RunQuery::of_owner("alice", 10))) == "");
}

TEST_CASE("a folder that cannot be written is refused, and the message names it") {
  const tests::Folder folder;
  write(folder.path() / "file", "x");
  const StoreError error = refused(folder.path() / "file" / "state");
  CHECK(error.fault == StoreFault::unavailable);
  CHECK(error.message.find((folder.path() / "file").string()) != std::string::npos);

  // For root nothing is forbidden.
  const pid_t child = ::fork();
  if (child == 0) {
    if (::chmod(folder.path().c_str(), 0555) != 0) ::_exit(1);
    if (::getuid() == 0 && ::setuid(65534) != 0) ::_exit(2);
    const auto store = SqliteStore::open({.folder = folder.store()});
    ::_exit(store.has_value() ? 3 : 10 + static_cast<int>(store.error().fault));
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 10 + static_cast<int>(StoreFault::unavailable));
  ::chmod(folder.path().c_str(), 0755);
}

TEST_CASE("a file of an older version is brought up to date, step by step") {
  using sqlite::Migration;
  const tests::Folder folder;
  sqlite::Database database;
  REQUIRE(database.open((folder.path() / "db").string(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                        {}) == SQLITE_OK);
  const std::vector<Migration> first{{"CREATE TABLE t(a); INSERT INTO t VALUES(1)"}};
  const std::vector<Migration> both{first[0], {"ALTER TABLE t ADD COLUMN b DEFAULT 2"}};
  const std::vector<Migration> broken{both[0], both[1], {"INSERT INTO t VALUES(3, 4); NONSENSE"}};
  int code = SQLITE_OK;
  REQUIRE(sqlite::migrate(database, first) == SQLITE_OK);
  CHECK(database.number("PRAGMA user_version", code) == 1);
  CHECK(database.number("PRAGMA application_id", code) == sqlite::application_id);
  REQUIRE(sqlite::migrate(database, both) == SQLITE_OK);
  REQUIRE(sqlite::migrate(database, both) == SQLITE_OK);  // nothing is done twice
  CHECK(database.number("PRAGMA user_version", code) == 2);
  CHECK(database.number("SELECT sum(a) + sum(b) FROM t", code) == 3);
  CHECK(sqlite::migrate(database, broken) != SQLITE_OK);
  CHECK(database.number("PRAGMA user_version", code) == 2);
  CHECK(database.number("SELECT sum(a) + sum(b) FROM t", code) == 3);
}

TEST_CASE("a file that was begun and never got its tables is a new one") {
  const tests::Folder folder;
  fs::create_directories(folder.store());
  SUBCASE("empty") { write(folder.file(), ""); }
  SUBCASE("a database of version 0") { change(folder.file(), "PRAGMA journal_mode=WAL"); }
  const auto store = tests::opened(folder);
  CHECK(store->notice() == "");
  REQUIRE(tests::write(*store, tests::run(1)).has_value());
  CHECK(damaged_in(folder.store()).empty());
}
