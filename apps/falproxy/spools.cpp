#include "spools.hpp"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "process.hpp"

namespace falproxy::app {
namespace {

namespace fs = std::filesystem;

Error no_room_left() {
  return {.kind = ErrorKind::overloaded,
          .message = "The server holds as many uploads as it may; try again later."};
}

// Not every file system can make a file without a name.
int open_nameless(const fs::path& folder) {
  const int file = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (file >= 0) return file;
  std::string name = (folder / ".falproxy-upload.XXXXXX").string();
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(name.c_str());
  return named;
}

class SpooledFile final : public BodySource {
 public:
  SpooledFile(int file, Executor& executor, MemoryBudget& room)
      : file_(file), executor_(executor), share_(&room) {}
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

  [[nodiscard]] bool append(std::string_view bytes, EVP_MD_CTX* sum) {
    if (!share_.resize(share_.bytes() + bytes.size())) return false;
    bool well = false;
    executor_.run_blocking([&] {
      well = write_whole(file_, bytes) && EVP_DigestUpdate(sum, bytes.data(), bytes.size()) == 1;
    });
    return well;
  }
  void set_digest(const Digest& digest) noexcept { digest_ = digest; }

 private:
  const int file_;
  Executor& executor_;
  MemoryShare share_;  // of the room, as much as the file has
  Digest digest_{};
};

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

  Result<Done> append(std::string_view bytes) override {
    if (file_->append(bytes, sum_.get())) return Done{};
    return no_room_left();
  }
  Result<std::shared_ptr<const BodySource>> finish() override {
    Digest digest{};
    if (EVP_DigestFinal_ex(sum_.get(), digest.data(), nullptr) != 1) return no_room_left();
    file_->set_digest(digest);
    return std::shared_ptr<const BodySource>(std::move(file_));
  }

 private:
  std::shared_ptr<SpooledFile> file_;
  std::unique_ptr<EVP_MD_CTX, FreeSum> sum_;
};

}  // namespace

Spools::Spools(std::optional<fs::path> folder, Executor& executor, std::size_t limit)
    : folder_(std::move(folder)), executor_(executor), room_(limit) {}

std::unique_ptr<Spool> Spools::begin() {
  if (!folder_.has_value()) return nullptr;
  int file = -1;
  executor_.run_blocking([&] { file = open_nameless(*folder_); });
  if (file < 0) return nullptr;
  auto spool = std::make_unique<FileSpool>(std::make_shared<SpooledFile>(file, executor_, room_));
  if (!spool->begin()) return nullptr;
  return spool;
}

}  // namespace falproxy::app
