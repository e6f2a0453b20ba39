#include "migrations.hpp"

#include <string>

namespace falproxy::inline v0::sqlite {
namespace {

// Whatever is looked for stands in a column, and everything else in `record`, the bytes of pack().
// Ids and digests are looked for by their first 8 bytes: an index of numbers is a third as large,
// and what was found is compared as a whole. Rows are appended, and times are in nanoseconds of
// Unix time.
//
// What is written at random places costs most. So most runs, which nobody was promised, stand in
// one index of that kind alone, and are found by it when they are written again.
constexpr Migration all_steps[] = {{R"sql(
CREATE TABLE names(
  name INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE runs(
  row INTEGER PRIMARY KEY,
  id INTEGER NOT NULL,
  fence INTEGER NOT NULL,
  open INTEGER NOT NULL,
  promised INTEGER NOT NULL,
  owner INTEGER NOT NULL,
  surface INTEGER NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  digest INTEGER NOT NULL,
  key INTEGER,
  record BLOB NOT NULL
) STRICT;
CREATE INDEX runs_by_id ON runs(id) WHERE promised = 1;
CREATE INDEX runs_by_digest ON runs(digest, owner, created);
CREATE INDEX runs_by_key ON runs(key, owner, created) WHERE key IS NOT NULL;
CREATE INDEX runs_by_owner ON runs(owner, surface, created) WHERE promised = 1;
CREATE INDEX runs_by_expires ON runs(expires);
CREATE INDEX runs_open ON runs(created) WHERE open = 1;
)sql"},
                                   // Days since 1970, amounts in billionths.
                                   {R"sql(
CREATE TABLE charges(
  owner TEXT NOT NULL,
  day INTEGER NOT NULL,
  nano INTEGER NOT NULL,
  PRIMARY KEY(owner, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE spending(
  day INTEGER NOT NULL,
  client TEXT NOT NULL,
  model TEXT NOT NULL,
  person TEXT NOT NULL,
  requests INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  artifacts INTEGER NOT NULL,
  unpriced INTEGER NOT NULL,
  units INTEGER NOT NULL,
  cost INTEGER NOT NULL,
  PRIMARY KEY(day, client, model, person)
) STRICT, WITHOUT ROWID;
CREATE TABLE texts(
  name TEXT NOT NULL PRIMARY KEY,
  text TEXT NOT NULL
) STRICT, WITHOUT ROWID;
)sql"},
                                   // The order of `row` is that in which they came.
                                   {R"sql(
CREATE TABLE media(
  row INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  state INTEGER NOT NULL,
  owner TEXT NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  size INTEGER NOT NULL,
  content_type TEXT NOT NULL,
  extension TEXT NOT NULL,
  model TEXT NOT NULL,
  request_id TEXT NOT NULL,
  run BLOB,
  source TEXT NOT NULL,
  cost INTEGER,
  prompt TEXT
) STRICT;
CREATE INDEX media_by_owner ON media(owner);
CREATE INDEX media_by_expires ON media(expires);
CREATE INDEX media_waiting ON media(row) WHERE state = 0;
)sql"},
                                   // `totals` is `spending` without the persons, who may be many:
                                   // what most reports are made from.
                                   {R"sql(
ALTER TABLE media ADD COLUMN fal_request_id TEXT NOT NULL DEFAULT '';
ALTER TABLE spending ADD COLUMN corrected INTEGER NOT NULL DEFAULT 0;
CREATE TABLE totals(
  day INTEGER NOT NULL,
  client TEXT NOT NULL,
  model TEXT NOT NULL,
  requests INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  artifacts INTEGER NOT NULL,
  unpriced INTEGER NOT NULL,
  units INTEGER NOT NULL,
  cost INTEGER NOT NULL,
  corrected INTEGER NOT NULL,
  PRIMARY KEY(day, client, model)
) STRICT, WITHOUT ROWID;
INSERT INTO totals SELECT day, client, model, sum(requests), sum(failures), sum(artifacts),
  sum(unpriced), sum(units), sum(cost), 0 FROM spending GROUP BY day, client, model;
)sql"}};

}  // namespace

std::span<const Migration> migrations() noexcept { return all_steps; }

int migrate(const Database& database, std::span<const Migration> steps) {
  int code = SQLITE_OK;
  const std::int64_t version = database.number("PRAGMA user_version", code);
  if (code != SQLITE_ROW) return code;
  for (auto at = static_cast<std::size_t>(version); at < steps.size(); ++at) {
    const std::string sql = "BEGIN IMMEDIATE;" + std::string(steps[at].sql) +
                            ";PRAGMA application_id=" + std::to_string(application_id) +
                            ";PRAGMA user_version=" + std::to_string(at + 1) + ";COMMIT";
    code = database.run(sql.c_str());
    if (code != SQLITE_OK) {
      static_cast<void>(database.run("ROLLBACK"));
      return code;
    }
  }
  return SQLITE_OK;
}

}  // namespace falproxy::inline v0::sqlite
