#include "connect.hpp"

#include <optional>

#include "base/fmt.hpp"
#include "files.hpp"
#include "migrations.hpp"

namespace falproxy::inline v0::sqlite {

namespace fs = std::filesystem;

namespace {

// A file that is no larger is looked at page by page when it is opened: some tens of milliseconds.
constexpr std::int64_t small_file = 4 << 20;

// A look into every tree of the file. SQLite's code; SQLITE_CORRUPT with `found`: what is wrong.
int look_over(const Database& database, std::string& found) {
  int code = SQLITE_OK;
  const std::int64_t pages = database.number("PRAGMA page_count", code);
  const std::int64_t page = database.number("PRAGMA page_size", code);
  if (code != SQLITE_ROW) return code;
  if (pages * page <= small_file) {
    found = database.text("PRAGMA quick_check(1)", code);
    if (code != SQLITE_ROW) return code;
    return found == "ok" ? SQLITE_OK : SQLITE_CORRUPT;
  }
  for (const char* sql :
       {"SELECT record FROM runs ORDER BY row LIMIT 1",
        "SELECT record FROM runs ORDER BY row DESC LIMIT 1",
        "SELECT record FROM runs INDEXED BY runs_by_id WHERE promised = 1 ORDER BY id LIMIT 1",
        "SELECT record FROM runs INDEXED BY runs_by_digest ORDER BY digest LIMIT 1",
        "SELECT record FROM runs INDEXED BY runs_by_key WHERE key IS NOT NULL ORDER BY key LIMIT 1",
        "SELECT row FROM runs INDEXED BY runs_by_owner WHERE promised = 1 ORDER BY owner LIMIT 1",
        "SELECT record FROM runs INDEXED BY runs_by_expires ORDER BY expires LIMIT 1",
        "SELECT count(*) FROM runs INDEXED BY runs_open WHERE open = 1"}) {
    static_cast<void>(database.number(sql, code));
    if (code != SQLITE_ROW && code != SQLITE_DONE) return code;
  }
  return SQLITE_OK;
}

}  // namespace

std::string in_folder(const fs::path& folder) {
  return fmt::format("The store in {}", folder.string());
}

Result<Connections, StoreError> connect(const SqliteStore::Options& options, const fs::path& file) {
  const std::string name = in_folder(options.folder);
  const auto newer = [&](std::int64_t version) {
    return StoreError{
        StoreFault::newer,
        fmt::format("{} is of version {}, and this falproxy knows {}: it is left as it is. "
                    "Start the newer falproxy, or name another folder.",
                    name, version, migrations().size())};
  };
  const StoreError foreign{
      StoreFault::foreign,
      fmt::format("{} is another program's database: it is left as it is. Name "
                  "another folder.",
                  file.string())};
  // Before SQLite looks: it would finish what a newer version had begun.
  if (const std::optional<Header> header = read_header(file)) {
    if (header->application_id != 0 && header->application_id != application_id) return foreign;
    if (header->user_version > migrations().size()) return newer(header->user_version);
    fs::path wal = file;
    wal += "-wal";
    if (header->told_size > header->size && !has_bytes(wal))
      return StoreError{StoreFault::damaged,
                        fmt::format("{} is damaged: its end is missing.", name)};
  }

  Connections both;
  constexpr int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
  int code = both.writer.open(file.string(), flags, options.vfs);
  if (code != SQLITE_OK) return error_of(code, name);
  // FULL: a commit is on the disk when it returns. The cache, in kB, holds the inner pages of every
  // index and the rows of late.
  const std::string mode = both.writer.text("PRAGMA journal_mode=WAL", code);
  if (code == SQLITE_ROW && mode != "wal")
    return StoreError{
        StoreFault::unavailable,
        fmt::format("{} cannot be written: its file system takes no write-ahead log.", name)};
  if (code == SQLITE_ROW) code = SQLITE_OK;
  for (const char* pragma :
       {"PRAGMA synchronous=FULL", "PRAGMA busy_timeout=2000", "PRAGMA cache_size=-16384",
        "PRAGMA temp_store=MEMORY", "PRAGMA wal_autocheckpoint=4000", "PRAGMA secure_delete=FAST",
        "PRAGMA journal_size_limit=67108864", "PRAGMA cell_size_check=ON",
        "PRAGMA trusted_schema=OFF"}) {
    if (code == SQLITE_OK) code = both.writer.run(pragma);
  }
  if (code != SQLITE_OK) return error_of(code, name);

  const std::int64_t version = both.writer.number("PRAGMA user_version", code);
  if (code != SQLITE_ROW) return error_of(code, name);
  if (version > static_cast<std::int64_t>(migrations().size())) return newer(version);
  const std::int64_t tables = both.writer.number("SELECT count(*) FROM sqlite_schema", code);
  if (code != SQLITE_ROW) return error_of(code, name);
  if (version == 0 && tables > 0) return foreign;
  if (version < static_cast<std::int64_t>(migrations().size())) {
    code = migrate(both.writer, migrations());
    // So that the version stands in the file itself, for whoever looks without SQLite.
    if (code == SQLITE_OK) code = both.writer.run("PRAGMA wal_checkpoint(TRUNCATE)");
    if (code != SQLITE_OK) return error_of(code, name);
    flush_folder(options.folder);
  }
  std::string found;
  code = look_over(both.writer, found);
  if (code == SQLITE_CORRUPT && !found.empty())
    return StoreError{StoreFault::damaged, fmt::format("{} is damaged: {}.", name, found)};
  if (code == SQLITE_OK) code = both.reader.open(file.string(), flags, options.vfs);
  for (const char* pragma : {"PRAGMA query_only=ON", "PRAGMA busy_timeout=2000",
                             "PRAGMA cell_size_check=ON", "PRAGMA temp_store=MEMORY"}) {
    if (code == SQLITE_OK) code = both.reader.run(pragma);
  }
  if (code != SQLITE_OK) return error_of(code, name);
  return both;
}

}  // namespace falproxy::inline v0::sqlite
