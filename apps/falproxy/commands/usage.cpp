#include <ostream>
#include <string>
#include <vector>

#include "access.hpp"
#include "base/fmt.hpp"
#include "commands/commands.hpp"
#include "commands/documents.hpp"
#include "commands/table.hpp"
#include "falproxy/json.hpp"
#include "serving/server.hpp"

namespace falproxy::app {
namespace {

// The operator's, else the first there is: it sees its own.
const Secret* key_of(const Settings& settings) {
  if (!settings.admin_key.empty()) return &settings.admin_key;
  const auto keys = configured_keys(settings);
  return keys.empty() ? nullptr : keys.front().second;
}

std::string table_of(const Json& list, const std::string& by) {
  std::vector<std::vector<std::string>> rows{
      {by, "requests", "failures", "artifacts", "units", "cost in USD", "jobs of unknown cost"}};
  for (const Json& row : list["data"].elements()) {
    std::vector<std::string> cells{std::string(row[by].as_string().value_or(""))};
    for (const char* name :
         {"requests", "failures", "artifacts", "units", "cost_usd", "unpriced_jobs"})
      cells.push_back(row[name].dump());
    rows.push_back(std::move(cells));
  }
  return table_text(rows);
}

}  // namespace

int run_usage(const CommandLine& line, const Surroundings& surroundings) {
  const std::optional<Configuration> configuration = configured(line, surroundings);
  if (!configuration) return ExitStatus::not_understood;
  const Settings& settings = configuration->settings;
  const Secret* const key = key_of(settings);
  if (key == nullptr) return fail(surroundings, "there is no key to ask with");
  if (settings.port == 0)
    return fail(surroundings, "PORT=0 is any free port, so that nobody knows where to ask");
  // falproxy itself is asked, on this machine: no proxy stands in between.
  const auto transport = surroundings.transport(settings, Proxies());
  if (!transport) return fail(surroundings, transport.error().message);
  HttpRequest request{
      .url = serving::local_origin("http", settings.host, settings.port) +
             fmt::format("/v1/falproxy/usage?group_by={}{}{}", line.by,
                         line.start.empty() ? "" : "&start=" + percent_encode(line.start),
                         line.end.empty() ? "" : "&end=" + percent_encode(line.end))};
  request.headers.add("Authorization", "Bearer " + std::string(key->reveal()));
  const auto answer =
      fetch(**transport, request, surroundings.clock.now() + Seconds(10), {}, 64u << 20);
  if (!answer) {
    static_cast<void>(fail(surroundings, request.url + ": " + answer.error().message));
    return ExitStatus::fault;
  }
  const Result<Json> list = Json::parse(answer->body, {.max_values = 1'000'000});
  if (answer->head.status != 200 || !list) {
    static_cast<void>(fail(surroundings, answer->body));
    return ExitStatus::fault;
  }
  surroundings.out << (line.json ? answer->body + "\n" : table_of(*list, line.by));
  return ExitStatus::done;
}

}  // namespace falproxy::app
