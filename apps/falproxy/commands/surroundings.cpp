#include "commands/surroundings.hpp"

#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <istream>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

#include "disk_store.hpp"
#include "falproxy/http_transport.hpp"

namespace falproxy::app {
namespace {

// The terminal as it was: Ctrl-C must not leave it mute.
termios shown;

void show_again() { ::tcsetattr(STDIN_FILENO, TCSANOW, &shown); }

void show_again_and_end(int signal) {
  show_again();
  ::raise(signal);
}

bool read_secret_line(std::istream& in, std::string& line) {
  if (::tcgetattr(STDIN_FILENO, &shown) != 0) return static_cast<bool>(std::getline(in, line));
  struct sigaction ending = {}, before = {};
  ending.sa_handler = show_again_and_end;
  ending.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &ending, &before);
  termios mute = shown;
  mute.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  ::tcsetattr(STDIN_FILENO, TCSANOW, &mute);
  const bool read = static_cast<bool>(std::getline(in, line));
  show_again();
  ::sigaction(SIGINT, &before, nullptr);
  return read;
}

}  // namespace

Surroundings RealSurroundings::surroundings(std::istream& in, std::ostream& out,
                                            std::ostream& err) {
  Environment environment = take_process_environment();
  const auto open_store = [this, environment, &err](const Settings& settings) {
    std::unique_ptr<DocumentStore> store;
    const auto directory = cache_directory(settings.schema_cache_dir, environment);
    if (!directory) return store;
    const auto warn = [&err](std::string_view text) { err << text << '\n'; };
    if (auto opened = DiskStore::create(*directory, codecs_, warn)) store = std::move(*opened);
    return store;
  };
  const auto open_transport = [](const Settings& settings,
                                 const Proxies& proxies) -> Result<std::unique_ptr<Transport>> {
    auto transport = HttpTransport::create({.ca_file = settings.ssl_cert_file, .proxies = proxies});
    if (!transport) return std::move(transport).error();
    return std::unique_ptr<Transport>(std::move(*transport));
  };
  return {.environment = std::move(environment),
          .in = in,
          .out = out,
          .err = err,
          .clock = clock_,
          .executor = executor_,
          .codecs = codecs_,
          .transport = open_transport,
          .store = open_store,
          .read_secret = [&in](std::string& line) { return read_secret_line(in, line); }};
}

}  // namespace falproxy::app
