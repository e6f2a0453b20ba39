// files.hpp: the folder of a store: who has it, and what is in its file before SQLite looks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "falproxy/state_store.hpp"

namespace falproxy::inline v0::sqlite {

/// Keeps other processes, and other stores of this one, out of a folder. Move-only.
class FolderLock {
 public:
  /// Makes the folder and the lock file if they are not there. Errors: in_use, unavailable.
  [[nodiscard]] static Result<FolderLock, StoreError> take(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&&) = delete;

 private:
  explicit FolderLock(int descriptor) noexcept : descriptor_(descriptor) {}
  int descriptor_;
};

/// What the first 100 bytes of a database say (SQLite's file format, 1.3).
struct Header {
  std::uint32_t user_version = 0;
  std::uint32_t application_id = 0;
  std::uint64_t told_size = 0;  ///< in bytes; 0: not told
  std::uint64_t size = 0;       ///< of the file
};
/// None: there is no file, or it does not begin as a database does.
[[nodiscard]] std::optional<Header> read_header(const std::filesystem::path& file);

/// Makes an empty file for its owner alone, if there is none. Errors: unavailable.
[[nodiscard]] Result<Done, StoreError> make_file(const std::filesystem::path& file);
/// Has the disk know which files a folder holds.
void flush_folder(const std::filesystem::path& folder) noexcept;
/// Is there a file, and anything in it?
[[nodiscard]] bool has_bytes(const std::filesystem::path& file) noexcept;

/// Renames a database and SQLite's files beside it: to which name? Errors: unavailable.
[[nodiscard]] Result<std::filesystem::path, StoreError> set_aside(
    const std::filesystem::path& database);

/// A file beside a database that says that it was found damaged, for who opens it next.
[[nodiscard]] std::filesystem::path suspicion_of(const std::filesystem::path& database);

}  // namespace falproxy::inline v0::sqlite
