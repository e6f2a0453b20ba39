#include <string>
#include <string_view>
#include <vector>

#include "commands/command_line.hpp"
#include "commands/demo.hpp"
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
    write_to_stdout(help_text(line->command));
    return ExitStatus::done;
  }
  switch (line->command) {
    case Command::serve:
      return serve(*line);
    case Command::demo:
      return demo(*line);
    default:
      return ExitStatus::not_understood;
  }
}
