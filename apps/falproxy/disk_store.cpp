#include "disk_store.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <iterator>
#include <system_error>
#include <utility>

#include "base/fmt.hpp"
#include "base/hex.hpp"
#include "folders.hpp"
#include "process.hpp"

namespace falproxy::app {
namespace {

constexpr std::string_view format_name = "falproxy-document-1";

std::string reason() { return std::generic_category().message(errno); }

// Distinct among the threads of all processes that share the directory.
std::string temporary_name() {
  static std::atomic<unsigned> counter{0};
  return fmt::format(".{}.{}.tmp", ::getpid(), counter.fetch_add(1));
}

// Through to the disk: a rename may otherwise reach it before the bytes do.
bool write_file(const std::filesystem::path& path, std::string_view bytes) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return false;
  const bool well = write_whole(fd, bytes) && ::fsync(fd) == 0;
  const int fault = errno;
  ::close(fd);
  errno = fault;
  return well;
}

// None: there is no such file, or it is none that can be read.
std::optional<std::string> read_whole(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  struct stat about{};
  std::string bytes;
  std::array<char, 64u << 10> buffer;
  ssize_t n = ::fstat(fd, &about) == 0 && S_ISREG(about.st_mode) ? 1 : -1;
  while (n > 0) {
    n = ::read(fd, buffer.data(), buffer.size());
    if (n > 0) bytes.append(buffer.data(), static_cast<std::size_t>(n));
  }
  ::close(fd);
  return n == 0 ? std::optional(std::move(bytes)) : std::nullopt;
}

// The next word of a line whose words stand between single blanks.
std::string_view next_word(std::string_view& line) {
  const std::size_t end = line.find(' ');
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
  return word;
}

}  // namespace

Result<std::unique_ptr<DiskStore>> DiskStore::create(std::filesystem::path directory,
                                                     const Codecs& codecs,
                                                     std::function<void(std::string_view)> log) {
  std::error_code fault;
  std::filesystem::create_directories(directory, fault);
  const std::filesystem::path probe = directory / temporary_name();
  const bool writable = !fault && write_file(probe, format_name);
  const std::string why = fault ? fault.message() : reason();
  std::filesystem::remove(probe, fault);
  const bool readable = ::access(directory.c_str(), R_OK | X_OK) == 0;
  if (!writable && !readable) {
    return Error{
        .kind = ErrorKind::invalid_settings,
        .message = fmt::format("documents cannot be kept in {}: {}", directory.string(), why),
        .field = "SCHEMA_CACHE_DIR"};
  }
  if (!writable) {
    log(fmt::format("SCHEMA_CACHE_DIR: documents are read from {}, and cannot be kept there: {}",
                    directory.string(), why));
  }
  return std::unique_ptr<DiskStore>(
      new DiskStore(std::move(directory), writable, codecs, std::move(log)));
}

// Of all that a file says, so that its age is not believed either where a bit is wrong.
std::string DiskStore::hash_of(const std::string& endpoint, std::int64_t milliseconds,
                               std::string_view text) const {
  return hex(codecs_.sha256(fmt::format("{} {}\n{}", endpoint, milliseconds, text)));
}

std::filesystem::path DiskStore::path_of(const std::string& endpoint) const {
  std::string name = endpoint;
  for (char& c : name) {
    if (c == '/') c = '~';  // no endpoint holds one
  }
  return directory_ / (name + ".json");
}

std::optional<StoredDocument> DiskStore::load(const std::string& endpoint) {
  const std::filesystem::path path = path_of(endpoint);
  const std::optional<std::string> bytes = read_whole(path);
  if (!bytes.has_value()) return std::nullopt;
  const std::size_t line_end = std::min(bytes->find('\n'), bytes->size());
  std::string_view line = std::string_view(*bytes).substr(0, line_end);
  const std::string_view format = next_word(line);
  const std::string_view name = next_word(line);
  const std::string_view time = next_word(line);
  const std::string_view hash = next_word(line);
  std::int64_t milliseconds = 0;
  const bool timed =
      std::from_chars(time.data(), time.data() + time.size(), milliseconds).ec == std::errc();
  std::string text = line_end < bytes->size() ? bytes->substr(line_end + 1) : std::string();
  if (format == format_name && name == endpoint && timed &&
      hash == hash_of(endpoint, milliseconds, text)) {
    return StoredDocument{.text = std::move(text), .fetched = WallTime(Milliseconds(milliseconds))};
  }
  std::error_code fault;
  std::filesystem::rename(path, path.string() + ".broken", fault);
  log_(fmt::format("{} is not a whole document: {}", path.string(),
                   fault ? "it is passed over" : "set aside"));
  return std::nullopt;
}

void DiskStore::save(const std::string& endpoint, const StoredDocument& document) {
  if (!writable_) return;
  const std::int64_t milliseconds =
      std::chrono::floor<Milliseconds>(document.fetched.time_since_epoch()).count();
  const std::string bytes =
      fmt::format("{} {} {} {}\n{}", format_name, endpoint, milliseconds,
                  hash_of(endpoint, milliseconds, document.text), document.text);
  const std::filesystem::path path = path_of(endpoint);
  const std::filesystem::path temporary =
      directory_ / (path.filename().string() + temporary_name());
  std::error_code fault;
  if (write_file(temporary, bytes)) {
    std::filesystem::rename(temporary, path, fault);
  } else {
    fault = std::error_code(errno, std::generic_category());
  }
  if (!fault) return;
  log_(fmt::format("{} cannot be written: {}", path.string(), fault.message()));
  std::filesystem::remove(temporary, fault);
}

std::optional<std::filesystem::path> cache_directory(const std::optional<std::string>& setting,
                                                     const Environment& environment) {
  return own_folder(setting, environment, {"XDG_CACHE_HOME", ".cache"});
}

}  // namespace falproxy::app
