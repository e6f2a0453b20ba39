#include "commands/command_line.hpp"

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/fmt.hpp"
#include "falproxy/suggest.hpp"

namespace falproxy::app {
namespace {

struct CommandRow {
  Command command;
  std::string_view name;
  std::string_view usage;
  std::string_view help;
};

constexpr CommandRow commands[] = {
    {Command::serve, "serve", "[--env FILE]", "serve the OpenAI images API (the default)"},
    {Command::demo, "demo", "[--once] [--port N]",
     "serve with a stand-in for fal.ai, and make one image"},
    {Command::check, "check", "[--env FILE] [--json]",
     "check settings, documents and keys; exit status 1 where something is wrong"},
    {Command::explain, "explain",
     "[--model NAME] [--schema FILE | --endpoint ID] [--edit] [--json] [REQUEST.json]",
     "show what a request becomes, without a job; exit status 1 where it would be refused"},
    {Command::models, "models", "[--env FILE] [--json] [--edits]",
     "show what the configured models take"},
    {Command::health, "health", "[--env FILE]",
     "ask the server on this machine whether it is well; exit status 1 where it is not"},
};

constexpr const CommandRow& row_of(Command command) {
  return *std::ranges::find(commands, command, &CommandRow::command);
}

constexpr unsigned bit(Command command) { return 1U << static_cast<unsigned>(command); }
constexpr unsigned every = ~0U;

struct FlagRow {
  std::string_view name;
  std::string_view value;  // what its value is called; empty: it takes none
  unsigned commands;
  std::string_view help;
  bool (*set)(CommandLine& into, std::string_view value);  // false: the value is wrong
};

bool set_port(CommandLine& into, std::string_view value) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), port);
  into.port = port;
  return error == std::errc() && end == value.data() + value.size();
}

template <bool CommandLine::*member>
bool turn_on(CommandLine& into, std::string_view) {
  return into.*member = true;
}

template <std::string CommandLine::*member>
bool set_text(CommandLine& into, std::string_view value) {
  into.*member = std::string(value);
  return !value.empty();
}

constexpr FlagRow flags[] = {
    {"--env", "FILE", every & ~bit(Command::demo), "read the settings from FILE rather than .env",
     [](CommandLine& into, std::string_view value) {
       into.env_file = std::string(value);
       return !value.empty();
     }},
    {"--json", "", bit(Command::check) | bit(Command::explain) | bit(Command::models),
     "write JSON, for programs", turn_on<&CommandLine::json>},
    {"--edits", "", bit(Command::models), "show which models edit images, and why others do not",
     turn_on<&CommandLine::edits>},
    {"--model", "NAME", bit(Command::explain),
     "the model; else the request's own, else the default", set_text<&CommandLine::model>},
    {"--schema", "FILE", bit(Command::explain), "the model's OpenAPI document, rather than fal's",
     set_text<&CommandLine::schema_file>},
    {"--endpoint", "ID", bit(Command::explain), "a fal endpoint, rather than a configured model's",
     set_text<&CommandLine::endpoint>},
    {"--edit", "", bit(Command::explain), "the request is one to /v1/images/edits",
     turn_on<&CommandLine::edit>},
    {"--once", "", bit(Command::demo), "exit after the image, status 0 only if it arrived",
     turn_on<&CommandLine::once>},
    {"--port", "N", bit(Command::demo), "port to listen on", set_port},
    {"--help", "", every, "show this", turn_on<&CommandLine::help>},
    {"--version", "", every, "show the version", turn_on<&CommandLine::version>},
};

std::string suggestion(std::string_view near) {
  return near.empty() ? std::string() : fmt::format(" (did you mean {}?)", near);
}

Error refused(std::string message) {
  return {ErrorKind::invalid_value, std::move(message) + "; see falproxy --help"};
}

class Parser {
 public:
  explicit Parser(std::span<const std::string_view> arguments) : rest_(arguments) {}

