#include "falproxy/falsim_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <map>
#include <system_error>
#include <utility>

extern char** environ;

namespace falproxy::inline v0::testing {
namespace {

Error cannot(const std::string& program, const std::string& why) {
  return {ErrorKind::invalid_settings, "'" + program + "' cannot be started: " + why, "program"};
}

// What falsim prints when it listens: NAME=value, perhaps in quotes.
std::map<std::string, std::string> assignments_in(const std::string& text) {
  std::map<std::string, std::string> found;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    const std::size_t sign = line.find('=');
    if (sign == std::string::npos || !line.starts_with("FAL_")) continue;
    std::string value = line.substr(sign + 1);
    if (value.size() >= 2 && value.front() == '"') value = value.substr(1, value.size() - 2);
    found[line.substr(0, sign)] = value;
  }
  return found;
}

constexpr std::chrono::seconds longest_start{30};

// Until it has said everything, or ends.
std::string words_of(int output) {
  std::string text;
  const auto begin = std::chrono::steady_clock::now();
  while (!assignments_in(text).contains("FAL_MEDIA_HOSTS") || !text.ends_with('\n')) {
    pollfd entry{output, POLLIN, 0};
    const auto left = longest_start - (std::chrono::steady_clock::now() - begin);
    const auto timeout = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    const int ready = ::poll(&entry, 1, static_cast<int>(std::max<std::int64_t>(timeout, 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) break;
    std::array<char, 4096> part{};
    const ssize_t n = ::read(output, part.data(), part.size());
    if (n <= 0) break;
    text.append(part.data(), static_cast<std::size_t>(n));
  }
  return text;
}

}  // namespace

struct FalsimProcess::Impl {
  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    if (process > 0) {
      ::kill(process, SIGKILL);
      ::waitpid(process, nullptr, 0);
    }
    if (output >= 0) ::close(output);
  }

  pid_t process = 0;
  int output = -1;  // falsim's standard output and error; it says nothing after its start
  fal::Addresses addresses;
  std::string media_hosts;
};

FalsimProcess::FalsimProcess(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FalsimProcess::FalsimProcess(FalsimProcess&&) noexcept = default;
FalsimProcess& FalsimProcess::operator=(FalsimProcess&&) noexcept = default;
FalsimProcess::~FalsimProcess() = default;

const fal::Addresses& FalsimProcess::addresses() const noexcept { return impl_->addresses; }
const std::string& FalsimProcess::media_hosts() const noexcept { return impl_->media_hosts; }

Result<FalsimProcess> FalsimProcess::start(const std::string& program,
                                           const std::vector<std::string>& arguments) {
  auto impl = std::make_unique<Impl>();
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0)
    return cannot(program, std::generic_category().message(errno));
  impl->output = pipe[0];

  std::vector<std::string> words = arguments;
  words.insert(words.begin(), program);
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, pipe[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, pipe[1], STDERR_FILENO);
  const int fault =
      ::posix_spawnp(&impl->process, program.c_str(), &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(pipe[1]);
  if (fault != 0) {
    impl->process = 0;
    return cannot(program, std::generic_category().message(fault));
  }

  const std::string said = words_of(impl->output);
  std::map<std::string, std::string> at = assignments_in(said);
  if (!at.contains("FAL_MEDIA_HOSTS")) return cannot(program, "it said: " + said);
  impl->addresses = {at["FAL_QUEUE_URL"], at["FAL_RUN_URL"], at["FAL_SCHEMA_URL"],
                     at["FAL_REST_URL"]};
  impl->media_hosts = at["FAL_MEDIA_HOSTS"];
  return FalsimProcess(std::move(impl));
}

}  // namespace falproxy::inline v0::testing
