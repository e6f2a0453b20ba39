#include "media_store/folder_store.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <random>
#include <system_error>
#include <utility>

#include "base/finally.hpp"
#include "base/fmt.hpp"
#include "media_store/media_links.hpp"
#include "process.hpp"

namespace falproxy::app {
namespace {

namespace fs = std::filesystem;

// What is kept in memory before it is written.
constexpr std::size_t piece_bytes = 256u << 10;
// Less than this counts as a full disk.
constexpr std::uint64_t least_room = 64u << 20;
constexpr const char* incoming = ".falproxy-incoming";
// What nobody writes to for so long has no writer any more.
constexpr std::chrono::hours longest_on_its_way{24};

std::string reason(int fault) { return std::generic_category().message(fault); }

Error trouble(const fs::path& place, int fault) {
  return {.kind = ErrorKind::internal,
          .message = fmt::format("{}: {}", place.string(), reason(fault))};
}

Error unusable(const fs::path& folder, std::string_view why) {
  return {.kind = ErrorKind::invalid_settings,
          .message = fmt::format("files cannot be kept in {}: {}", folder.string(), why),
          .field = "MEDIA_STORE"};
}

// A new name in it is there after a power failure, too; not every file system can do that.
void flush_folder(const fs::path& folder) {
  const int opened = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (opened < 0) return;
  static_cast<void>(::fsync(opened));
  ::close(opened);
}

class FolderWriter final : public MediaWriter {
 public:
  FolderWriter(int file, fs::path temporary, fs::path final_place, Executor& executor)
      : file_(file),
        temporary_(std::move(temporary)),
        place_(std::move(final_place)),
        executor_(executor) {}
  ~FolderWriter() override {
    if (file_ < 0) return;
    const auto drop = [this] {
      ::close(file_);
      ::unlink(temporary_.c_str());
    };
    try {
      executor_.run_blocking(drop);
    } catch (...) {  // no memory for another thread's turn
      drop();
    }
  }
  FolderWriter(const FolderWriter&) = delete;
  FolderWriter& operator=(const FolderWriter&) = delete;

  Result<Done> write(std::string_view bytes) override {
    piece_.append(bytes);
    if (piece_.size() < piece_bytes) return Done{};
    bool well = false;
    int fault = 0;
    executor_.run_blocking([&] {
      well = write_whole(file_, piece_);
      fault = errno;
    });
    piece_.clear();
    if (well) return Done{};
    return trouble(place_.parent_path(), fault);
  }

  // Through to the disk: a rename may otherwise reach it before the bytes do.
  Result<Done> finish(const std::string&) override {
    int fault = 0;
    executor_.run_blocking([&] {
      std::error_code ignored;
      const fs::path folder = place_.parent_path();
      const bool is_new = fs::create_directory(folder, ignored);
      const bool well = write_whole(file_, piece_) && ::fdatasync(file_) == 0 &&
                        ::rename(temporary_.c_str(), place_.c_str()) == 0;
      if (!well) fault = errno;
      if (well) flush_folder(folder);
      if (well && is_new) flush_folder(folder.parent_path());
    });
    if (fault != 0) return trouble(place_.parent_path(), fault);
    ::close(std::exchange(file_, -1));
    return Done{};
  }

 private:
  int file_;
  const fs::path temporary_, place_;
  Executor& executor_;
  std::string piece_;
};

class FolderReader final : public MediaReader {
 public:
  FolderReader(int file, std::uint64_t size, Executor& executor)
      : file_(file), size_(size), executor_(executor) {}
  ~FolderReader() override { ::close(file_); }
  FolderReader(const FolderReader&) = delete;
  FolderReader& operator=(const FolderReader&) = delete;

  std::uint64_t size() const noexcept override { return size_; }
  std::string read(std::uint64_t from, std::size_t most) override {
    std::string bytes(most, '\0');
    ssize_t got = 0;
    executor_.run_blocking(
        [&] { got = ::pread(file_, bytes.data(), bytes.size(), static_cast<off_t>(from)); });
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
  }

