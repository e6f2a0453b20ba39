#include "commands/command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
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
    {Command::serve, "serve", "[--env FILE]", "serve OpenAI's APIs (the default)"},
    {Command::demo, "demo", "[--once] [--port N]",
     "serve with a stand-in for fal.ai, and make one image"},
    {Command::init, "init", "[--env FILE] [--force]",
     "ask for a fal key and for models, and write the settings to .env"},
    {Command::check, "check", "[--env FILE] [--json]",
     "check settings, documents and keys; exit status 1 if something is wrong"},
    {Command::explain, "explain",
     "[--model NAME] [--schema FILE | --endpoint ID] [--api WORD] [--json] [REQUEST.json]",
     "show what a request becomes, without a job; exit status 1 if it would be refused"},
    {Command::models, "models", "[--env FILE] [--json] [--edits] [--profile DIR]",
     "show what the configured models take"},
    {Command::jobs, "jobs", "[--env FILE] [--key NAME] [--json] [ID] [--cancel]",
     "list the asynchronous requests of the server on this machine, follow one to its end, or "
     "cancel it"},
    {Command::usage, "usage",
     "[--env FILE] [--by day|key|model|user] [--start DAY] [--end DAY] [--json]",
     "ask the server on this machine what was spent; exit status 1 if it does not say"},
    {Command::health, "health", "[--env FILE]",
     "ask the server on this machine whether it is well; exit status 1 if it is not"},
};

constexpr const CommandRow& row_of(Command command) {
  return *std::ranges::find(commands, command, &CommandRow::command);
}

// CLI11 takes the next flag for a value.
std::string check_value(const std::string& text) {
  return text.empty() || (text.starts_with('-') && text != "-") ? "is no value" : std::string();
}

void add_text(CLI::App& app, const char* name, std::string& to, const char* value,
              const char* help) {
  app.add_option(name, to, help)->type_name(value)->check(check_value);
}

void add_switch(CLI::App& app, const char* name, bool& to, const char* help) {
  app.add_flag(name, to, help)->disable_flag_override();
}

void add_flags(CLI::App& app, Command command, CommandLine& into) {
  if (command != Command::demo) {
    const auto set = [&into](const std::string& file) { into.env_file = file; };
    app.add_option_function<std::string>("--env", set,
                                         "read the settings from FILE rather than .env")
        ->type_name("FILE")
        ->check(check_value);
  }
  if (command == Command::check || command == Command::explain || command == Command::models ||
      command == Command::jobs || command == Command::usage)
    add_switch(app, "--json", into.json, "write JSON, for programs");
  if (command == Command::init)
    add_switch(app, "--force", into.force, "write over a file that is there");
  if (command == Command::usage) {
    add_text(app, "--by", into.by, "WHAT", "day, key, model or user: what is put into one row");
    add_text(app, "--start", into.start, "DAY", "the first day, such as 2026-11-01");
    add_text(app, "--end", into.end, "DAY", "the last day");
  }
  if (command == Command::models) {
    add_switch(app, "--edits", into.edits, "show which models edit images, and why others do not");
    add_text(app, "--profile", into.profile_folder, "DIR",
             "show what is made of the OpenAPI documents in DIR, without settings");
  }
  if (command == Command::jobs) {
    add_text(app, "--key", into.key_name, "NAME",
             "whose requests: the name of an access key; else the first one");
    add_switch(app, "--cancel", into.cancel, "cancel the request ID, also at fal");
    app.add_option("id", into.job);
  }
  if (command == Command::explain) {
    add_text(app, "--model", into.model, "NAME",
             "the model; else the request's own, else the default");
    add_text(app, "--schema", into.schema_file, "FILE",
             "the model's OpenAPI document, rather than fal's");
    add_text(app, "--endpoint", into.endpoint, "ID",
             "a fal endpoint, rather than a configured model's");
    app.add_option("--api", into.api, "what the request is for; images, if nothing is said")
        ->type_name("WORD")
        ->check(CLI::IsMember(
            {"images", "edits", "videos", "speech", "transcriptions", "translations"}));
    const auto edit = [&into](std::int64_t) { into.api = "edits"; };
    app.add_flag_function("--edit", edit, "the same as --api edits")->disable_flag_override();
    app.add_option("request", into.request_file);
  }
  if (command == Command::demo) {
    add_switch(app, "--once", into.once, "exit after the image, status 0 only if it arrived");
    const auto set = [&into](const std::uint16_t& port) { into.port = port; };
    app.add_option_function<std::uint16_t>("--port", set, "port to listen on")->type_name("N");
  }
  add_switch(app, "--help,-h", into.help, "show this");
  add_switch(app, "--version", into.version, "show the version");
}

