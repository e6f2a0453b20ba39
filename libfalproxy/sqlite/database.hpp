// database.hpp: SQLite's connections and statements, given back by themselves. Each belongs to one
// thread at a time.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "falproxy/state_store.hpp"

namespace falproxy::inline v0::sqlite {

/// A connection.
class Database {
 public:
  /// SQLite's code. `flags` are those of sqlite3_open_v2; an empty `vfs` is the default one.
  [[nodiscard]] int open(const std::string& path, int flags, const std::string& vfs);
  [[nodiscard]] sqlite3* get() const noexcept { return handle_.get(); }
  void close() { handle_.reset(); }

  /// Statements without a result, or whose result does not matter. SQLite's code.
  [[nodiscard]] int run(const char* sql) const;
  /// The number that a statement gives; `code` is SQLITE_ROW if it gave one.
  [[nodiscard]] std::int64_t number(const char* sql, int& code) const;
  /// The row that was inserted last.
  [[nodiscard]] std::int64_t last_row() const { return sqlite3_last_insert_rowid(handle_.get()); }
  /// The text that a statement gives.
  [[nodiscard]] std::string text(const char* sql, int& code) const;

 private:
  struct Close {
    void operator()(sqlite3* handle) const noexcept { sqlite3_close_v2(handle); }
  };
  std::unique_ptr<sqlite3, Close> handle_;
};

/// A statement that is prepared once.
class Statement {
 public:
  /// SQLite's code.
  [[nodiscard]] int prepare(const Database& database, const char* sql);

  /// The places count from 1. Bytes must stay until done().
  Statement& bind(int place, std::int64_t value) {
    sqlite3_bind_int64(handle_.get(), place, value);
    return *this;
  }
  Statement& bind(int place, std::string_view bytes) {
    sqlite3_bind_blob64(handle_.get(), place, bytes.data(), bytes.size(), SQLITE_STATIC);
    return *this;
  }
  Statement& bind_text(int place, std::string_view text) {
    sqlite3_bind_text64(handle_.get(), place, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
    return *this;
  }
  Statement& bind_null(int place) {
    sqlite3_bind_null(handle_.get(), place);
    return *this;
  }

  /// SQLITE_ROW, SQLITE_DONE or what is wrong.
  [[nodiscard]] int step() { return sqlite3_step(handle_.get()); }
  /// The columns count from 0.
  [[nodiscard]] std::int64_t number(int column) const {
    return sqlite3_column_int64(handle_.get(), column);
  }
  [[nodiscard]] bool is_null(int column) const {
    return sqlite3_column_type(handle_.get(), column) == SQLITE_NULL;
  }
  /// Until the next step() or done().
  [[nodiscard]] std::string_view bytes(int column) const;
  /// Ready for the next use.
  void done() noexcept { sqlite3_reset(handle_.get()); }
  /// A statement that gives nothing: step() and done(). SQLITE_OK or what is wrong.
  [[nodiscard]] int run();

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const noexcept { sqlite3_finalize(handle); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

/// Calls done() at its end.
class InUse {
 public:
  explicit InUse(Statement& statement) noexcept : statement_(statement) {}
  ~InUse() { statement_.done(); }
  InUse(const InUse&) = delete;
  InUse& operator=(const InUse&) = delete;

 private:
  Statement& statement_;
};

/// What a code of SQLite's means to who asked a store. `what`: "The store in /var/lib/falproxy".
[[nodiscard]] StoreError error_of(int code, std::string_view what);

}  // namespace falproxy::inline v0::sqlite
