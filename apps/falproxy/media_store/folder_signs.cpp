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

// By its name in the folder's list: what a folder on a network says of one file may be older.
bool has_sign(const fs::path& folder, const RunId& process) {
  std::error_code fault;
  for (const auto& sign : fs::directory_iterator(folder / signs, fault)) {
    if (sign.path().filename() == process.to_string()) return true;
  }
  return false;
}

void remove_old_signs(const fs::path& folder, const std::vector<RunId>& all) {
  std::error_code fault;
  for (const auto& sign : fs::directory_iterator(folder / signs, fault)) {
    const std::optional<RunId> process = RunId::parse(sign.path().filename().string());
    if (!process || std::ranges::find(all, *process) != all.end()) continue;
    const fs::file_time_type written = fs::last_write_time(sign.path(), fault);
    if (!fault && written + longest_sign < fs::file_time_type::clock::now())
      fs::remove(sign.path(), fault);
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
