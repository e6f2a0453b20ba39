// crash_disk.hpp: a file system for SQLite, on top of the real one, that knows which bytes a power
// failure would have left, that counts flushes, and that fails when told.
#pragma once

#include <sqlite3.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace falproxy::tests {

/// Registered by `name()` as long as it lives; outlives every store that uses it.
class CrashDisk {
 public:
  CrashDisk() {
    static std::atomic<int> number = 0;
    name_ = "crash-disk-" + std::to_string(++number);
    real_ = sqlite3_vfs_find(nullptr);
    vfs_ = *real_;
    vfs_.zName = name_.c_str();
    vfs_.pAppData = this;
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
    vfs_.xOpen = &CrashDisk::open;
    vfs_.xDelete = &CrashDisk::remove;
    sqlite3_vfs_register(&vfs_, 0);
  }
  ~CrashDisk() { sqlite3_vfs_unregister(&vfs_); }
  CrashDisk(const CrashDisk&) = delete;
  CrashDisk& operator=(const CrashDisk&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  /// Flushes of any file, since the start.
  [[nodiscard]] int flushes() const { return flushes_; }
  /// What writes and growing files answer from now on; SQLITE_OK: as usual.
  void fail_writes(int code) { write_code_ = code; }
  /// The same of flushes.
  void fail_flushes(int code) { flush_code_ = code; }
  /// How long each flush takes.
  void slow_flushes(std::chrono::milliseconds time) { flush_time_ = time; }

  /// Writes the files that a power failure would leave now into `folder`: what was flushed, and of
  /// the rest such sectors as chance has it.
  void crash_into(const std::filesystem::path& folder, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::filesystem::create_directories(folder);
    const std::lock_guard lock(mutex_);
    for (const auto& [path, file] : files_) {
      std::string bytes = file.flushed;
      for (const Write& write : file.pending) {
        if (write.cut) {
          if (random() % 2 == 0) bytes.resize(write.at);
          continue;
        }
        for (std::size_t from = 0; from < write.bytes.size(); from += 512) {
          if (random() % 2 == 0) continue;
          const std::string part = write.bytes.substr(from, 512);
          if (bytes.size() < write.at + from + part.size())
            bytes.resize(write.at + from + part.size());
          bytes.replace(write.at + from, part.size(), part);
        }
      }
      std::ofstream(folder / std::filesystem::path(path).filename(), std::ios::binary) << bytes;
    }
  }

 private:
  struct Write {
    std::size_t at = 0;
    std::string bytes = {};
    bool cut = false;  // the file ends at `at`
  };
  struct Content {
    std::string flushed;
    std::vector<Write> pending;
  };
  struct File {
    sqlite3_file base;
    CrashDisk* disk;
    const char* path;  // SQLite's, as long as the file is open; null: a temporary one
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  static CrashDisk& of(sqlite3_vfs* vfs) { return *static_cast<CrashDisk*>(vfs->pAppData); }
  static File& of(sqlite3_file* file) { return *reinterpret_cast<File*>(file); }

  template <class Change>
  void note(const File& file, Change&& change) {
    if (file.path == nullptr) return;
    const std::lock_guard lock(mutex_);
    change(files_[file.path]);
  }

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* opened, int flags, int* out) {
    File& file = of(opened);
    file.disk = &of(vfs);
    file.path = path;
    const int code = file.disk->real_->xOpen(file.disk->real_, path, file.real(), flags, out);
    opened->pMethods = file.real()->pMethods == nullptr ? nullptr : &methods();
    // What was there before counts as flushed.
    if (code == SQLITE_OK && path != nullptr) {
      const std::lock_guard lock(file.disk->mutex_);
      if (!file.disk->files_.contains(path)) {
        std::ifstream in(path, std::ios::binary);
        file.disk->files_[path].flushed = {std::istreambuf_iterator<char>(in), {}};
      }
    }
    return code;
  }
  static int remove(sqlite3_vfs* vfs, const char* path, int flush) {
    CrashDisk& disk = of(vfs);
    const std::lock_guard lock(disk.mutex_);
    disk.files_.erase(path);
    return disk.real_->xDelete(disk.real_, path, flush);
  }

  static int write(sqlite3_file* f, const void* bytes, int size, sqlite3_int64 at) {
    File& file = of(f);
    if (const int code = file.disk->write_code_; code != SQLITE_OK) return code;
    file.disk->note(file, [&](Content& content) {
      content.pending.push_back(
          {static_cast<std::size_t>(at),
           {static_cast<const char*>(bytes), static_cast<std::size_t>(size)}});
    });
    return file.real()->pMethods->xWrite(file.real(), bytes, size, at);
  }
  static int truncate(sqlite3_file* f, sqlite3_int64 size) {
    File& file = of(f);
    file.disk->note(file, [&](Content& content) {
      content.pending.push_back({static_cast<std::size_t>(size), {}, true});
    });
    return file.real()->pMethods->xTruncate(file.real(), size);
  }
  static int flush(sqlite3_file* f, int flags) {
    File& file = of(f);
    ++file.disk->flushes_;
    std::this_thread::sleep_for(file.disk->flush_time_.load());
    if (const int code = file.disk->flush_code_; code != SQLITE_OK) {
      // What was not flushed is lost, and no later flush tries it again; readers still see it.
      file.disk->note(file, [](Content& content) { content.pending.clear(); });
      return code;
    }
    file.disk->note(file, [](Content& content) {
      for (const Write& write : content.pending) {
        if (write.cut) {
          content.flushed.resize(write.at);
          continue;
        }
        if (content.flushed.size() < write.at + write.bytes.size())
          content.flushed.resize(write.at + write.bytes.size());
        content.flushed.replace(write.at, write.bytes.size(), write.bytes);
      }
      content.pending.clear();
    });
    // The real disk need not: nobody pulls its plug.
    static_cast<void>(flags);
    return SQLITE_OK;
  }

  // The rest goes to the real file.
  template <auto member, class... Args>
  static auto pass(sqlite3_file* f, Args... args) {
    return (of(f).real()->pMethods->*member)(of(f).real(), args...);
  }
  static const sqlite3_io_methods& methods() {
    using M = sqlite3_io_methods;
    static const M table = {.iVersion = 2,
                            .xClose = &pass<&M::xClose>,
                            .xRead = &pass<&M::xRead, void*, int, sqlite3_int64>,
                            .xWrite = &write,
                            .xTruncate = &truncate,
                            .xSync = &flush,
                            .xFileSize = &pass<&M::xFileSize, sqlite3_int64*>,
                            .xLock = &pass<&M::xLock, int>,
                            .xUnlock = &pass<&M::xUnlock, int>,
                            .xCheckReservedLock = &pass<&M::xCheckReservedLock, int*>,
                            .xFileControl = &pass<&M::xFileControl, int, void*>,
                            .xSectorSize = &pass<&M::xSectorSize>,
                            .xDeviceCharacteristics = &pass<&M::xDeviceCharacteristics>,
                            .xShmMap = &pass<&M::xShmMap, int, int, int, void volatile**>,
                            .xShmLock = &pass<&M::xShmLock, int, int, int>,
                            .xShmBarrier = &pass<&M::xShmBarrier>,
                            .xShmUnmap = &pass<&M::xShmUnmap, int>,
                            .xFetch = nullptr,
                            .xUnfetch = nullptr};
    return table;
  }

  std::string name_;
  sqlite3_vfs* real_ = nullptr;
  sqlite3_vfs vfs_{};
  std::atomic<int> flushes_ = 0, write_code_ = SQLITE_OK, flush_code_ = SQLITE_OK;
  std::atomic<std::chrono::milliseconds> flush_time_{std::chrono::milliseconds(0)};
  std::mutex mutex_;
  std::map<std::string, Content> files_;
};

}  // namespace falproxy::tests
