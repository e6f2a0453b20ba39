#include "program.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <thread>
#include <vector>

#include "served.hpp"

namespace falproxy::test {

Program::Program(const falsim::Falsim& sim, const app::Environment& more,
                 const app::Environment& variables) {
  std::string settings = sim.env();
  app::Environment all = {{"CUSTOM_ACCESS_KEY", std::string(access_key)},
                          {"AI_KEYS", "test-id:test-secret"},
                          {"SUPPORTED_MODELS", "flux:fal-ai/flux/dev"},
                          {"HOST", "127.0.0.1"},
                          {"PORT", "0"},
                          {"SCHEMA_CACHE_DIR", "none"},
                          {"STATE_DIR", "none"}};
  for (const auto& [name, value] : more) all[name] = value;
  for (const auto& [name, value] : all) settings += name + "=" + value + "\n";
  const std::string file = folder_.write("env", settings);
  std::array<int, 2> pipe{};
  REQUIRE(::pipe2(pipe.data(), O_CLOEXEC) == 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe[1], STDERR_FILENO);
  std::string name = FALPROXY_PROGRAM;
  std::string serve = "serve";
  std::string env = "--env";
  std::string path = file;
  const std::array<char*, 5> arguments = {name.data(), serve.data(), env.data(), path.data(),
                                          nullptr};
  std::vector<std::string> set;
  for (const auto& [variable, value] : variables) set.push_back(variable + "=" + value);
  std::vector<char*> environment;
  for (std::string& one : set) environment.push_back(one.data());
  environment.push_back(nullptr);
  const int fault =
      ::posix_spawn(&pid_, name.c_str(), &actions, nullptr, arguments.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  ::close(pipe[1]);
  log_ = pipe[0];
  REQUIRE(fault == 0);
  const std::string line = log_until("listening on http://127.0.0.1:");
  const std::string_view number = std::string_view(line).substr(line.rfind(':') + 1);
  std::from_chars(number.data(), number.data() + number.size(), port_);
  REQUIRE(port_ != 0);
  unread_.insert(0, line + '\n');  // with what it said before that
}

Program::~Program() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ::close(log_);
}

void Program::signal(int number) const { ::kill(pid_, number); }

std::optional<int> Program::wait(Milliseconds limit) {
  const TimePoint until = std::chrono::steady_clock::now() + limit;
  while (true) {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    if (std::chrono::steady_clock::now() >= until) return std::nullopt;
    std::this_thread::sleep_for(Milliseconds(10));
  }
}

std::string Program::log_until(std::string_view word) {
  while (true) {
    const std::size_t at = unread_.find(word);
    const std::size_t end = at == std::string::npos ? at : unread_.find('\n', at);
    if (end != std::string::npos) {
      const std::string found = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return found;
    }
    std::array<char, 4096> bytes;
    pollfd ready{log_, POLLIN, 0};
    const bool comes = ::poll(&ready, 1, 60'000) == 1;
    const ssize_t n = comes ? ::read(log_, bytes.data(), bytes.size()) : 0;
    if (n <= 0) FAIL("the log does not say '" << word << "': " << unread_);
    unread_.append(bytes.data(), static_cast<std::size_t>(n));
    all_.append(bytes.data(), static_cast<std::size_t>(n));
  }
}

}  // namespace falproxy::test
