#include "rows.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <utility>

#include "state/query.hpp"

namespace falproxy::inline v0::sqlite {
namespace {

using By = RunQuery::By;

constexpr std::size_t most_names = 10'000, most_known = 10'000;

std::int64_t nanoseconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

template <std::size_t n>
std::int64_t head_of(const std::array<std::uint8_t, n>& bytes) {
  std::uint64_t head = 0;
  for (std::size_t i = 0; i < 8; ++i) head = head << 8 | bytes[i];
  return static_cast<std::int64_t>(head);
}

template <std::size_t n>
std::string_view view_of(const std::array<std::uint8_t, n>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Where pack() puts the id and the digest.
constexpr std::size_t head_size = 1 + 16 + 32;
std::string_view head_in(std::string_view record) { return record.substr(0, head_size); }
std::string_view id_in(std::string_view record) { return record.substr(1, 16); }
std::string_view digest_in(std::string_view record) { return record.substr(17, 32); }

bool is_newer(const RunRecord& a, const RunRecord& b) { return place_of(a) > place_of(b); }

}  // namespace

std::string_view id_of(const Row& row) noexcept { return id_in(row.record); }

Result<Row, StoreError> row_of(const RunRecord& record) {
  Result<std::string, StoreError> packed = pack(record);
  if (!packed) return std::move(packed).error();
  Row row{.id = head_of(record.id.bytes),
          .fence = static_cast<std::int64_t>(record.fence),
          .open = is_open(record),
          .promised = record.promised,
          .owner = record.owner,
          .surface = record.surface,
          .created = nanoseconds(record.created),
          .expires = nanoseconds(record.expires),
          .digest = head_of(record.digest),
          .record = *std::move(packed)};
  if (record.key_hash) row.key = head_of(*record.key_hash);
  return row;
}

int RowWriter::prepare(const Database& database) {
  writing_ = &database;
  const std::pair<Statement*, const char*> all[] = {
      {&find_,
       "SELECT row, fence, open, promised, owner, surface, created, expires, key, record "
       "FROM runs WHERE digest = ?1 AND owner = ?2 AND created = ?3"},
      {&find_by_id_,
       "SELECT row, fence, open, promised, owner, surface, created, expires, key, record "
       "FROM runs WHERE promised = 1 AND id = ?1"},
      {&insert_,
       "INSERT INTO runs(fence, open, promised, expires, record, id, owner, surface, created, "
       "digest, key) VALUES(?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"},
      // SQLite writes an index anew if one of its columns is named, changed or not.
      {&update_, "UPDATE runs SET fence = ?2, record = ?6 WHERE row = ?1"},
      {&update_open_, "UPDATE runs SET fence = ?2, open = ?3, record = ?6 WHERE row = ?1"},
      {&update_end_,
       "UPDATE runs SET fence = ?2, open = ?3, expires = ?5, record = ?6 WHERE row = ?1"},
      {&update_all_,
       "UPDATE runs SET fence = ?2, open = ?3, promised = ?4, expires = ?5, record = ?6 "
       "WHERE row = ?1"},
      {&erase_, "DELETE FROM runs WHERE row = ?1"},
      {&forget_,
       "DELETE FROM runs WHERE row IN (SELECT row FROM runs WHERE expires <= ?1 LIMIT ?2) "
       "RETURNING open, id"},
      {&name_, "SELECT name FROM names WHERE text = ?1"},
      {&new_name_, "INSERT INTO names(text) VALUES(?1) RETURNING name"},
  };
  for (const auto& [statement, sql] : all) {
    if (const int code = statement->prepare(database, sql); code != SQLITE_OK) return code;
  }
  return SQLITE_OK;
}

int RowWriter::read(Statement& statement, std::string_view id, std::string_view record,
                    std::optional<Stored>& stored) {
  int code = statement.step();
  for (; code == SQLITE_ROW; code = statement.step()) {
    const std::string_view there = statement.bytes(9);
    if (there.size() < head_size) return SQLITE_CORRUPT;
    if (id_in(there) != id) continue;
    stored = Stored{.row = statement.number(0),
                    .fence = statement.number(1),
                    .open = statement.number(2) != 0,
                    .promised = statement.number(3) != 0,
                    .owner = statement.number(4),
                    .surface = statement.number(5),
                    .created = statement.number(6),
                    .expires = statement.number(7),
                    .key = std::nullopt,
                    .same_digest = record.empty() || digest_in(there) == digest_in(record),
                    .same_record = there == record};
    if (!statement.is_null(8)) stored->key = statement.number(8);
    return SQLITE_OK;
  }
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

int RowWriter::find(const Row& row, std::int64_t owner, std::optional<Stored>& stored) {
  const auto known = known_.find(row.id);
  // If the fences are the same, the records are compared.
  if (known == known_.end() || id_in(known->second.head) != id_in(row.record) ||
      row.fence == known->second.stored.fence)
    return look_up(row, owner, stored);
  stored = known->second.stored;
  stored->same_digest = digest_in(known->second.head) == digest_in(row.record);
  return SQLITE_OK;
}

void RowWriter::remember(const Row& row, const Stored& stored) {
  if (!stored.open) {
    known_.erase(row.id);
    return;
  }
  if (known_.size() >= most_known) known_.clear();
  Known& known = known_[row.id];
  known.stored = stored;
  known.head = head_in(row.record);
}

int RowWriter::look_up(const Row& row, std::int64_t owner, std::optional<Stored>& stored) {
  const InUse use(find_);
  find_.bind(1, row.digest).bind(2, owner).bind(3, row.created);
  const int code = read(find_, id_in(row.record), row.record, stored);
  if (code != SQLITE_OK || stored || !row.promised) return code;
  const InUse use_by_id(find_by_id_);
  find_by_id_.bind(1, row.id);
  return read(find_by_id_, id_in(row.record), row.record, stored);
}

int RowWriter::number_of(const std::string& name, std::int64_t& number) {
  if (const auto known = names_.find(name); known != names_.end()) {
    number = known->second;
    return SQLITE_OK;
  }
  for (Statement* statement : {&name_, &new_name_}) {
    const InUse use(*statement);
    const int code = statement->bind_text(1, name).step();
    if (code == SQLITE_DONE) continue;
    if (code != SQLITE_ROW) return code;
    number = statement->number(0);
    // A statement that RETURNs is done when it says so.
    if (statement == &new_name_) {
      if (const int end = statement->step(); end != SQLITE_DONE) return end;
    }
    if (names_.size() >= most_names) names_.clear();
    names_.emplace(name, number);
    return SQLITE_OK;
  }
  return SQLITE_INTERNAL;
}

void RowWriter::write_with_next(const Row& row, std::optional<StoreError>& refused) {
  earlier_[id_of(row)].push_back({&row, &refused});
}

// As if each had been written in its turn: it would have been refused if the store had the same
// fence, or a higher one.
int RowWriter::judge(const std::vector<Earlier>& earlier, std::int64_t owner,
                     const std::optional<Stored>& stored) {
  for (const Earlier& one : earlier) {
    if (!stored || one.row->fence > stored->fence) continue;
    bool is_there = false;
    if (one.row->fence == stored->fence) {
      std::optional<Stored> again;
      if (const int code = find(*one.row, owner, again); code != SQLITE_OK) return code;
      is_there = again && again->same_record;
    }
    if (!is_there)
      *one.refused = outdated(static_cast<std::uint64_t>(one.row->fence),
                              static_cast<std::uint64_t>(stored->fence));
  }
  return SQLITE_OK;
}

Written RowWriter::write(const Row& row) {
  const auto earlier = earlier_.extract(id_of(row));
  const std::vector<Earlier> done_with =
      earlier.empty() ? std::vector<Earlier>() : earlier.mapped();
  Written written = write_alone(row, done_with);
  // If it is no record of that run, the others are written in its place.
  for (const Earlier& one : done_with) {
    if (written.code != SQLITE_OK || !written.refused || one.refused->has_value()) continue;
    const Written alone = write_alone(*one.row, {});
    *one.refused = alone.refused;
    written.code = alone.code;
    written.records += alone.records;
    written.open += alone.open;
  }
  return written;
}

Written RowWriter::write_alone(const Row& row, const std::vector<Earlier>& done_with) {
  std::int64_t owner = 0, surface = 0;
  if (const int code = number_of(row.owner, owner); code != SQLITE_OK) return {.code = code};
  if (const int code = number_of(row.surface, surface); code != SQLITE_OK) return {.code = code};
  std::optional<Stored> stored;
  if (const int code = find(row, owner, stored); code != SQLITE_OK) return {.code = code};
  if (const int code = judge(done_with, owner, stored); code != SQLITE_OK) return {.code = code};
  if (stored && row.fence <= stored->fence) {
    if (row.fence == stored->fence && stored->same_record) return {};
    return {.refused = outdated(static_cast<std::uint64_t>(row.fence),
                                static_cast<std::uint64_t>(stored->fence))};
  }
  if (stored && (owner != stored->owner || surface != stored->surface ||
                 row.created != stored->created || !stored->same_digest || row.key != stored->key))
    return {.refused = other_run()};

  Statement* statement = &insert_;
  if (stored) {
    statement = row.promised != stored->promised ? &update_all_
                : row.expires != stored->expires ? &update_end_
                : row.open != stored->open       ? &update_open_
                                                 : &update_;
  }
  // A place that a statement does not have is passed over.
  if (stored) statement->bind(1, stored->row);
  statement->bind(2, row.fence).bind(3, std::int64_t{row.open}).bind(4, std::int64_t{row.promised});
  statement->bind(5, row.expires).bind(6, row.record);
  if (!stored) {
    statement->bind(7, row.id).bind(8, owner).bind(9, surface).bind(10, row.created);
    statement->bind(11, row.digest);
    row.key ? statement->bind(12, *row.key) : statement->bind_null(12);
  }
  const Written written{.code = statement->run(),
                        .records = stored ? 0 : 1,
                        .open = std::int64_t{row.open} - std::int64_t{stored && stored->open}};
  remember(row, {.row = stored ? stored->row : writing_->last_row(),
                 .fence = row.fence,
                 .open = row.open,
                 .promised = row.promised,
                 .owner = owner,
                 .surface = surface,
                 .created = row.created,
                 .expires = row.expires,
                 .key = row.key});
  return written;
}

Written RowWriter::erase(const RunId& id) {
  std::optional<Stored> stored;
  {
    const InUse use(find_by_id_);
    find_by_id_.bind(1, head_of(id.bytes));
    if (const int code = read(find_by_id_, view_of(id.bytes), {}, stored); code != SQLITE_OK)
      return {.code = code};
  }
  if (!stored) return {};
  known_.erase(head_of(id.bytes));
  return {.code = erase_.bind(1, stored->row).run(), .records = -1, .open = stored->open ? -1 : 0};
}

Written RowWriter::forget(std::int64_t now, std::int64_t limit) {
  const InUse use(forget_);
  Written written;
  forget_.bind(1, now).bind(2, limit);
  int code = forget_.step();
  for (; code == SQLITE_ROW; code = forget_.step()) {
    --written.records;
    if (forget_.number(0) != 0) --written.open;
    known_.erase(forget_.number(1));
  }
  written.code = code == SQLITE_DONE ? SQLITE_OK : code;
  return written;
}

// What is looked for is as old as `created` and has a lower id, or is older, and not older than
// `not_before`.
struct RowReader::Bounds {
  std::int64_t created = std::numeric_limits<std::int64_t>::max();
  std::string id = std::string(16, '\xFF');
  std::int64_t not_before = 0;

  explicit Bounds(const RunQuery& query) {
    if (query.not_before) not_before = std::max<std::int64_t>(0, nanoseconds(*query.not_before));
    if (query.oldest_first) {
      created = 0;
      id = std::string(16, '\0');
    }
    if (!query.after) return;
    created = nanoseconds(query.after->created);
    id = view_of(query.after->id.bytes);
  }
};

int RowReader::prepare(const Database& database) {
  const std::string within =
      " AND created <= ?1 AND created >= ?2 AND (created < ?1 OR substr(record, 2, 16) < ?3)"
      " ORDER BY created DESC, substr(record, 2, 16) DESC";
  const std::pair<Statement*, std::string> all[] = {
      {&by_id_, "SELECT record FROM runs WHERE promised = 1 AND id = ?1"},
      {&by_digest_, "SELECT record FROM runs WHERE digest = ?5 AND owner = ?4" + within},
      {&by_key_, "SELECT record FROM runs WHERE key = ?5 AND owner = ?4" + within},
      {&by_owner_,
       "SELECT record FROM runs WHERE promised = 1 AND owner = ?4 AND surface = ?5" + within},
      {&by_owner_oldest_,
       "SELECT record FROM runs WHERE promised = 1 AND owner = ?4 AND surface = ?5 AND created >= "
       "?1 AND created >= ?2 AND (created > ?1 OR substr(record, 2, 16) > ?3) ORDER BY created, "
       "substr(record, 2, 16)"},
      {&open_, "SELECT record FROM runs WHERE open = 1" + within},
      {&surfaces_,
       "SELECT min(surface) FROM runs WHERE promised = 1 AND owner = ?1 AND surface > ?2"},
      {&name_, "SELECT name FROM names WHERE text = ?1"},
  };
  for (const auto& [statement, sql] : all) {
    if (const int code = statement->prepare(database, sql.c_str()); code != SQLITE_OK) return code;
  }
  return SQLITE_OK;
}

int RowReader::number_of(const std::string& name, std::optional<std::int64_t>& number) {
  const InUse use(name_);
  const int code = name_.bind_text(1, name).step();
  if (code == SQLITE_ROW) number = name_.number(0);
  return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

int RowReader::collect(Statement& statement, const RunQuery& query, std::vector<RunRecord>& found) {
  std::size_t room = query.limit;
  int code = SQLITE_DONE;
  while (room > 0 && (code = statement.step()) == SQLITE_ROW) {
    Result<RunRecord, StoreError> record = unpack(statement.bytes(0));
    if (!record) return SQLITE_CORRUPT;
    // Of ids, digests and owners the row knows a part.
    if (!query.owner.empty() && record->owner != query.owner) continue;
    if (query.by == By::id && record->id != query.id) continue;
    if (query.by == By::digest && record->digest != query.digest) continue;
    if (query.by == By::key && (record->key_hash != query.digest || !holds_key(*record))) continue;
    if (query.not_before && record->created < *query.not_before) continue;
    found.push_back(*std::move(record));
    --room;
  }
  return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

int RowReader::find_of_owner(const RunQuery& query, std::int64_t owner, const Bounds& bounds,
                             std::vector<RunRecord>& found) {
  std::vector<std::int64_t> surfaces;
  if (!query.surface.empty()) {
    std::optional<std::int64_t> surface;
    const int code = number_of(query.surface, surface);
    if (code != SQLITE_OK || !surface) return code;
    surfaces.push_back(*surface);
  } else {
    // Each one in turn, past all that have it.
    for (std::int64_t last = 0;;) {
      const InUse use(surfaces_);
      const int code = surfaces_.bind(1, owner).bind(2, last).step();
      if (code != SQLITE_ROW) return code;
      if (surfaces_.is_null(0)) break;
      surfaces.push_back(last = surfaces_.number(0));
    }
  }
  for (const std::int64_t surface : surfaces) {
    Statement& by_owner = query.oldest_first ? by_owner_oldest_ : by_owner_;
    const InUse use(by_owner);
    by_owner.bind(1, bounds.created)
        .bind(2, bounds.not_before)
        .bind(3, std::string_view(bounds.id));
    by_owner.bind(4, owner).bind(5, surface);
    if (const int code = collect(by_owner, query, found); code != SQLITE_OK) return code;
  }
  std::ranges::sort(found, is_newer);
  if (query.oldest_first) std::ranges::reverse(found);
  if (found.size() > query.limit)
    found.erase(found.begin() + static_cast<std::ptrdiff_t>(query.limit), found.end());
  return SQLITE_OK;
}

int RowReader::find(const RunQuery& query, std::vector<RunRecord>& found) {
  if (query.by == By::id) {
    const InUse use(by_id_);
    by_id_.bind(1, head_of(query.id.bytes));
    return collect(by_id_, query, found);
  }
  const Bounds bounds(query);
  std::optional<std::int64_t> owner;
  if (!query.owner.empty()) {
    const int code = number_of(query.owner, owner);
    if (code != SQLITE_OK || !owner) return code;
  }
  if (query.by == By::owner) return find_of_owner(query, *owner, bounds, found);

  Statement& statement = query.by == By::open ? open_ : query.by == By::key ? by_key_ : by_digest_;
  const InUse use(statement);
  statement.bind(1, bounds.created).bind(2, bounds.not_before).bind(3, std::string_view(bounds.id));
  if (query.by != By::open) statement.bind(4, *owner).bind(5, head_of(query.digest));
  return collect(statement, query, found);
}

}  // namespace falproxy::inline v0::sqlite