 private:
  const int file_;
  const std::uint64_t size_;
  Executor& executor_;
};

}  // namespace

FolderStore::FolderStore(fs::path folder, int lock, Executor& executor)
    : folder_(std::move(folder)),
      lock_(lock),
      tag_(fmt::format("{:x}", std::random_device()())),
      executor_(executor) {}

Result<std::unique_ptr<FolderStore>> FolderStore::create(fs::path folder, Executor& executor,
                                                         bool shared) {
  std::error_code fault;
  folder = fs::absolute(folder, fault).lexically_normal();
  fs::create_directories(folder / incoming, fault);
  if (fault) return unusable(folder, fault.message());
  const int lock = ::open((folder / ".falproxy.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return unusable(folder, reason(errno));
  if (::flock(lock, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
    ::close(lock);
    return unusable(folder, shared ? "a falproxy without STATE_URL has it"
                                   : "another falproxy has it; give each one a folder of its own");
  }
  for (const auto& left : fs::directory_iterator(folder / incoming, fault)) {
    // "ID.png.1a2b-7" alone is of FolderStore::begin().
    if (!id_in_file_name(left.path().stem().string())) continue;
    std::error_code ignored;
    // Another process may be writing it.
    if (shared && fs::last_write_time(left.path(), ignored) + longest_on_its_way >
                      fs::file_time_type::clock::now())
      continue;
    fs::remove(left.path(), ignored);
  }
  return std::unique_ptr<FolderStore>(new FolderStore(std::move(folder), lock, executor));
}

FolderStore::~FolderStore() { ::close(lock_); }

fs::path FolderStore::path_of(const std::string& name) const {
  return folder_ / name.substr(0, 2) / name;
}

Result<std::unique_ptr<MediaWriter>> FolderStore::begin(const std::string& name, const StoreWait&) {
  // Each writer has its own, also of those of one file.
  fs::path temporary = folder_ / incoming / fmt::format("{}.{}-{}", name, tag_, next_.fetch_add(1));
  int file = -1;
  int fault = 0;
  executor_.run_blocking([&] {
    file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    fault = errno;
  });
  if (file < 0) return trouble(folder_, fault);
  return std::unique_ptr<MediaWriter>(
      std::make_unique<FolderWriter>(file, std::move(temporary), path_of(name), executor_));
}

std::unique_ptr<MediaReader> FolderStore::open(const std::string& name) {
  int file = -1;
  struct stat about{};
  executor_.run_blocking([&] {
    file = ::open(path_of(name).c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0 || (::fstat(file, &about) == 0 && S_ISREG(about.st_mode))) return;
    ::close(std::exchange(file, -1));
  });
  if (file < 0) return nullptr;
  return std::make_unique<FolderReader>(file, static_cast<std::uint64_t>(about.st_size), executor_);
}

Result<Done> FolderStore::remove(const std::string& name, const StoreWait&) {
  int fault = 0;
  executor_.run_blocking([&] {
    if (::unlink(path_of(name).c_str()) != 0) fault = errno;
  });
  if (fault == 0 || fault == ENOENT) return Done{};
  return trouble(folder_, fault);
}

Result<Done> FolderStore::probe(const StoreWait&) {
  const fs::path file = folder_ / incoming / ".probe";
  int fault = 0;
  executor_.run_blocking([&] {
    struct statvfs disk{};
    const int probe = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const bool well = probe >= 0 && ::fstatvfs(probe, &disk) == 0;
    if (!well) fault = errno;
    if (well && std::uint64_t{disk.f_bavail} * disk.f_frsize < least_room) fault = ENOSPC;
    if (probe >= 0) ::close(probe);
    ::unlink(file.c_str());
  });
  if (fault != 0) return trouble(folder_, fault);
  return Done{};
}

}  // namespace falproxy::app
