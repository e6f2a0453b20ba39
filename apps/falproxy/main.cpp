#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "commands/check.hpp"
#include "commands/command_line.hpp"
#include "commands/demo.hpp"
#include "commands/explain.hpp"
#include "commands/health.hpp"
#include "commands/models.hpp"
#include "commands/real_surroundings.hpp"
#include "commands/serve.hpp"
#include "console.hpp"

int main(int argc, char** argv) {
  using namespace falproxy::app;
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
  switch (line->command) {
    case Command::serve:
      return serve(*line);
    case Command::demo:
      return demo(*line);
    case Command::check:
      return run_check(*line, RealSurroundings().surroundings(std::cin, std::cout, std::cerr));
    case Command::explain:
      return run_explain(*line, RealSurroundings().surroundings(std::cin, std::cout, std::cerr));
    case Command::models:
      return run_models(*line, RealSurroundings().surroundings(std::cin, std::cout, std::cerr));
    case Command::health:
      return run_health(*line, RealSurroundings().surroundings(std::cin, std::cout, std::cerr));
  }
  return ExitStatus::not_understood;
}
