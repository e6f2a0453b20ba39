#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <string>
#include <vector>

#include "falproxy/openai.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/transport.hpp"

namespace falproxy {
namespace {

struct Ended {
  int signal = 0;
  std::string told;
};

// Runs `f` in a process of its own.
Ended ended_by(const std::function<void()>& f) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    std::signal(SIGABRT, SIG_DFL);
    f();
    _exit(0);
  }
  close(ends[1]);
  Ended ended;
  char buffer[512];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;)
    ended.told.append(buffer, static_cast<std::size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  ended.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return ended;
}

}  // namespace

TEST_CASE("value() of an error ends the process with the error's message") {
  const Ended ended = ended_by([] { (void)SizeWish::parse("huge").value(); });
  CHECK(ended.signal == SIGABRT);
  CHECK(ended.told.starts_with(
      "falproxy: a Result has no value: invalid_value: Invalid value: 'huge'."));
}

TEST_CASE("value() tells errors of every type") {
  const Result<Done, TransportError> unreachable =
      TransportError{TransportFault::unreachable, "no"};
  CHECK(ended_by([&] { (void)unreachable.value(); }).told ==
        "falproxy: a Result has no value: unreachable: no\n");
  const Result<Done, std::vector<SettingsFault>> faults =
      std::vector<SettingsFault>{{".env", 1, "PORT", "is no number", "write 8000"},
                                 {".env", 2, "HOST", "is empty", "mend it"}};
  const std::string told = ended_by([&] { (void)faults.value(); }).told;
  CHECK(told.find("PORT") != std::string::npos);
  CHECK(told.find("HOST") != std::string::npos);
  const Result<Done, std::string> text = std::string("words");
  CHECK(ended_by([&] { (void)text.value(); }).told == "falproxy: a Result has no value: words\n");
}

TEST_CASE("value() of a value is the value") {
  const Ended ended = ended_by([] { (void)SizeWish::parse("auto").value(); });
  CHECK(ended.signal == 0);
  CHECK(ended.told.empty());
}

}  // namespace falproxy
