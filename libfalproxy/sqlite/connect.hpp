// connect.hpp: opens the file of a store, and tells why it cannot be used.
#pragma once

#include <filesystem>
#include <string>

#include "database.hpp"
#include "falproxy/sqlite_store.hpp"

namespace falproxy::inline v0::sqlite {

/// The two connections to a file.
struct Connections {
  Database writer;
  Database reader;
};

/// "The store in FOLDER": how messages call it.
[[nodiscard]] std::string in_folder(const std::filesystem::path& folder);

/// One try to open `file`, which is there, and to bring it up to date. Errors: those of
/// SqliteStore::open() but in_use.
[[nodiscard]] Result<Connections, StoreError> connect(const SqliteStore::Options& options,
                                                      const std::filesystem::path& file);

}  // namespace falproxy::inline v0::sqlite
