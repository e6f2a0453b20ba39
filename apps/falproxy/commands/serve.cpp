#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <thread>
#include <utility>

#include "base/fmt.hpp"
#include "commands/commands.hpp"
#include "configuration.hpp"
#include "falproxy/http_transport.hpp"
#include "process.hpp"
#include "service.hpp"
#include "service_manager.hpp"

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

// Over a connection of its own each time: what is to be known is whether one is taken. Whatever is
// answered is a sign of life: a server that is full says 503. Why not; empty: the server answers.
std::string fault_of(const std::string& host, std::uint16_t port, Milliseconds limit) {
  const auto transport = HttpTransport::create({});
  if (!transport) return transport.error().message;
  return why_silent(**transport, host, port, std::chrono::steady_clock::now() + limit);
}

}  // namespace

void stop_or_be_ended(std::unique_ptr<Service> service, const Signals& signals, Seconds grace) {
  // For the log's last lines, once all else is done: whoever reads them may stand still.
  constexpr Seconds last_words{1};
  const auto now = [] { return std::chrono::steady_clock::now(); };
  std::atomic<TimePoint> end = now() + grace + Service::longest_end;
  const std::jthread watch([&](const std::stop_token& done) {
    while (!done.stop_requested()) {
      const std::optional<int> signal = signals.next(Milliseconds(100));
      if (signal == SIGTERM || signal == SIGINT) std::_Exit(128 + *signal);
      if (now() >= end.load()) std::_Exit(ExitStatus::done);
    }
  });
  service->log().line(
      LogLevel::info,
      fmt::format("stopping: requests in flight have {} s to finish", grace.count()));
  service->stop(grace);
  end = std::min(end.load(), now() + last_words);
  service.reset();
}

int serve(const CommandLine& line) {
  const Signals signals;
  const Environment environment = take_process_environment();
  auto configuration = load_configuration(line.env_file, environment);
  if (!configuration) {
    const std::string welcome = first_run_text(configuration.error());
    if (stderr_is_terminal() && !welcome.empty()) {
      write_to_stderr(welcome);
      return ExitStatus::not_understood;
    }
    for (const SettingsFault& fault : configuration.error())
      write_to_stderr("falproxy: " + to_string(fault) + "\n");
    return ExitStatus::not_understood;
  }
  Seconds grace = configuration->settings.shutdown_grace;
  const std::string host = configuration->settings.host;
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
  const ServiceManager manager(environment);
  Watchdog watchdog(
      manager,
      [&host, port = (*service)->port()](Milliseconds limit) {
        return fault_of(host, port, limit);
      },
      [&log = (*service)->log()](std::string_view why) {
        log.line(LogLevel::error, "watchdog: " + std::string(why));
      });
  manager.tell("READY=1");
  while (signals.next() == SIGHUP) reload(**service, line, environment, grace);
  watchdog.stopping();
  manager.tell("STOPPING=1");
  stop_or_be_ended(std::move(service).value(), signals, grace);
  return ExitStatus::done;
}

}  // namespace falproxy::app
