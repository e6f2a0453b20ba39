#include <ostream>

#include "base/fmt.hpp"
#include "commands/commands.hpp"
#include "commands/documents.hpp"
#include "serving/server.hpp"

namespace falproxy::app {

namespace {

constexpr std::size_t longest_answer = 64u << 10;

HttpRequest health_of(const std::string& host, std::uint16_t port) {
  return {.url = serving::local_origin("http", host, port) + "/health"};
}

}  // namespace

std::string why_silent(Transport& transport, const std::string& host, std::uint16_t port,
                       TimePoint deadline) {
  const HttpRequest request = health_of(host, port);
  const auto answer = fetch(transport, request, deadline, {}, longest_answer);
  return answer ? std::string() : fmt::format("{}: {}", request.url, answer.error().message);
}

Result<std::string> ask_health(Transport& transport, const std::string& host, std::uint16_t port,
                               TimePoint deadline) {
  const HttpRequest request = health_of(host, port);
  const auto answer = fetch(transport, request, deadline, {}, longest_answer);
  Error error{.kind = ErrorKind::upstream_failed, .message = {}};
  if (answer && answer->head.status == 200) return answer->body;
  error.message = fmt::format(
      "{}: {}", request.url,
      answer ? fmt::format("the answer is {}", answer->head.status) : answer.error().message);
  return error;
}

int run_health(const CommandLine& line, const Surroundings& surroundings) {
  const std::optional<Configuration> configuration = configured(line, surroundings);
  if (!configuration) return ExitStatus::not_understood;
  const Settings& settings = configuration->settings;
  if (settings.port == 0)
    return fail(surroundings, "PORT=0 is any free port, so that nobody knows where to ask");
  // falproxy itself is asked, on this machine: no proxy stands in between.
  const auto transport = surroundings.transport(settings, Proxies());
  if (!transport) return fail(surroundings, transport.error().message);
  const auto answer =
      ask_health(**transport, settings.host, settings.port, surroundings.clock.now() + Seconds(2));
  if (!answer) {
    static_cast<void>(fail(surroundings, answer.error().message));
    return ExitStatus::fault;
  }
  surroundings.out << *answer << '\n';
  return ExitStatus::done;
}

}  // namespace falproxy::app