  Result<CommandLine> parse() {
    if (!rest_.empty() && is_word(rest_.front())) {
      if (std::optional<Error> error = read_command(rest_.front())) return std::move(*error);
      rest_ = rest_.subspan(1);
    }
    while (!rest_.empty()) {
      const std::string_view argument = rest_.front();
      rest_ = rest_.subspan(1);
      std::optional<Error> error = is_word(argument) ? read_word(argument) : read_flag(argument);
      if (error.has_value()) return std::move(*error);
    }
    if (!line_.help && !line_.schema_file.empty() && !line_.endpoint.empty()) {
      return refused("--schema and --endpoint exclude each other");
    }
    return line_;
  }

 private:
  static bool is_word(std::string_view argument) {
    return argument == "-" || !argument.starts_with('-');
  }

  std::optional<Error> read_command(std::string_view word) {
    const auto found = std::ranges::find(commands, word, &CommandRow::name);
    if (found != std::end(commands)) {
      line_.command = found->command;
      line_.named = true;
      return std::nullopt;
    }
    std::vector<std::string_view> names;
    for (const CommandRow& row : commands) names.push_back(row.name);
    return refused(fmt::format("'{}' is no command{}", word, suggestion(nearest(word, names))));
  }

  std::optional<Error> read_word(std::string_view word) {
    if (line_.command != Command::explain || !line_.request_file.empty()) {
      return refused(fmt::format("'{}' is one word too many", word));
    }
    line_.request_file = std::string(word);
    return std::nullopt;
  }

  std::optional<Error> read_flag(std::string_view argument) {
    const std::size_t sign = argument.find('=');
    const std::string_view name = argument == "-h" ? "--help" : argument.substr(0, sign);
    const auto flag = std::ranges::find(flags, name, &FlagRow::name);
    const std::string_view command = row_of(line_.command).name;
    if (flag == std::end(flags)) {
      return refused(
          fmt::format("'{}' is no flag of {}{}", name, command, suggestion(nearest_flag(name))));
    }
    if ((flag->commands & bit(line_.command)) == 0) {
      return refused(fmt::format("{} is no flag of {}", name, command));
    }
    std::string_view value;
    if (flag->value.empty()) {
      if (sign != std::string_view::npos) return refused(fmt::format("{} takes no value", name));
    } else if (sign != std::string_view::npos) {
      value = argument.substr(sign + 1);
    } else if (rest_.empty() || !is_word(rest_.front())) {
      return refused(fmt::format("{} needs a value: {} {}", name, name, flag->value));
    } else {
      value = rest_.front();
      rest_ = rest_.subspan(1);
    }
    if (!flag->set(line_, value)) return refused(fmt::format("{} cannot be '{}'", name, value));
    return std::nullopt;
  }

  [[nodiscard]] std::string_view nearest_flag(std::string_view name) const {
    std::vector<std::string_view> names;
    for (const FlagRow& flag : flags) {
      if ((flag.commands & bit(line_.command)) != 0) names.push_back(flag.name);
    }
    return nearest(name, names);
  }

  std::span<const std::string_view> rest_;
  CommandLine line_;
};

std::string left_column(const FlagRow& flag) {
  return flag.value.empty() ? std::string(flag.name) : fmt::format("{} {}", flag.name, flag.value);
}

}  // namespace

Result<CommandLine> parse_command_line(std::span<const std::string_view> arguments) {
  return Parser(arguments).parse();
}

std::string help_text(const CommandLine& line) {
  std::string text;
  if (!line.named) {
    text =
        "falproxy makes fal.ai's image models look like the OpenAI images API.\n\nUsage: falproxy "
        "[COMMAND] [FLAG]...\n\n";
    for (const CommandRow& row : commands) text += fmt::format("  {:<10} {}\n", row.name, row.help);
    text += "\nfalproxy COMMAND --help tells the flags of a command.\n";
  } else {
    const CommandRow& row = row_of(line.command);
    text = fmt::format("Usage: falproxy {} {}\n\n{}\n\n", row.name, row.usage, row.help);
    for (const FlagRow& flag : flags) {
      if ((flag.commands & bit(line.command)) == 0) continue;
      text += fmt::format("  {:<14} {}\n", left_column(flag), flag.help);
    }
  }
  text +=
      "\nSettings come from .env in the working directory and from the environment, which wins; "
      "docs/settings.md has them all.\n";
  return text;
}

std::string version_text() { return "falproxy " FALPROXY_VERSION; }

}  // namespace falproxy::app
