#include "files.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/fmt.hpp"

namespace falproxy::inline v0::sqlite {
namespace {

namespace fs = std::filesystem;

StoreError unavailable(const fs::path& path, std::string_view what, int error) {
  return {StoreFault::unavailable, fmt::format("{} cannot be {}: {}.", path.string(), what,
                                               std::generic_category().message(error))};
}

std::uint32_t big_endian(const std::array<unsigned char, 100>& bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | bytes[at + i];
  return value;
}

std::string utc_now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm time{};
  gmtime_r(&now, &time);
  return fmt::format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", time.tm_year + 1900, time.tm_mon + 1,
                     time.tm_mday, time.tm_hour, time.tm_min, time.tm_sec);
}

fs::path with_suffix(const fs::path& path, std::string_view suffix) {
  fs::path longer = path;
  longer += suffix;
  return longer;
}

}  // namespace

Result<FolderLock, StoreError> FolderLock::take(const fs::path& folder) {
  std::error_code error;
  if (folder.has_parent_path()) fs::create_directories(folder.parent_path(), error);
  if (error) return unavailable(folder.parent_path(), "made", error.value());
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return unavailable(folder, "made", errno);
  const fs::path file = folder / "falproxy.lock";
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return unavailable(file, "opened", errno);
  FolderLock lock(descriptor);
  if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return unavailable(file, "locked", errno);
  return StoreError{
      StoreFault::in_use,
      fmt::format("Another process has the store in {}: give each one a folder of its own.",
                  folder.string())};
}

FolderLock::FolderLock(FolderLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::optional<Header> read_header(const fs::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return std::nullopt;
  std::array<unsigned char, 100> bytes{};
  struct stat about{};
  const ssize_t length = ::pread(descriptor, bytes.data(), bytes.size(), 0);
  const bool known = ::fstat(descriptor, &about) == 0;
  ::close(descriptor);
  if (!known || length != static_cast<ssize_t>(bytes.size())) return std::nullopt;
  if (std::memcmp(bytes.data(), "SQLite format 3", 16) != 0) return std::nullopt;
  Header header{.user_version = big_endian(bytes, 60),
                .application_id = big_endian(bytes, 68),
                .size = static_cast<std::uint64_t>(about.st_size)};
  // A page size of 1 stands for 65,536. The size holds only if the writer knew of the field.
  const std::uint64_t page = bytes[16] << 8 | bytes[17];
  if (big_endian(bytes, 24) == big_endian(bytes, 92))
    header.told_size = (page == 1 ? 65'536 : page) * big_endian(bytes, 28);
  return header;
}

Result<Done, StoreError> make_file(const fs::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return unavailable(file, "written", errno);
  ::close(descriptor);
  return Done();
}

void flush_folder(const fs::path& folder) noexcept {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

bool has_bytes(const fs::path& file) noexcept {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(file, error);
  return !error && size > 0;
}

Result<fs::path, StoreError> set_aside(const fs::path& database) {
  const std::string wanted = database.string() + ".damaged-" + utc_now();
  std::error_code error;
  fs::path aside = wanted;
  for (int i = 2; fs::exists(aside, error); ++i) aside = fmt::format("{}-{}", wanted, i);
  // The file itself last: until it has moved, all of it is looked at again.
  for (const char* suffix : {"-wal", "-shm", "-journal", ""}) {
    fs::rename(with_suffix(database, suffix), with_suffix(aside, suffix), error);
    if (error && error != std::errc::no_such_file_or_directory)
      return unavailable(database, "renamed", error.value());
  }
  fs::remove(suspicion_of(database), error);
  flush_folder(database.parent_path());
  return aside;
}

fs::path suspicion_of(const fs::path& database) { return with_suffix(database, ".suspect"); }

}  // namespace falproxy::inline v0::sqlite
