#include "media_rows.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <utility>

#include "prepare_all.hpp"

namespace falproxy::inline v0::sqlite {
namespace {

// The places of a record's columns, from 0.
enum Column : int {
  id,
  state,
  owner,
  created,
  expires,
  size,
  content_type,
  extension,
  model,
  request_id,
  run,
  source,
  cost,
  prompt,
  fal_request_id
};

const std::string select =
    "SELECT id, state, owner, created, expires, size, content_type, extension, model, request_id, "
    "run, source, cost, prompt, fal_request_id FROM media ";

std::string_view bytes_of(const RunId& id) noexcept {
  return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

RunId id_in(std::string_view bytes) noexcept {
  RunId id;
  std::memcpy(id.bytes.data(), bytes.data(), std::min(bytes.size(), id.bytes.size()));
  return id;
}

std::int64_t number_of(WallTime time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

WallTime time_in(std::int64_t nanoseconds) {
  return WallTime(
      std::chrono::duration_cast<WallTime::duration>(std::chrono::nanoseconds(nanoseconds)));
}

// Its states as they are stored, which stays so whatever becomes of the enum.
constexpr std::pair<MediaState, std::int64_t> states[] = {{MediaState::waiting, 0},
                                                          {MediaState::kept, 1},
                                                          {MediaState::lost, 2},
                                                          {MediaState::deleted, 3}};

std::int64_t number_of(MediaState state) {
  return std::ranges::find(states, state, &std::pair<MediaState, std::int64_t>::first)->second;
}

MediaState state_in(std::int64_t number) {
  for (const auto& [known, stored] : states) {
    if (stored == number) return known;
  }
  return MediaState::lost;
}

MediaRecord record_in(const Statement& row) {
  const auto text = [&](Column column) { return std::string(row.bytes(column)); };
  MediaRecord record{.id = id_in(row.bytes(Column::id)),
                     .state = state_in(row.number(Column::state)),
                     .owner = text(Column::owner),
                     .created = time_in(row.number(Column::created)),
                     .expires = time_in(row.number(Column::expires)),
                     .size = static_cast<std::uint64_t>(row.number(Column::size)),
                     .content_type = text(Column::content_type),
                     .extension = text(Column::extension),
                     .model = text(Column::model),
                     .request_id = text(Column::request_id),
                     .source = text(Column::source),
                     .fal_request_id = text(Column::fal_request_id)};
  if (!row.is_null(Column::run)) record.run = id_in(row.bytes(Column::run));
  if (!row.is_null(Column::cost)) record.cost = Usd{row.number(Column::cost)};
  if (!row.is_null(Column::prompt)) record.prompt = text(Column::prompt);
  return record;
}

}  // namespace

int MediaWriter::prepare(const Database& database) {
  return prepare_all(
      database,
      {{&note_,
        "INSERT INTO media(id, state, owner, created, expires, size, content_type, extension, "
        "model, request_id, run, source, cost, prompt, fal_request_id) "
        "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15) "
        "ON CONFLICT(id) DO NOTHING"},
       {&change_,
        "UPDATE media SET state = ?2, size = ?3, content_type = ?4 WHERE id = ?1 AND state != 3"},
       {&forget_, "DELETE FROM media WHERE id = ?1"}});
}

int MediaWriter::note(const std::vector<MediaRecord>& records) {
  for (const MediaRecord& record : records) {
    note_.bind(1, bytes_of(record.id)).bind(2, number_of(record.state));
    note_.bind_text(3, record.owner).bind(4, number_of(record.created));
    note_.bind(5, number_of(record.expires)).bind(6, static_cast<std::int64_t>(record.size));
    note_.bind_text(7, record.content_type).bind_text(8, record.extension);
    note_.bind_text(9, record.model).bind_text(10, record.request_id);
    record.run ? note_.bind(11, bytes_of(*record.run)) : note_.bind_null(11);
    note_.bind_text(12, record.source);
    record.cost ? note_.bind(13, record.cost->nano) : note_.bind_null(13);
    record.prompt ? note_.bind_text(14, *record.prompt) : note_.bind_null(14);
    note_.bind_text(15, record.fal_request_id);
    if (const int code = note_.run(); code != SQLITE_OK) return code;
  }
  return SQLITE_OK;
}

int MediaWriter::change(const MediaRecord& record) {
  change_.bind(1, bytes_of(record.id)).bind(2, number_of(record.state));
  change_.bind(3, static_cast<std::int64_t>(record.size));
  return change_.bind_text(4, record.content_type).run();
}

int MediaWriter::forget(const RunId& id) { return forget_.bind(1, bytes_of(id)).run(); }

int MediaReader::prepare(const Database& database) {
  return prepare_all(
      database,
      {{&by_id_, select + "WHERE id = ?1 AND (?2 = '' OR owner = ?2)"},
       {&by_owner_, select + "WHERE owner = ?1 AND state != 3 AND (?2 IS NULL OR row < (SELECT row "
                             "FROM media WHERE id "
                             "= ?2)) ORDER BY row DESC LIMIT ?3"},
       {&oldest_, select + "WHERE state = 1 ORDER BY row LIMIT ?1"},
       {&oldest_of_owner_, select + "WHERE owner = ?1 AND state = 1 ORDER BY row LIMIT ?2"},
       {&expired_, select + "WHERE expires <= ?1 LIMIT ?2"},
       {&waiting_, select + "WHERE state = 0 ORDER BY row LIMIT ?1"},
       {&totals_, "SELECT owner, count(*), sum(size) FROM media WHERE state = 1 GROUP BY owner"}});
}

int MediaReader::look_up(const MediaQuery& query, std::vector<MediaRecord>& found) {
  const auto limit = static_cast<std::int64_t>(query.limit);
  const auto collect = [&](Statement& statement) {
    int code = statement.step();
    for (; code == SQLITE_ROW; code = statement.step()) found.push_back(record_in(statement));
    statement.done();
    return code == SQLITE_DONE ? SQLITE_OK : code;
  };
  switch (query.by) {
    case MediaQuery::By::owner:
      by_owner_.bind_text(1, query.owner).bind(3, limit);
      query.after ? by_owner_.bind(2, bytes_of(*query.after)) : by_owner_.bind_null(2);
      return collect(by_owner_);
    case MediaQuery::By::oldest:
      if (query.owner.empty()) return collect(oldest_.bind(1, limit));
      return collect(oldest_of_owner_.bind_text(1, query.owner).bind(2, limit));
    case MediaQuery::By::expired:
      return collect(expired_.bind(1, number_of(query.now)).bind(2, limit));
    case MediaQuery::By::waiting:
      return collect(waiting_.bind(1, limit));
    case MediaQuery::By::id:
      break;
  }
  return collect(by_id_.bind(1, bytes_of(query.id)).bind_text(2, query.owner));
}

int MediaReader::totals(std::vector<MediaTotal>& all) {
  const InUse use(totals_);
  int code = totals_.step();
  for (; code == SQLITE_ROW; code = totals_.step()) {
    all.push_back({.owner = std::string(totals_.bytes(0)),
                   .files = static_cast<std::uint64_t>(totals_.number(1)),
                   .bytes = static_cast<std::uint64_t>(totals_.number(2))});
  }
  return code == SQLITE_DONE ? SQLITE_OK : code;
}

}  // namespace falproxy::inline v0::sqlite
