#include "commands/serve.hpp"

#include <cstdlib>
#include <thread>
#include <utility>

#include "base/fmt.hpp"
#include "configuration.hpp"
#include "console.hpp"
#include "service.hpp"
#include "signals.hpp"

namespace falproxy::app {
namespace {

// True where the new configuration is in use.
bool reload(Service& service, const CommandLine& line, const Environment& environment,
            Seconds& grace) {
  auto configuration = load_configuration(line.env_file, environment);
  if (!configuration) {
    for (const SettingsFault& fault : configuration.error())
      service.log().line(LogLevel::error, to_string(fault));
    service.log().line(LogLevel::error,
                       "SIGHUP: the new configuration is refused, the old one stays");
    return false;
  }
  grace = configuration->settings.shutdown_grace;
  service.reload(std::move(configuration).value());
  service.log().line(LogLevel::info, "SIGHUP: the new configuration is in use");
  return true;
}

}  // namespace

void stop_or_be_ended(Service& service, const Signals& signals, Seconds grace) {
  const std::jthread again([&signals](const std::stop_token& done) {
    while (!done.stop_requested()) {
      const std::optional<int> signal = signals.next(Milliseconds(100));
      if (signal == SIGTERM || signal == SIGINT) std::_Exit(128 + *signal);
    }
  });
  service.log().line(LogLevel::info, fmt::format("stopping: requests in flight have {} s to finish",
                                                 grace.count()));
  service.stop(grace);
}

int serve(const CommandLine& line) {
  const Signals signals;
  const Environment environment = process_environment();
  auto configuration = load_configuration(line.env_file, environment);
  if (!configuration) {
    print_faults(configuration.error());
    return ExitStatus::not_understood;
  }
  Seconds grace = configuration->settings.shutdown_grace;
  auto service = Service::create(
      std::move(configuration).value(),
      {.write_log = write_to_stderr, .colours = stderr_is_terminal(), .environment = &environment});
  if (!service) {
    const Error& error = service.error();
    write_to_stderr(fmt::format("falproxy: {}{}{}\n", error.field, error.field.empty() ? "" : ": ",
                                error.message));
    return ExitStatus::not_understood;
  }
  (*service)->start();
  while (signals.next() == SIGHUP) reload(**service, line, environment, grace);
  stop_or_be_ended(**service, signals, grace);
  return ExitStatus::done;
}

}  // namespace falproxy::app
