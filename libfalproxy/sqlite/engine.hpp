// engine.hpp: the threads of a store, and what waits for them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "connect.hpp"
#include "falproxy/sqlite_store.hpp"
#include "files.hpp"
#include "media_rows.hpp"
#include "operations.hpp"
#include "rows.hpp"
#include "spending_rows.hpp"

namespace falproxy::inline v0 {

namespace fs = std::filesystem;
using namespace sqlite;

struct SqliteStore::Impl : std::enable_shared_from_this<Impl> {
  using Group = std::vector<std::shared_ptr<Change>>;
  using Guard = std::unique_lock<std::mutex>;

  Impl(Options given, FolderLock taken, fs::path database)
      : options(std::move(given)),
        name(in_folder(options.folder)),
        file(std::move(database)),
        lock(std::move(taken)) {}

  // Errors: those of open().
  [[nodiscard]] std::optional<StoreError> open();
  [[nodiscard]] int prepare();
  void start();
  void end();

  // Why it was not taken.
  [[nodiscard]] std::optional<StoreError> add(std::shared_ptr<Change> change);
  [[nodiscard]] std::optional<StoreError> add(std::shared_ptr<Look> lookup);

  void write_beside(bool lazy, TimePoint deadline, std::size_t size, std::function<int()> write,
                    Callback<Done> done);
  template <class T>
  void read_beside(TimePoint deadline, std::function<int(T&)> read, Callback<T> done);

  // Under the lock.
  [[nodiscard]] std::optional<StoreError> refusal(TimePoint deadline) const;
  void admit(const std::shared_ptr<Operation>& operation);
  [[nodiscard]] bool settle(Operation& operation);
  [[nodiscard]] bool begins(Operation& operation, TimePoint now, Guard& guard);
  template <class Task>
  static void unlocked(Guard& guard, Task&& task);
  template <class Task>
  void call(Guard& guard, Task&& task);

  // On the thread that writes.
  void write_all();
  void wait_for_group(Guard& guard);
  [[nodiscard]] Group take_group(Guard& guard);
  void commit(const Group& group, Guard& guard);
  [[nodiscard]] static std::vector<std::size_t> last_writes(const Group& group);
  [[nodiscard]] int transact(const Group& group, std::vector<Written>& written, bool& committing);
  [[nodiscard]] int mend() const;
  void tell_health(const std::string& trouble);
  void suspect(int code) const;

  // On the thread that reads, and on the one that looks at deadlines.
  void read_all();
  void count();
  void watch_all();

  const Options options;
  const std::string name;
  const fs::path file;
  std::string notice;

  // Destroyed in the opposite order: what is prepared, then the connections, then the lock.
  FolderLock lock;
  Database writing, reading;
  RowWriter rows;
  RowReader reader;
  SpendingWriter spending_rows;
  SpendingReader spending_reader;
  MediaWriter media_rows;
  MediaReader media_reader;
  Statement begin_it, commit_it;
  bool is_full = true;     // PRAGMA synchronous
  bool is_shaken = false;  // a transaction failed: who knows how much of the log is on the disk
  std::atomic<const Operation*> looked_up = nullptr;

  mutable std::mutex mutex;
  std::condition_variable for_writer, for_reader, for_watch, for_end;
  std::deque<std::shared_ptr<Change>> changes;
  std::deque<std::shared_ptr<Look>> lookups;
  std::multimap<TimePoint, std::shared_ptr<Operation>> pending;  // all that is not done
  TimePoint watched_until = no_deadline;  // by the thread that looks at deadlines
  std::size_t durable_waiting = 0;
  TimePoint first_durable;  // since when one waits
  std::size_t bytes_waiting = 0;
  int calling = 0;  // callbacks that run now
  int running = 0;  // threads
  bool closing = false;
  bool abandoned = false;

  bool is_counted = false;
  std::int64_t records = 0, open_runs = 0;  // `records`: only if counted; else how many came since
  std::uint64_t changes_done = 0, commits = 0;
  std::string degraded;
  std::vector<std::thread> threads;
};

template <class T>
void SqliteStore::Impl::read_beside(TimePoint deadline, std::function<int(T&)> read,
                                    Callback<T> done) {
  const auto look = std::make_shared<LookBeside<T>>(deadline);
  look->read = std::move(read);
  look->done = std::move(done);
  if (const std::optional<StoreError> why = add(look)) look->done(*why);
}

}  // namespace falproxy::inline v0
