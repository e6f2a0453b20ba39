#include <ostream>

#include "commands/commands.hpp"
#include "commands/documents.hpp"
#include "serving/server.hpp"

namespace falproxy::app {
int run_health(const CommandLine& line, const Surroundings& surroundings) {
  const std::optional<Configuration> configuration = configured(line, surroundings);
  if (!configuration) return ExitStatus::not_understood;
  const Settings& settings = configuration->settings;
  if (settings.port == 0)
    return fail(surroundings, "PORT=0 is any free port, so that nobody knows where to ask");
  // falproxy itself is asked, on this machine: no proxy stands in between.
  const auto transport = surroundings.transport(settings, Proxies());
  if (!transport) return fail(surroundings, transport.error().message);
  const HttpRequest request{.url = serving::local_origin("http", settings.host, settings.port) +
                                   "/health"};
  const auto answer =
      fetch(**transport, request, surroundings.clock.now() + Seconds(2), {}, 64u << 10);
  if (!answer) {
    static_cast<void>(fail(surroundings, request.url + ": " + answer.error().message));
    return ExitStatus::fault;
  }
  surroundings.out << answer->body << '\n';
  return answer->head.status == 200 ? ExitStatus::done : ExitStatus::fault;
}

}  // namespace falproxy::app
