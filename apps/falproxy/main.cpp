#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "commands/command_line.hpp"
#include "commands/commands.hpp"
#include "commands/surroundings.hpp"
#include "process.hpp"

int main(int argc, char** argv) {
  using namespace falproxy::app;
  keep_memory_private();
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  const auto line = parse_command_line(arguments);
  if (!line) {
    write_to_stderr("falproxy: " + line.error().message + "\n");
    return ExitStatus::not_understood;
  }
  if (line->version) {
    write_to_stdout(version_text() + "\n");
    return ExitStatus::done;
  }
  if (line->help) {
    write_to_stdout(help_text(*line));
    return ExitStatus::done;
  }
  const auto with_surroundings = [&line](auto run) {
    return run(*line, RealSurroundings().surroundings(std::cin, std::cout, std::cerr));
  };
  switch (line->command) {
    case Command::serve:
      return serve(*line);
    case Command::demo:
      return demo(*line);
    case Command::init:
      return with_surroundings(run_init);
    case Command::check:
      return with_surroundings(run_check);
    case Command::explain:
      return with_surroundings(run_explain);
    case Command::models:
      return with_surroundings(run_models);
    case Command::jobs:
      return with_surroundings(run_jobs);
    case Command::usage:
      return with_surroundings(run_usage);
    case Command::health:
      return with_surroundings(run_health);
  }
  return ExitStatus::not_understood;
}
