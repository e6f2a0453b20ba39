#include "media_store/folder_signs.hpp"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "base/fmt.hpp"

namespace falproxy::app {
namespace {

namespace fs = std::filesystem;

constexpr const char* signs = ".falproxy-replicas";
constexpr Milliseconds between_looks{200};
// A process that was killed leaves its sign.
constexpr std::chrono::hours longest_sign{30 * 24};

struct Sign {
  explicit Sign(fs::path at) : file(std::move(at)) {}
  ~Sign() {
    std::error_code ignored;
    fs::remove(file, ignored);
  }
  Sign(const Sign&) = delete;
  Sign& operator=(const Sign&) = delete;

  const fs::path file;
};

Error unusable(const fs::path& folder, std::string_view why) {
  return {.kind = ErrorKind::invalid_settings,
          .message = fmt::format("{}: {}", folder.string(), why),
          .field = "MEDIA_STORE"};
}

std::vector<fs::path> signs_in(const fs::path& folder) {
  std::vector<fs::path> all;
  std::error_code fault;
  for (fs::directory_iterator at(folder / signs, fault), end; !fault && at != end;
       at.increment(fault))
    all.push_back(at->path());
  return all;
}

// Looked for in the listing: what a folder on a network says of a single file may be out of date.
bool has_sign(const fs::path& folder, const RunId& process) {
  return std::ranges::any_of(signs_in(folder), [&](const fs::path& sign) {
    return sign.filename() == process.to_string();
  });
}

void remove_old_signs(const fs::path& folder, const std::vector<RunId>& all) {
  for (const fs::path& sign : signs_in(folder)) {
    const std::optional<RunId> process = RunId::parse(sign.filename().string());
    if (!process || std::ranges::find(all, *process) != all.end()) continue;
    std::error_code fault;
    const fs::file_time_type written = fs::last_write_time(sign, fault);
    if (!fault && written + longest_sign < fs::file_time_type::clock::now())
      fs::remove(sign, fault);
  }
}

}  // namespace

Result<FolderSign> leave_sign(const fs::path& folder, const RunId& self) {
  std::error_code fault;
  fs::create_directories(folder / signs, fault);
  if (fault) return unusable(folder, fault.message());
  fs::path sign = folder / signs / self.to_string();
  if (std::ofstream file(sign); !file || !file.flush())
    return unusable(folder, "files cannot be written in it");
  return FolderSign(std::make_shared<Sign>(std::move(sign)));
}

Result<Done> find_signs(const fs::path& folder, const std::function<std::vector<RunId>()>& all,
                        Milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (true) {
    const std::vector<RunId> processes = all();
    const auto missing = std::ranges::find_if(
        processes, [&](const RunId& process) { return !has_sign(folder, process); });
    if (missing == processes.end()) {
      remove_old_signs(folder, processes);
      return Done{};
    }
    if (std::chrono::steady_clock::now() >= until) {
      return unusable(
          folder,
          fmt::format("{}/{} is not there, so that another replica of STATE_URL has another "
                      "folder. Name one on a disk that all replicas share, or a bucket "
                      "(s3://...).",
                      signs, missing->to_string()));
    }
    std::this_thread::sleep_for(between_looks);
  }
}

}  // namespace falproxy::app
