#include "falproxy/sqlite_store.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine.hpp"
#include "state/query.hpp"

namespace falproxy::inline v0 {

Result<std::unique_ptr<SqliteStore>, StoreError> SqliteStore::open(Options options) {
  std::error_code error;
  options.folder = fs::absolute(options.folder, error);
  Result<FolderLock, StoreError> lock = FolderLock::take(options.folder);
  if (!lock) return std::move(lock).error();
  const fs::path file = options.folder / "falproxy.db";
  auto impl = std::make_shared<Impl>(std::move(options), *std::move(lock), file);
  if (std::optional<StoreError> why = impl->open()) return *std::move(why);
  impl->start();
  return std::unique_ptr<SqliteStore>(new SqliteStore(std::move(impl)));
}

SqliteStore::SqliteStore(std::shared_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
SqliteStore::~SqliteStore() { impl_->end(); }

const std::string& SqliteStore::notice() const noexcept { return impl_->notice; }

void SqliteStore::write(const RunRecord& record, Durability durability, TimePoint deadline,
                        Callback<Done> done) {
  Result<Row, StoreError> row = row_of(record);
  if (!row) return done(std::move(row).error());
  const auto change =
      std::make_shared<Write>(deadline, durability == Durability::lazy, *std::move(row));
  change->done = std::move(done);
  if (const std::optional<StoreError> why = impl_->add(change)) change->done(*why);
}

void SqliteStore::erase(const RunId& id, TimePoint deadline, Callback<Done> done) {
  const auto change = std::make_shared<Erasure>(deadline, id);
  change->done = std::move(done);
  if (const std::optional<StoreError> why = impl_->add(change)) change->done(*why);
}

void SqliteStore::find(const RunQuery& query, TimePoint deadline,
                       Callback<std::vector<RunRecord>> done) {
  if (std::optional<StoreError> fault = fault_of(query)) return done(*std::move(fault));
  const auto lookup = std::make_shared<Lookup>(deadline, impl_->reader);
  lookup->query = query;
  lookup->done = std::move(done);
  if (const std::optional<StoreError> why = impl_->add(lookup)) lookup->done(*why);
}

void SqliteStore::forget_expired(WallTime now, TimePoint deadline, Callback<std::uint64_t> done) {
  const auto change = std::make_shared<Forgetting>(
      deadline,
      std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count());
  change->done = std::move(done);
  if (const std::optional<StoreError> why = impl_->add(change)) change->done(*why);
}

void SqliteStore::charge(std::vector<Charge> charges, Durability durability, TimePoint deadline,
                         Callback<Done> done) {
  const std::size_t size = 256 * (1 + charges.size());
  impl_->write_beside(
      durability == Durability::lazy, deadline, size,
      [&rows = impl_->spending_rows, charges = std::move(charges)] { return rows.charge(charges); },
      std::move(done));
}

void SqliteStore::balances(Day today, TimePoint deadline, Callback<std::vector<Balance>> done) {
  impl_->read_beside<std::vector<Balance>>(
      deadline,
      [&rows = impl_->spending_reader, today](auto& all) { return rows.balances(today, all); },
      std::move(done));
}

void SqliteStore::add(Spending spending, TimePoint deadline, Callback<Done> done) {
  const std::size_t size = 256 + spending.key.size() + spending.model.size() + spending.user.size();
  impl_->write_beside(
      true, deadline, size,
      [&rows = impl_->spending_rows, spending = std::move(spending)] { return rows.add(spending); },
      std::move(done));
}

void SqliteStore::sum(const SpendingQuery& query, TimePoint deadline,
                      Callback<std::vector<Spending>> done) {
  if (query.by == SpendingBy::user) {
    const auto look = std::make_shared<LookAtUsers>(deadline, impl_->spending_reader, query);
    look->done = std::move(done);
    if (const std::optional<StoreError> why = impl_->add(look)) look->done(*why);
    return;
  }
  impl_->read_beside<std::vector<Spending>>(
      deadline,
      [&rows = impl_->spending_reader, query](auto& sums) { return rows.sum(query, sums); },
      std::move(done));
}

void SqliteStore::forget_spending(Day day, TimePoint deadline, Callback<Done> done) {
  impl_->write_beside(
      true, deadline, 256,
      [&rows = impl_->spending_rows, day] { return rows.forget_spending(day); }, std::move(done));
}

void SqliteStore::put(std::string name, std::string text, TimePoint deadline, Callback<Done> done) {
  const std::size_t size = 256 + name.size() + text.size();
  impl_->write_beside(
      false, deadline, size,
      [&rows = impl_->spending_rows, name = std::move(name), text = std::move(text)] {
        return rows.put(name, text);
      },
      std::move(done));
}

void SqliteStore::get(std::string name, TimePoint deadline, Callback<std::string> done) {
  impl_->read_beside<std::string>(
      deadline,
      [&rows = impl_->spending_reader, name = std::move(name)](std::string& text) {
        return rows.get(name, text);
      },
      std::move(done));
}

void SqliteStore::note(std::vector<MediaRecord> records, TimePoint deadline, Callback<Done> done) {
  std::size_t size = 256;
  for (const MediaRecord& record : records)
    size += 512 + record.source.size() + record.prompt.value_or("").size();
  impl_->write_beside(
      true, deadline, size,
      [&rows = impl_->media_rows, records = std::move(records)] { return rows.note(records); },
      std::move(done));
}

void SqliteStore::change(const MediaRecord& record, TimePoint deadline, Callback<Done> done) {
  impl_->write_beside(
      true, deadline, 512, [&rows = impl_->media_rows, record] { return rows.change(record); },
      std::move(done));
}

void SqliteStore::forget(const RunId& id, TimePoint deadline, Callback<Done> done) {
  impl_->write_beside(
      true, deadline, 256, [&rows = impl_->media_rows, id] { return rows.forget(id); },
      std::move(done));
}

void SqliteStore::look_up(const MediaQuery& query, TimePoint deadline,
                          Callback<std::vector<MediaRecord>> done) {
  impl_->read_beside<std::vector<MediaRecord>>(
      deadline,
      [&rows = impl_->media_reader, query](auto& found) { return rows.look_up(query, found); },
      std::move(done));
}

void SqliteStore::totals(TimePoint deadline, Callback<std::vector<MediaTotal>> done) {
  impl_->read_beside<std::vector<MediaTotal>>(
      deadline, [&rows = impl_->media_reader](auto& all) { return rows.totals(all); },
      std::move(done));
}

StoreStatus SqliteStore::status() const {
  const std::lock_guard guard(impl_->mutex);
  StoreStatus status{
      .name = "sqlite",
      .open = static_cast<std::uint64_t>(std::max<std::int64_t>(0, impl_->open_runs)),
      .waiting = impl_->pending.size(),
      .written = impl_->changes_done,
      .commits = impl_->commits,
      .degraded = impl_->degraded};
  if (impl_->is_counted)
    status.records = static_cast<std::uint64_t>(std::max<std::int64_t>(0, impl_->records));
  return status;
}

}  // namespace falproxy::inline v0
