// prepare_all.hpp: several statements of one connection, prepared one after the other.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "database.hpp"

namespace falproxy::inline v0::sqlite {

/// SQLite's code of the first that cannot be prepared.
[[nodiscard]] inline int prepare_all(const Database& database,
                                     const std::vector<std::pair<Statement*, std::string>>& all) {
  for (const auto& [statement, sql] : all) {
    if (const int code = statement->prepare(database, sql.c_str()); code != SQLITE_OK) return code;
  }
  return SQLITE_OK;
}

}  // namespace falproxy::inline v0::sqlite