std::string suggestion(std::string_view near) {
  return near.empty() ? std::string() : fmt::format(" (did you mean {}?)", near);
}

Error refused(std::string message) {
  return {ErrorKind::invalid_value, std::move(message) + "; see falproxy --help"};
}

/// What CLI11 found nothing for.
Error unknown(const CLI::App& app, const CommandLine& line, std::string_view word) {
  std::vector<std::string> names;
  if (word.starts_with('-') && word != "-") {
    for (const CLI::Option* option : app.get_options()) names.push_back(option->get_name());
    const std::string_view name = word.substr(0, word.find('='));
    const std::vector<std::string_view> views(names.begin(), names.end());
    return refused(fmt::format("'{}' is no flag of {}{}", name, row_of(line.command).name,
                               suggestion(nearest(name, views))));
  }
  if (line.named) return refused(fmt::format("'{}' is one word too many", word));
  std::vector<std::string_view> views;
  for (const CommandRow& row : commands) views.push_back(row.name);
  return refused(fmt::format("'{}' is no command{}", word, suggestion(nearest(word, views))));
}

/// What is wrong with the value of a flag.
Error fault_of(const CLI::App& app, const CLI::ParseError& error) {
  const std::string_view said = error.what();
  const CLI::Option* found = nullptr;  // CLI11 tells it in its sentence only
  for (const CLI::Option* option : app.get_options()) {
    const std::string name = option->get_name();
    if (said.find(name) == std::string_view::npos && !said.starts_with(name.substr(2))) continue;
    if (found == nullptr || name.size() > found->get_name().size()) found = option;
  }
  if (found == nullptr) return refused(std::string(said));
  const std::string name = found->get_name();
  if (found->get_items_expected_max() == 0) return refused(name + " takes no value");
  const std::string value = found->results().empty() ? "-" : found->results().back();
  if (value.starts_with('-'))
    return refused(fmt::format("{0} needs a value: {0} {1}", name, found->get_type_name()));
  return refused(fmt::format("{} cannot be '{}'", name, value));
}

}  // namespace

Result<CommandLine> parse_command_line(std::span<const std::string_view> arguments) {
  CommandLine line;
  CLI::App program;
  program.require_subcommand(0, 1);
  const auto prepare = [&line](CLI::App& app, Command command) {
    app.set_help_flag();
    app.allow_extras();
    add_flags(app, command, line);
  };
  prepare(program, Command::serve);
  const CLI::App* used = &program;
  for (const CommandRow& row : commands) {
    CLI::App* app = program.add_subcommand(std::string(row.name));
    prepare(*app, row.command);
    app->preparse_callback([&line, &used, &row, app](std::size_t) {
      line.command = row.command;
      line.named = true;
      used = app;
    });
  }
  // It takes what it parses from the back.
  std::vector<std::string> words(arguments.rbegin(), arguments.rend());
  try {
    program.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    return fault_of(*used, error);
  }
  for (const std::string& word : used->remaining()) return unknown(*used, line, word);
  if (!line.help && line.cancel && line.job.empty())
    return refused("--cancel needs the ID of a job");
  if (!line.help && !line.schema_file.empty() && !line.endpoint.empty())
    return refused("--schema and --endpoint exclude each other");
  return line;
}

std::string help_text(const CommandLine& line) {
  std::string text;
  if (!line.named) {
    text =
        "falproxy makes fal.ai's models look like OpenAI's APIs.\n\nUsage: falproxy "
        "[COMMAND] [FLAG]...\n\n";
    for (const CommandRow& row : commands) text += fmt::format("  {:<10} {}\n", row.name, row.help);
    text += "\nfalproxy COMMAND --help tells the flags of a command.\n";
  } else {
    const CommandRow& row = row_of(line.command);
    text = fmt::format("Usage: falproxy {} {}\n\n{}\n\n", row.name, row.usage, row.help);
    CLI::App app;
    CommandLine unused;
    app.set_help_flag();
    add_flags(app, line.command, unused);
    for (const CLI::Option* flag : app.get_options()) {
      if (flag->get_positional()) continue;
      const std::string value = flag->get_items_expected_max() == 0 ? "" : flag->get_type_name();
      text += fmt::format("  {:<14} {}\n", fmt::format("{} {}", flag->get_name(), value),
                          flag->get_description());
    }
  }
  text +=
      "\nSettings come from .env in the working directory and from the environment, which wins; "
      "docs/settings.md has them all.\n";
  return text;
}

std::string version_text() { return "falproxy " FALPROXY_VERSION; }

}  // namespace falproxy::app
