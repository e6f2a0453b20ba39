// What other programs of the machine may see of this one's keys.
#include <doctest/doctest.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <iterator>
#include <string>

#include "configuration.hpp"
#include "process.hpp"

namespace falproxy::app {
namespace {

constexpr const char* child_case = "in a process of its own: the environment is taken";

std::string environ_of_this_process() {
  std::ifstream in("/proc/self/environ", std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The tests' own program again, with this environment. Its exit status.
int run_child_case() {
  std::string chosen = std::string("-tc=") + child_case;
  std::array<char*, 4> arguments = {const_cast<char*>("test_app"), chosen.data(),
                                    const_cast<char*>("--no-skip"), nullptr};
  std::array<char*, 7> environment = {
      const_cast<char*>("AI_KEYS=id:s3cr3t-of-fal"),
      const_cast<char*>("CUSTOM_ACCESS_KEY=s3cr3t-of-clients"),
      const_cast<char*>("ACCESS_KEYS=web=s3cr3t-of-the-web"),
      const_cast<char*>("ADMIN_KEY=s3cr3t-of-the-operator"),
      const_cast<char*>("https_proxy=http://me:s3cr3t-of-a-proxy@h"),
      const_cast<char*>("DEFAULT_MODEL=flux"),
      nullptr};
  pid_t child = 0;
  REQUIRE(::posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, arguments.data(),
                        environment.data()) == 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_CASE("keys are not to be found in /proc/PID/environ once they are taken") {
  CHECK(run_child_case() == 0);
}

TEST_CASE("in a process of its own: the environment is taken" * doctest::skip()) {
  CHECK(environ_of_this_process().find("s3cr3t") != std::string::npos);
  const Environment environment = take_process_environment();
  CHECK(environment.at("AI_KEYS") == "id:s3cr3t-of-fal");
  CHECK(environment.at("ADMIN_KEY") == "s3cr3t-of-the-operator");
  CHECK(environment.at("https_proxy") == "http://me:s3cr3t-of-a-proxy@h");
  CHECK(environment.at("DEFAULT_MODEL") == "flux");
  const std::string left = environ_of_this_process();
  CHECK(left.find("s3cr3t") == std::string::npos);
  CHECK(left.find("DEFAULT_MODEL=flux") != std::string::npos);
  CHECK(left.find("AI_KEYS=") != std::string::npos);
}

TEST_CASE("a process that keeps its memory private leaves no core file and cannot be traced") {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    keep_memory_private();
    rlimit core{.rlim_cur = 1, .rlim_max = 1};
    const bool fine = ::getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 &&
                      core.rlim_max == 0 && ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
    ::_exit(fine ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace falproxy::app
