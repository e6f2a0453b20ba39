#include "spools.hpp"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "base/fmt.hpp"
#include "process.hpp"
#include "serving/reactor.hpp"

namespace falproxy::app {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t least_reserve = 64u << 20, most_reserve = 1u << 30;
constexpr Seconds between_lines{60};

Error no_room_left(const char* why) {
  return {.kind = ErrorKind::overloaded, .message = std::string(why) + "; try again later."};
}

std::string describe_fault(int number) { return std::generic_category().message(number); }

// Not every file system can make a file without a name.
int open_nameless(const fs::path& folder) {
  const int file = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (file >= 0) return file;
  std::string name = (folder / ".falproxy-upload.XXXXXX").string();
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(name.c_str());
  return named;
}

}  // namespace

class SpooledFile final : public BodySource {
 public:
  SpooledFile(int file, Spools& spools)
      : file_(file), spools_(spools), executor_(spools.executor_), share_(&spools.room_) {}
  // To let go of a long file takes a file system milliseconds.
  ~SpooledFile() override {
    try {
      executor_.run_blocking([this] { ::close(file_); });
    } catch (...) {  // no memory for another thread's turn
      ::close(file_);
    }
  }
  SpooledFile(const SpooledFile&) = delete;
  SpooledFile& operator=(const SpooledFile&) = delete;

  std::uint64_t size() const noexcept override { return share_.bytes(); }
  Digest sha256() const noexcept override { return digest_; }
  std::string read(std::uint64_t from, std::size_t most) const override {
    std::string bytes(
        static_cast<std::size_t>(std::min<std::uint64_t>(most, size() - std::min(from, size()))),
        '\0');
    std::size_t have = 0;
    executor_.run_blocking([&] {
      ssize_t got = 1;
      while (have < bytes.size() && got > 0) {
        got = ::pread(file_, bytes.data() + have, bytes.size() - have,
                      static_cast<off_t>(from + have));
        if (got > 0) have += static_cast<std::size_t>(got);
      }
    });
    bytes.resize(have);
    return bytes;
  }

  [[nodiscard]] Result<Done> append(std::string_view bytes, EVP_MD_CTX* sum) {
    if (!share_.resize(share_.bytes() + bytes.size()))
      return no_room_left("The server holds as many uploads as it may");
    std::string fault;
    executor_.run_blocking([&] {
      if (spools_.free_bytes_(file_) < bytes.size()) {
        fault = "the disk is full but for its reserve";
      } else if (!write_whole(file_, bytes)) {
        fault = describe_fault(errno);
      } else if (EVP_DigestUpdate(sum, bytes.data(), bytes.size()) != 1) {
        fault = "its digest cannot be made";
      }
    });
    if (fault.empty()) return Done{};
    spools_.tell(fault);
    return no_room_left("The server cannot put this upload on its disk");
  }
  void set_digest(const Digest& digest) noexcept { digest_ = digest; }

 private:
  const int file_;
  Spools& spools_;
  Executor& executor_;
  MemoryShare share_;  // of the room, as much as the file has
  Digest digest_{};
};

namespace {

struct FreeSum {
  void operator()(EVP_MD_CTX* sum) const noexcept { EVP_MD_CTX_free(sum); }
};

class FileSpool final : public Spool {
 public:
  explicit FileSpool(std::shared_ptr<SpooledFile> file)
      : file_(std::move(file)), sum_(EVP_MD_CTX_new()) {}
  [[nodiscard]] bool begin() {
    return sum_ != nullptr && EVP_DigestInit_ex(sum_.get(), EVP_sha256(), nullptr) == 1;
  }

  Result<Done> append(std::string_view bytes) override { return file_->append(bytes, sum_.get()); }
  Result<std::shared_ptr<const BodySource>> finish() override {
    Digest digest{};
    if (EVP_DigestFinal_ex(sum_.get(), digest.data(), nullptr) != 1)
      return no_room_left("The server cannot put this upload on its disk");
    file_->set_digest(digest);
    return std::shared_ptr<const BodySource>(std::move(file_));
  }

 private:
  std::shared_ptr<SpooledFile> file_;
  std::unique_ptr<EVP_MD_CTX, FreeSum> sum_;
};

}  // namespace

Spools::Spools(std::optional<fs::path> folder, Executor& executor, std::size_t limit, LogLine log,
               FreeBytes free_bytes)
    : folder_(std::move(folder)),
      executor_(executor),
      room_(limit),
      log_(std::move(log)),
      free_bytes_(std::move(free_bytes)) {}

std::uint64_t Spools::free_but_for_reserve(int file) {
  struct statvfs disk{};
  // What cannot be asked may still be written to.
  if (::fstatvfs(file, &disk) != 0) return UINT64_MAX;
  const std::uint64_t free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  const std::uint64_t reserve = std::clamp<std::uint64_t>(
      std::uint64_t{disk.f_blocks} * disk.f_frsize / 10, least_reserve, most_reserve);
  return free - std::min(free, reserve);
}

void Spools::tell(std::string_view why) {
  if (!log_) return;
  const TimePoint now = serving::steady_now();
  {
    const std::lock_guard lock(mutex_);
    if (told_.has_value() && now < *told_ + between_lines) return;
    told_ = now;
  }
  log_(LogLevel::warning, fmt::format("STATE_DIR: an upload cannot be put there: {}", why));
}

std::unique_ptr<Spool> Spools::begin() {
  if (!folder_.has_value()) return nullptr;
  int file = -1;
  std::string fault;
  executor_.run_blocking([&] {
    file = open_nameless(*folder_);
    if (file < 0) {
      fault = describe_fault(errno);
    } else if (free_bytes_(file) == 0) {
      fault = "the disk is full but for its reserve";
    }
  });
  std::unique_ptr<FileSpool> spool;
  if (file >= 0) spool = std::make_unique<FileSpool>(std::make_shared<SpooledFile>(file, *this));
  if (!fault.empty()) {
    tell(fault);
    return nullptr;
  }
  if (!spool->begin()) return nullptr;
  return spool;
}

}  // namespace falproxy::app
