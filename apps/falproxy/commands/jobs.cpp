#include <nlohmann/json.hpp>
#include <ostream>
#include <utility>

#include "access.hpp"
#include "base/fmt.hpp"
#include "commands/commands.hpp"
#include "commands/documents.hpp"
#include "commands/table.hpp"
#include "serving/server.hpp"

namespace falproxy::app {
namespace {

using nlohmann::ordered_json;

constexpr Milliseconds between_looks{1000};

// The running server is asked: its store is its own.
class JobsCommand {
 public:
  JobsCommand(const CommandLine& line, const Surroundings& surroundings, Transport& transport,
              std::string origin, std::string_view key)
      : line_(line),
        surroundings_(surroundings),
        transport_(transport),
        address_(std::move(origin) + "/v1/falproxy/jobs"),
        key_(key) {}

  int list() {
    const std::optional<ordered_json> page = ask("GET", address_ + "?limit=100");
    if (!page.has_value()) return ExitStatus::fault;
    if (line_.json) return show(page->at("data"));
    std::vector<std::vector<std::string>> rows{{"ID", "STATUS", "PROGRESS", "REQUEST", "MODEL"}};
    for (const ordered_json& job : page->at("data")) {
      rows.push_back({text(job, "id"), text(job, "status"),
                      fmt::format("{}%", job.value("progress", 0)), text(job, "request"),
                      text(job, "model")});
    }
    surroundings_.out << table_text(rows);
    return ExitStatus::done;
  }

  int cancel() {
    const std::optional<ordered_json> job = ask("DELETE", address_ + "/" + line_.job);
    if (!job.has_value()) return ExitStatus::fault;
    return show(*job);
  }

  // Until its end, one line for each change.
  int follow() {
    std::string told;
    while (true) {
      const std::optional<ordered_json> job = ask("GET", address_ + "/" + line_.job);
      if (!job.has_value()) return ExitStatus::fault;
      const std::string status = text(*job, "status");
      if (status != "queued" && status != "in_progress") {
        show(*job);
        return status == "completed" ? ExitStatus::done : ExitStatus::fault;
      }
      std::string now = fmt::format("{} {}%", status, job->value("progress", 0));
      if (job->contains("queue_position"))
        now += fmt::format(", {} before it at fal", job->value("queue_position", 0));
      if (now != told && !line_.json) surroundings_.out << now << '\n' << std::flush;
      told = std::move(now);
      surroundings_.clock.sleep_until(surroundings_.clock.now() + between_looks, {});
    }
  }

 private:
  static std::string text(const ordered_json& job, const char* name) {
    const auto found = job.find(name);
    return found != job.end() && found->is_string() ? found->get<std::string>() : "";
  }

  int show(const ordered_json& value) {
    surroundings_.out << value.dump(line_.json ? -1 : 2, ' ', false,
                                    ordered_json::error_handler_t::replace)
                      << '\n';
    return ExitStatus::done;
  }

  // None: it is told what went wrong.
  std::optional<ordered_json> ask(const char* method, const std::string& url) {
    HttpRequest request{.method = method, .url = url};
    request.headers.add("Authorization", "Bearer " + std::string(key_));
    const auto answer =
        fetch(transport_, request, surroundings_.clock.now() + Seconds(60), {}, 64u << 20);
    if (!answer) {
      static_cast<void>(fail(surroundings_, url + ": " + answer.error().message));
      return std::nullopt;
    }
    ordered_json body = ordered_json::parse(answer->body, nullptr, false);
    if (answer->head.status == 200 && body.is_object()) return body;
    std::string said = fmt::format("the server answered {}", answer->head.status);
    if (body.is_object() && body.contains("error")) said = text(body["error"], "message");
    static_cast<void>(fail(surroundings_, said));
    return std::nullopt;
  }

  const CommandLine& line_;
  const Surroundings& surroundings_;
  Transport& transport_;
  const std::string address_;
  const std::string_view key_;
};

}  // namespace

int run_jobs(const CommandLine& line, const Surroundings& surroundings) {
  const std::optional<Configuration> configuration = configured(line, surroundings);
  if (!configuration) return ExitStatus::not_understood;
  const Settings& settings = configuration->settings;
  if (settings.port == 0)
    return fail(surroundings, "PORT=0 is any free port, so that nobody knows where to ask");
  const Secret* key = nullptr;
  for (const auto& [name, one] : configured_keys(settings)) {
    if (key == nullptr && (line.key_name.empty() || name == line.key_name)) key = one;
  }
  if (key == nullptr)
    return fail(surroundings, fmt::format("no access key has the name '{}'", line.key_name));
  const auto transport = surroundings.transport(settings, Proxies());
  if (!transport) return fail(surroundings, transport.error().message);
  JobsCommand command(line, surroundings, **transport,
                      serving::local_origin("http", settings.host, settings.port), key->reveal());
  if (line.job.empty()) return command.list();
  return line.cancel ? command.cancel() : command.follow();
}

}  // namespace falproxy::app
