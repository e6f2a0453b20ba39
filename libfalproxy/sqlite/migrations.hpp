// migrations.hpp: how a database of an older version becomes one of this version.
#pragma once

#include <span>

#include "database.hpp"

namespace falproxy::inline v0::sqlite {

/// What leads from one version to the next.
struct Migration {
  const char* sql;
};

/// The first one makes an empty database version 1, and so on: PRAGMA user_version is how many were
/// done.
[[nodiscard]] std::span<const Migration> migrations() noexcept;

/// "falp", in PRAGMA application_id.
inline constexpr std::int64_t application_id = 0x66616C70;

/// Does those that are missing, each in a transaction of its own. SQLite's code.
[[nodiscard]] int migrate(const Database& database, std::span<const Migration> steps);

}  // namespace falproxy::inline v0::sqlite
