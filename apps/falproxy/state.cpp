#include "state.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <random>
#include <sstream>
#include <system_error>
#include <utility>

#include "base/fmt.hpp"
#include "falproxy/memory_store.hpp"
#include "falproxy/sqlite_store.hpp"
#include "falproxy/system_clock.hpp"
#include "folders.hpp"
#include "media_store/folder_signs.hpp"
#include "process.hpp"
#include "shared_state.hpp"
#ifdef FALPROXY_WITH_REDIS
#include "falproxy/redis_store.hpp"
#endif

namespace falproxy::app {
namespace {

namespace fs = std::filesystem;

// Within what the end of the process has for what hangs: see stop_or_be_ended().
constexpr Milliseconds drain{800};

std::string reason(int error) { return std::generic_category().message(error); }

// By who the process acts as.
bool may(const fs::path& path, int what) {
  return ::faccessat(AT_FDCWD, path.c_str(), what, AT_EACCESS) == 0;
}

State state_in_memory(std::string trouble) {
  static const SystemClock clock;
  State state = state_in(std::make_unique<MemoryStore>(clock));
  state.trouble = std::move(trouble);
  return state;
}

// The store's own words say what to do about some faults.
std::string with_mend(const StoreError& error) {
  switch (error.fault) {
    case StoreFault::in_use:
    case StoreFault::newer:
    case StoreFault::foreign:
      return error.message;
    default:
      return fmt::format("{} Mend: {}.", error.message, state_mend);
  }
}

Result<State> without_folder(const Settings& settings, const std::string& why) {
  if (settings.require_state) {
    return Error{.kind = ErrorKind::invalid_settings,
                 .message = why + " Without it nothing is served, since REQUIRE_STATE is true.",
                 .field = "STATE_DIR"};
  }
  return state_in_memory(
      fmt::format("STATE_DIR: {} Until a restart runs are noted in memory only.", why));
}

// Room for more than the little that a full disk may still have.
std::string probe(const fs::path& folder) {
  const fs::path file = folder / fmt::format(".falproxy-check.{}.tmp", ::getpid());
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return reason(errno);
  const bool well = write_whole(fd, std::string(256u << 10, ' ')) && ::fsync(fd) == 0;
  const int error = errno;
  ::close(fd);
  ::unlink(file.c_str());
  return well ? "" : reason(error);
}

}  // namespace

std::optional<fs::path> state_directory(const std::optional<std::string>& setting,
                                        const Environment& environment) {
  return own_folder(setting, environment, {"XDG_STATE_HOME", ".local/state"});
}

State state_in(std::unique_ptr<StateStore> store) {
  State state{.store = std::move(store), .place = "memory"};
  state.own_spending = std::make_unique<MemorySpending>();
  state.spending = state.own_spending.get();
  return state;
}

StoreStatus State::status() const {
  StoreStatus status = store->status();
  if (status.degraded.empty() && peers == nullptr) status.degraded = trouble;
  return status;
}

namespace {

Result<State> open_here(const Settings& settings, const Environment& environment, LogLine log) {
  if (settings.state_dir == "none") return state_in_memory({});
  const std::optional<fs::path> folder = state_directory(settings.state_dir, environment);
  if (!folder.has_value()) {
    return without_folder(settings,
                          "There is no home folder for it: name a folder, or write "
                          "STATE_DIR=none.");
  }
  auto opened =
      SqliteStore::open({.folder = *folder,
                         .drain = drain,
                         .log = [log = std::move(log)](LogLevel level, std::string_view text) {
                           log(level, level >= LogLevel::warning
                                          ? fmt::format("STATE_DIR: {} Mend: {}.", text, state_mend)
                                          : fmt::format("STATE_DIR: {}", text));
                         }});
  if (!opened) return without_folder(settings, with_mend(opened.error()));
  State state;
  if (const std::string& notice = (*opened)->notice(); !notice.empty())
    state.notice = "STATE_DIR: " + notice;
  state.spending = opened->get();
  state.media = opened->get();
  state.store = *std::move(opened);
  state.place = folder->string();
  return state;
}

#ifdef FALPROXY_WITH_REDIS
RunId draw_self() {
  std::random_device device;
  RunId id;
  for (std::uint8_t& byte : id.bytes) byte = static_cast<std::uint8_t>(device());
  return id;
}

// Longer than a process that was killed is among the members.
constexpr Seconds longest_search{35};

Result<State> share(State here, const Settings& settings, const LogLine& log) {
  const RunId self = draw_self();
  const bool has_folder = settings.media_store && settings.media_store->is_folder();
  FolderSign sign;
  if (has_folder) {
    Result<FolderSign> left = leave_sign(settings.media_store->folder, self);
    if (!left) return std::move(left).error();
    sign = *std::move(left);
  }
  auto both = std::make_unique<SharedState>(
      SharedState::Parts{.local = std::move(here.store),
                         .local_texts = here.spending,
                         .now = [] { return std::chrono::steady_clock::now(); },
                         .log = log});
  auto shared = RedisStore::open(
      {.address = *settings.state_url,
       .self = self,
       .ca_file = settings.ssl_cert_file,
       .log = [log](LogLevel level,
                    std::string_view text) { log(level, fmt::format("STATE_URL: {}", text)); },
       .on_return = [state = both.get()] { state->hand_over(); }});
  if (!shared) {
    return Error{.kind = ErrorKind::invalid_settings,
                 .message = shared.error().message,
                 .field = "STATE_URL"};
  }
  if (has_folder) {
    const Result<Done> found = find_signs(
        settings.media_store->folder, [store = shared->get()] { return store->members(); },
        longest_search);
    if (!found) return found.error();
  }
  State state{.sign = std::move(sign), .own_spending = std::move(here.own_spending)};
  state.peers = shared->get();
  state.spending = both.get();
  state.media = both.get();
  state.notice = std::move(here.notice);
  state.trouble = std::move(here.trouble);
  if (const std::string away = (*shared)->status().degraded; !away.empty()) {
    if (!state.trouble.empty()) state.trouble += ' ';
    state.trouble += "STATE_URL: " + away;
  }
  std::ostringstream place;
  place << *settings.state_url << ", and while that is away in " << here.place;
  state.place = std::move(place).str();
  both->share(*std::move(shared));
  state.store = std::move(both);
  return state;
}
#endif

}  // namespace

Result<State> open_state(const Settings& settings, const Environment& environment,
                         const LogLine& log) {
  Result<State> here = open_here(settings, environment, log);
  if (!here || !settings.state_url) return here;
#ifdef FALPROXY_WITH_REDIS
  return share(*std::move(here), settings, log);
#else
  return Error{.kind = ErrorKind::invalid_settings,
               .message = "This falproxy was built without Redis (FALPROXY_REDIS=OFF).",
               .field = "STATE_URL"};
#endif
}

std::string fault_of_sharing(const Settings& settings) {
#ifdef FALPROXY_WITH_REDIS
  const auto shared = RedisStore::open(
      {.address = *settings.state_url, .self = draw_self(), .ca_file = settings.ssl_cert_file});
  return shared ? (*shared)->status().degraded : shared.error().message;
#else
  static_cast<void>(settings);
  return "This falproxy was built without Redis (FALPROXY_REDIS=OFF).";
#endif
}

std::string fault_of_writing(const fs::path& folder) {
  std::error_code fault;
  const fs::path wanted = fs::absolute(folder, fault).lexically_normal();
  // It would be made in the first one above it that is there.
  fs::path there = wanted;
  while (fs::status(there, fault).type() == fs::file_type::not_found) there = there.parent_path();
  const fs::file_status about = fs::status(there, fault);
  if (about.type() == fs::file_type::none)
    return fmt::format("{}: {}", there.string(), fault.message());
  if (!fs::is_directory(about)) return fmt::format("{} is no folder", there.string());
  if (there != wanted) {
    if (may(there, W_OK | X_OK)) return "";
    return fmt::format("{}: {}", there.string(), reason(errno));
  }
  for (const char* name : {"falproxy.lock", "falproxy.db"}) {
    const fs::path file = there / name;
    if (!may(file, R_OK | W_OK) && errno != ENOENT)
      return fmt::format("{}: {}", name, reason(errno));
  }
  return probe(there);
}

}  // namespace falproxy::app
