// folder.hpp: a folder for one test.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "falproxy/sqlite_store.hpp"

namespace falproxy::tests {

/// Empty; gone with the last test that uses it.
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "falproxy-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~Folder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  /// Where a store is made.
  [[nodiscard]] std::filesystem::path store() const { return path_ / "state"; }
  [[nodiscard]] std::filesystem::path file() const { return store() / "falproxy.db"; }
  [[nodiscard]] std::filesystem::path path() const { return path_; }

 private:
  std::filesystem::path path_;
};

[[nodiscard]] inline std::unique_ptr<SqliteStore> opened(SqliteStore::Options options) {
  auto store = SqliteStore::open(std::move(options));
  return std::move(store).value();
}

[[nodiscard]] inline std::unique_ptr<SqliteStore> opened(const Folder& folder) {
  return opened(SqliteStore::Options{.folder = folder.store()});
}

}  // namespace falproxy::tests
