// operations.hpp: what a store was asked for, from the call to its callback.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/state_store.hpp"
#include "rows.hpp"
#include "spending_rows.hpp"

namespace falproxy::inline v0::sqlite {

/// How far it has come. Changed under the store's lock.
enum class Stage { waiting, begun, done };

/// One call. Whoever moves `stage` to `done` calls the callback, and nobody else.
struct Operation {
  explicit Operation(TimePoint until) noexcept : deadline(until) {}
  virtual ~Operation() = default;
  virtual void fail(const StoreError& error) = 0;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  const TimePoint deadline;
  std::atomic<Stage> stage{Stage::waiting};
  /// Its place among all that are not done.
  std::multimap<TimePoint, std::shared_ptr<Operation>>::iterator place{};
};

/// For the thread that reads.
struct Look : Operation {
  using Operation::Operation;
  /// SQLite's code.
  [[nodiscard]] virtual int look() = 0;
  /// After look(). False: there is more to do, once others have had their turn.
  [[nodiscard]] virtual bool is_done() const { return true; }
  virtual void succeed() = 0;
};

struct Lookup final : Look {
  Lookup(TimePoint until, RowReader& from) noexcept : Look(until), reader(from) {}
  int look() override { return reader.find(query, found); }
  void succeed() override { done(std::move(found)); }
  void fail(const StoreError& error) override { done(error); }

  RowReader& reader;
  std::vector<RunRecord> found = {};

  RunQuery query = {};
  StateStore::Callback<std::vector<RunRecord>> done = {};
};

/// For the thread that writes.
struct Change : Operation {
  Change(TimePoint until, bool lazy) noexcept : Operation(until), is_lazy(lazy) {}
  /// Within a transaction.
  [[nodiscard]] virtual Written apply(RowWriter& rows) = 0;
  /// After it was committed. False: there is more to do, in another transaction.
  [[nodiscard]] virtual bool committed() { return true; }
  virtual void succeed() = 0;
  /// That it keeps in memory while it waits.
  [[nodiscard]] virtual std::size_t bytes() const { return 0; }
  /// What it writes, if that is a record of a run.
  [[nodiscard]] virtual const Row* written_row() const { return nullptr; }

  const bool is_lazy;
  TimePoint asked{};  ///< when it came
};

struct Write final : Change {
  Write(TimePoint until, bool lazy, Row made) : Change(until, lazy), row(std::move(made)) {}
  Written apply(RowWriter& rows) override {
    Written written = rows.write(row);
    written.steps = 1;
    return written;
  }
  void succeed() override { done(Done()); }
  void fail(const StoreError& error) override { done(error); }
  [[nodiscard]] std::size_t bytes() const override { return row.record.size(); }
  [[nodiscard]] const Row* written_row() const override { return &row; }

  Row row;
  StateStore::Callback<Done> done = {};
};

struct Erasure final : Change {
  Erasure(TimePoint until, const RunId& gone) : Change(until, false), id(gone) {}
  Written apply(RowWriter& rows) override {
    Written written = rows.erase(id);
    written.steps = 1;
    return written;
  }
  void succeed() override { done(Done()); }
  void fail(const StoreError& error) override { done(error); }

  RunId id;
  StateStore::Callback<Done> done = {};
};

/// What is kept beside the runs, and is read.
template <class T>
struct LookBeside final : Look {
  using Look::Look;
  int look() override { return read(found); }
  void succeed() override { done(std::move(found)); }
  void fail(const StoreError& error) override { done(error); }

  T found = {};
  std::function<int(T&)> read = {};
  StateStore::Callback<T> done = {};
};

/// A report by user, a part of it at a time.
struct LookAtUsers final : Look {
  LookAtUsers(TimePoint until, SpendingReader& from, const SpendingQuery& query)
      : Look(until), reader(from), report(query) {}
  int look() override { return reader.go_on(report); }
  [[nodiscard]] bool is_done() const override { return report.is_whole; }
  void succeed() override { done(std::move(report.sums).rows()); }
  void fail(const StoreError& error) override { done(error); }

  SpendingReader& reader;
  UserReport report;
  StateStore::Callback<std::vector<Spending>> done = {};
};

/// What is kept beside the runs, and is written.
struct ChangeBeside final : Change {
  using Change::Change;
  Written apply(RowWriter&) override { return {.code = write()}; }
  void succeed() override { done(Done()); }
  void fail(const StoreError& error) override { done(error); }
  [[nodiscard]] std::size_t bytes() const override { return size; }

  std::function<int()> write = {};
  std::size_t size = 256;  ///< about
  StateStore::Callback<Done> done = {};
};

/// A part of what expired at a time, so that others have their turn between.
struct Forgetting final : Change {
  static constexpr std::int64_t at_once = 250;

  Forgetting(TimePoint until, std::int64_t then) : Change(until, true), now(then) {}
  Written apply(RowWriter& rows) override {
    Written written = rows.forget(now, at_once);
    last = -written.records;
    written.steps = static_cast<std::uint64_t>(last);
    return written;
  }
  bool committed() override {
    total += static_cast<std::uint64_t>(last);
    return last < at_once;
  }
  void succeed() override { done(total); }
  void fail(const StoreError& error) override { done(error); }

  std::int64_t now;
  std::int64_t last = 0;
  std::uint64_t total = 0;
  StateStore::Callback<std::uint64_t> done = {};
};

}  // namespace falproxy::inline v0::sqlite
