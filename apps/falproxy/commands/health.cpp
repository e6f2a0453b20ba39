#include "commands/health.hpp"

#include <ostream>

#include "base/fmt.hpp"

namespace falproxy::app {
namespace {

// A server that listens everywhere is asked on loopback.
std::string reachable(const std::string& host) {
  if (host == "0.0.0.0") return "127.0.0.1";
  if (host == "::") return "[::1]";
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

}  // namespace

int run_health(const CommandLine& line, const Surroundings& surroundings) {
  const auto configuration = load_configuration(line.env_file, surroundings.environment);
  if (!configuration) {
    for (const SettingsFault& fault : configuration.error()) {
      surroundings.err << "falproxy: " << to_string(fault) << '\n';
    }
    return ExitStatus::not_understood;
  }
  const Settings& settings = configuration->settings;
  if (settings.port == 0) {
    surroundings.err << "falproxy: PORT=0 is any free port, so that nobody knows where to ask\n";
    return ExitStatus::not_understood;
  }
  const auto transport = surroundings.transport(settings);
  if (!transport) {
    surroundings.err << "falproxy: " << transport.error().message << '\n';
    return ExitStatus::not_understood;
  }
  const HttpRequest request{
      .url = fmt::format("http://{}:{}/health", reachable(settings.host), settings.port)};
  const auto answer =
      fetch(**transport, request, surroundings.clock.now() + Seconds(2), {}, 64u << 10);
  if (!answer) {
    surroundings.err << "falproxy: " << request.url << ": " << answer.error().message << '\n';
    return ExitStatus::fault;
  }
  surroundings.out << answer->body << '\n';
  return answer->head.status == 200 ? ExitStatus::done : ExitStatus::fault;
}

}  // namespace falproxy::app
