#include "engine.hpp"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/fmt.hpp"
#include "state/query.hpp"

namespace falproxy::inline v0 {

namespace {

using Steady = std::chrono::steady_clock;

constexpr std::size_t most_at_once = 1000;  // in one transaction
constexpr std::chrono::microseconds gathering(300);

StoreError closed() { return {StoreFault::closed, "The store is closing."}; }

}  // namespace

std::optional<StoreError> SqliteStore::Impl::open() {
  std::error_code error;
  const fs::path suspicion = suspicion_of(file);
  std::optional<StoreError> damage;
  if (fs::exists(suspicion, error))
    damage = StoreError{StoreFault::damaged,
                        fmt::format("{} was found damaged while it was used.", name)};
  // A second try is with a file that is new.
  for (int tries = 0; tries < 2; ++tries) {
    if (damage) {
      const Result<fs::path, StoreError> aside = set_aside(file);
      if (!aside) return aside.error();
      notice = fmt::format("{} It is kept as {}, and a new one is begun.", damage->message,
                           aside->string());
      damage.reset();
    }
    if (const Result<Done, StoreError> made = make_file(file); !made) return made.error();
    Result<Connections, StoreError> both = connect(options, file);
    if (both) {
      writing = std::move(both->writer);
      reading = std::move(both->reader);
      const int code = prepare();
      if (code == SQLITE_OK) return std::nullopt;
      damage = error_of(code, name);
      reading.close();
      writing.close();
    } else {
      damage = std::move(both).error();
    }
    if (damage->fault != StoreFault::damaged) return damage;
  }
  return damage;
}

int SqliteStore::Impl::prepare() {
  int code = rows.prepare(writing);
  if (code == SQLITE_OK) code = reader.prepare(reading);
  if (code == SQLITE_OK) code = spending_rows.prepare(writing);
  if (code == SQLITE_OK) code = spending_reader.prepare(reading);
  if (code == SQLITE_OK) code = media_rows.prepare(writing);
  if (code == SQLITE_OK) code = media_reader.prepare(reading);
  if (code == SQLITE_OK) code = begin_it.prepare(writing, "BEGIN IMMEDIATE");
  if (code == SQLITE_OK) code = commit_it.prepare(writing, "COMMIT");
  if (code != SQLITE_OK) return code;
  open_runs = writing.number("SELECT count(*) FROM runs WHERE open = 1", code);
  return code == SQLITE_ROW ? SQLITE_OK : code;
}

void SqliteStore::Impl::start() {
  // What is counted is what is there now, however long that takes.
  static_cast<void>(reading.run("BEGIN; SELECT name FROM names LIMIT 1"));
  sqlite3_progress_handler(
      reading.get(), 1000,
      [](void* impl) {
        const Operation* current = static_cast<Impl*>(impl)->looked_up.load();
        return current != nullptr && current->stage == Stage::done ? 1 : 0;
      },
      this);
  running = 3;
  for (void (Impl::*task)() : {&Impl::write_all, &Impl::read_all, &Impl::watch_all}) {
    threads.emplace_back([self = shared_from_this(), task] {
      (self.get()->*task)();
      const std::lock_guard guard(self->mutex);
      --self->running;
      self->for_watch.notify_all();
      self->for_end.notify_all();
    });
  }
}

void SqliteStore::Impl::end() {
  Guard guard(mutex);
  closing = true;
  for (std::condition_variable* one : {&for_writer, &for_reader, &for_watch}) one->notify_all();
  const bool ended =
      for_end.wait_until(guard, Steady::now() + options.drain, [&] { return running == 0; });
  if (!ended) {
    // A thread hangs in the file system: it is left to itself, and who waits for it is told.
    abandoned = true;
    for_watch.notify_all();
    while (!pending.empty()) {
      const std::shared_ptr<Operation> left = pending.begin()->second;
      StoreError error = closed();
      error.may_be_done = left->stage == Stage::begun;
      static_cast<void>(settle(*left));
      call(guard, [&] { left->fail(error); });
    }
    for_end.wait(guard, [&] { return calling == 0; });
  }
  guard.unlock();
  for (std::thread& thread : threads) ended ? thread.join() : thread.detach();
}

std::optional<StoreError> SqliteStore::Impl::refusal(TimePoint deadline) const {
  if (closing) return closed();
  if (deadline <= Steady::now()) return too_late();
  if (pending.size() < options.max_waiting && bytes_waiting < options.max_waiting_bytes)
    return std::nullopt;
  return StoreError{StoreFault::overloaded,
                    fmt::format("{} has {} operations to do already.", name, pending.size())};
}

void SqliteStore::Impl::admit(const std::shared_ptr<Operation>& operation) {
  operation->place = pending.emplace(operation->deadline, operation);
  if (operation->deadline < watched_until) for_watch.notify_one();
}

// False: somebody else did it.
bool SqliteStore::Impl::settle(Operation& operation) {
  if (operation.stage == Stage::done) return false;
  operation.stage = Stage::done;
  pending.erase(operation.place);
  return true;
}

bool SqliteStore::Impl::begins(Operation& operation, TimePoint now, Guard& guard) {
  if (operation.stage == Stage::done) return false;
  if (operation.deadline > now) {
    operation.stage = Stage::begun;
    return true;
  }
  static_cast<void>(settle(operation));
  call(guard, [&] { operation.fail(too_late()); });
  return false;
}

// For what takes time.
template <class Task>
void SqliteStore::Impl::unlocked(Guard& guard, Task&& task) {
  guard.unlock();
  task();
  guard.lock();
}

// For callbacks: end() waits for them.
template <class Task>
void SqliteStore::Impl::call(Guard& guard, Task&& task) {
  ++calling;
  guard.unlock();
  task();
  guard.lock();
  if (--calling == 0) for_end.notify_all();
}

std::optional<StoreError> SqliteStore::Impl::add(std::shared_ptr<Change> change) {
  const std::lock_guard guard(mutex);
  if (std::optional<StoreError> why = refusal(change->deadline)) return why;
  admit(change);
  change->asked = Steady::now();
  bytes_waiting += change->bytes();
  const bool wakes = changes.empty() || (!change->is_lazy && durable_waiting == 0);
  if (!change->is_lazy && durable_waiting++ == 0) first_durable = change->asked;
  changes.push_back(std::move(change));
  if (wakes) for_writer.notify_one();
  return std::nullopt;
}

std::optional<StoreError> SqliteStore::Impl::add(std::shared_ptr<Look> lookup) {
  const std::lock_guard guard(mutex);
  if (std::optional<StoreError> why = refusal(lookup->deadline)) return why;
  admit(lookup);
  lookups.push_back(std::move(lookup));
  for_reader.notify_one();
  return std::nullopt;
}

void SqliteStore::Impl::wait_for_group(Guard& guard) {
  while (!closing) {
    if (changes.empty()) {
      for_writer.wait(guard);
      continue;
    }
    // Whoever comes while one is gathered for saves a flush of the disk.
    const TimePoint due = durable_waiting > 0 ? first_durable + gathering
                                              : changes.front()->asked + options.lazy_wait;
    if (Steady::now() >= due || changes.size() >= most_at_once) return;
    for_writer.wait_until(guard, due);
  }
}

SqliteStore::Impl::Group SqliteStore::Impl::take_group(Guard& guard) {
  Group group;
  const TimePoint now = Steady::now();
  while (!changes.empty() && group.size() < most_at_once) {
    std::shared_ptr<Change> next = std::move(changes.front());
    changes.pop_front();
    bytes_waiting -= next->bytes();
    if (!next->is_lazy) --durable_waiting;
    if (begins(*next, now, guard)) group.push_back(std::move(next));
  }
  return group;
}

void SqliteStore::Impl::write_all() {
  Guard guard(mutex);
  while (true) {
    wait_for_group(guard);
    const Group group = take_group(guard);
    if (!group.empty()) commit(group, guard);
    if (closing && changes.empty()) return;
  }
}

// Puts all of the log into the file, and begins it anew: what comes then stands behind nothing that
// the disk may have lost.
int SqliteStore::Impl::mend() const {
  int code = SQLITE_OK;
  const std::int64_t busy = writing.number("PRAGMA wal_checkpoint(TRUNCATE)", code);
  if (code != SQLITE_ROW) return code;
  return busy == 0 ? SQLITE_OK : SQLITE_BUSY;
}

// Of the writes of one run that wait together, with rising fences, the last one says all; the
// others are done with it.
std::vector<std::size_t> SqliteStore::Impl::last_writes(const Group& group) {
  struct Chain {
    std::size_t last;
    std::int64_t lowest_fence;
  };
  std::vector<std::size_t> done_by(group.size());
  std::unordered_map<std::string_view, Chain> chains;
  for (std::size_t i = group.size(); i-- > 0;) {
    done_by[i] = i;
    const Row* const row = group[i]->written_row();
    if (row == nullptr) continue;
    const auto [place, is_last] = chains.try_emplace(id_of(*row), Chain{i, row->fence});
    if (is_last) continue;
    Chain& chain = place->second;
    if (row->fence < chain.lowest_fence) {
      done_by[i] = chain.last;
    } else {
      chain.last = i;
    }
    chain.lowest_fence = row->fence;
  }
  return done_by;
}

int SqliteStore::Impl::transact(const Group& group, std::vector<Written>& written,
                                bool& committing) {
  int code = SQLITE_OK;
  if (is_shaken) {
    code = mend();
    if (code != SQLITE_OK) return code;
    is_shaken = false;
  }
  const bool full = std::ranges::any_of(group, [](const auto& one) { return !one->is_lazy; });
  if (full != is_full) {
    code = writing.run(full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    if (code != SQLITE_OK) return code;
    is_full = full;
  }
  code = begin_it.run();
  const std::vector<std::size_t> done_by = last_writes(group);
  for (std::size_t i = 0; i < group.size() && code == SQLITE_OK; ++i) {
    written.push_back(done_by[i] == i ? group[i]->apply(rows) : Written{.steps = 1});
    code = written.back().code;
    if (done_by[i] != i) rows.write_with_next(*group[i]->written_row(), written.back().refused);
  }
  if (code == SQLITE_OK) code = spending_rows.flush();
  if (code == SQLITE_OK) {
    committing = true;
    code = commit_it.run();
  }
  if (code == SQLITE_OK) return code;
  rows.forget_all();
  spending_rows.drop();
  is_shaken = true;
  if (sqlite3_get_autocommit(writing.get()) == 0) static_cast<void>(writing.run("ROLLBACK"));
  return code;
}

void SqliteStore::Impl::commit(const Group& group, Guard& guard) {
  std::vector<Written> written;
  written.reserve(group.size());
  bool committing = false;
  int code = SQLITE_OK;
  unlocked(guard, [&] {
    code = transact(group, written, committing);
    suspect(code);
    tell_health(code == SQLITE_OK ? "" : error_of(code, name).message);
  });
  const bool done = code == SQLITE_OK;
  if (done) ++commits;

  Group told;
  std::vector<std::optional<StoreError>> refused;
  for (std::size_t i = 0; i < group.size(); ++i) {
    std::optional<StoreError> why;
    if (done) {
      why = std::move(written[i].refused);
      records += written[i].records;
      open_runs += written[i].open;
      if (!why && !group[i]->committed() && group[i]->stage != Stage::done) {
        group[i]->stage = Stage::waiting;
        group[i]->asked = TimePoint();
        changes.push_back(group[i]);
        continue;
      }
    } else {
      why = error_of(code, name);
      why->may_be_done = committing;
    }
    if (!why) changes_done += written[i].steps;
    if (!settle(*group[i])) continue;
    told.push_back(group[i]);
    refused.push_back(std::move(why));
  }
  call(guard, [&] {
    for (std::size_t i = 0; i < told.size(); ++i)
      refused[i] ? told[i]->fail(*refused[i]) : told[i]->succeed();
  });
}

void SqliteStore::Impl::tell_health(const std::string& trouble) {
  std::string before;
  {
    const std::lock_guard guard(mutex);
    // Who destroys the store no longer waits for this thread: the log may be gone.
    if (abandoned || degraded == trouble) return;
    before = std::exchange(degraded, trouble);
  }
  if (!options.log) return;
  if (trouble.empty()) return options.log(LogLevel::info, name + " is written again.");
  if (before.empty()) options.log(LogLevel::error, trouble);
}

void SqliteStore::Impl::suspect(int code) const {
  const int kind = code & 0xFF;
  if (kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB)
    static_cast<void>(make_file(suspicion_of(file)));
}

void SqliteStore::Impl::count() {
  int code = SQLITE_OK;
  const std::int64_t there = reading.number("SELECT count(*) FROM runs", code);
  static_cast<void>(reading.run("COMMIT"));
  if (code != SQLITE_ROW) return suspect(code);
  const std::lock_guard guard(mutex);
  records += there;
  is_counted = true;
}

void SqliteStore::Impl::read_all() {
  count();
  Guard guard(mutex);
  while (true) {
    for_reader.wait(guard, [&] { return closing || !lookups.empty(); });
    if (lookups.empty()) return;
    const std::shared_ptr<Look> lookup = std::move(lookups.front());
    lookups.pop_front();
    if (!begins(*lookup, Steady::now(), guard)) continue;
    int code = SQLITE_OK;
    looked_up = lookup.get();
    unlocked(guard, [&] {
      code = lookup->look();
      suspect(code);
    });
    looked_up = nullptr;
    if (code == SQLITE_OK && !lookup->is_done() && lookup->stage != Stage::done) {
      lookups.push_back(lookup);
      continue;
    }
    if (!settle(*lookup)) continue;
    call(guard, [&] {
      if (code != SQLITE_OK) return lookup->fail(error_of(code, name));
      lookup->succeed();
    });
  }
}

void SqliteStore::Impl::watch_all() {
  Guard guard(mutex);
  while (!abandoned && (!closing || running > 1)) {
    if (pending.empty()) {
      watched_until = no_deadline;
      for_watch.wait(guard);
      continue;
    }
    const TimePoint deadline = pending.begin()->first;
    const std::shared_ptr<Operation> operation = pending.begin()->second;
    if (Steady::now() < deadline) {
      // Most are done by then, and no later one wakes this thread.
      watched_until = deadline;
      for_watch.wait_until(guard, deadline);
      continue;
    }
    StoreError error = too_late();
    if (operation->stage == Stage::begun) {
      error.message = "The deadline passed while the store was at it.";
      error.may_be_done = true;
    }
    static_cast<void>(settle(*operation));
    call(guard, [&] { operation->fail(error); });
  }
}

void SqliteStore::Impl::write_beside(bool lazy, TimePoint deadline, std::size_t size,
                                     std::function<int()> write, Callback<Done> done) {
  const auto change = std::make_shared<ChangeBeside>(deadline, lazy);
  change->write = std::move(write);
  change->size = size;
  change->done = std::move(done);
  if (const std::optional<StoreError> why = add(change)) change->done(*why);
}

}  // namespace falproxy::inline v0
