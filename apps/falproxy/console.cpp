#include "console.hpp"

#include <unistd.h>

#include <cerrno>

namespace falproxy::app {
namespace {

void write_whole(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno != EINTR) return;
    text.remove_prefix(n > 0 ? static_cast<std::size_t>(n) : 0);
  }
}

}  // namespace

void write_to_stdout(std::string_view text) { write_whole(STDOUT_FILENO, text); }
void write_to_stderr(std::string_view text) { write_whole(STDERR_FILENO, text); }
bool stderr_is_terminal() noexcept { return ::isatty(STDERR_FILENO) == 1; }

void print_faults(const std::vector<SettingsFault>& faults) {
  for (const SettingsFault& fault : faults) write_to_stderr("falproxy: " + to_string(fault) + "\n");
}

}  // namespace falproxy::app
