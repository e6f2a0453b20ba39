#include "database.hpp"

#include "base/fmt.hpp"

namespace falproxy::inline v0::sqlite {

int Database::open(const std::string& path, int flags, const std::string& vfs) {
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &handle, flags, vfs.empty() ? nullptr : vfs.c_str());
  handle_.reset(handle);  // there is one to close even if it could not be opened
  if (handle != nullptr) sqlite3_extended_result_codes(handle, 1);
  return code;
}

int Database::run(const char* sql) const {
  return sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr);
}

std::int64_t Database::number(const char* sql, int& code) const {
  Statement statement;
  code = statement.prepare(*this, sql);
  if (code != SQLITE_OK) return 0;
  code = statement.step();
  return code == SQLITE_ROW ? statement.number(0) : 0;
}

std::string Database::text(const char* sql, int& code) const {
  Statement statement;
  code = statement.prepare(*this, sql);
  if (code != SQLITE_OK) return {};
  code = statement.step();
  return code == SQLITE_ROW ? std::string(statement.bytes(0)) : std::string();
}

int Statement::prepare(const Database& database, const char* sql) {
  sqlite3_stmt* handle = nullptr;
  const int code =
      sqlite3_prepare_v3(database.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
  handle_.reset(handle);
  return code;
}

std::string_view Statement::bytes(int column) const {
  const void* data = sqlite3_column_blob(handle_.get(), column);
  const int size = sqlite3_column_bytes(handle_.get(), column);
  return {static_cast<const char*>(data), data == nullptr ? 0 : static_cast<std::size_t>(size)};
}

int Statement::run() {
  const int code = step();
  done();
  return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

StoreError error_of(int code, std::string_view what) {
  switch (code & 0xFF) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {StoreFault::damaged, fmt::format("{} is damaged: {}.", what, sqlite3_errstr(code))};
    case SQLITE_FULL:
      return {StoreFault::unavailable,
              fmt::format("{} cannot be written: the disk is full.", what)};
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
    case SQLITE_AUTH:
      return {StoreFault::unavailable,
              fmt::format("{} cannot be written: {} (code {}). Check who may write there.", what,
                          sqlite3_errstr(code), code)};
    case SQLITE_INTERRUPT:
      return {StoreFault::timed_out, fmt::format("The deadline passed while {} was read.", what)};
    default:
      return {StoreFault::unavailable,
              fmt::format("{} fails: {} (code {}).", what, sqlite3_errstr(code), code)};
  }
}

}  // namespace falproxy::inline v0::sqlite
