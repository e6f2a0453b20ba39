#include "commands/command_line.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

using falproxy::app::Command;
using falproxy::app::CommandLine;
using falproxy::app::parse_command_line;

TEST_CASE("what is typed after falproxy becomes a command and its options") {
  struct Case {
    std::vector<std::string_view> arguments;
    CommandLine want;
  };
  for (const Case& c : std::vector<Case>{
           {{}, {}},
           {{"serve"}, {.named = true}},
           {{"--env", "my.env"}, {.env_file = "my.env"}},
           {{"serve", "--env=my.env"}, {.named = true, .env_file = "my.env"}},
           {{"--help"}, {.help = true}},
           {{"-h"}, {.help = true}},
           {{"--version"}, {.version = true}},
           {{"check", "--help"}, {.command = Command::check, .named = true, .help = true}},
           {{"check", "--json", "--env", "x"},
            {.command = Command::check, .named = true, .env_file = "x", .json = true}},
           {{"models", "--edits", "--json"},
            {.command = Command::models, .named = true, .json = true, .edits = true}},
           {{"demo", "--once", "--port", "0"},
            {.command = Command::demo, .named = true, .once = true, .port = 0}},
           {{"explain"}, {.command = Command::explain, .named = true}},
           {{"explain", "--model", "flux", "--schema", "a b.json", "request.json", "--json"},
            {.command = Command::explain,
             .named = true,
             .json = true,
             .model = "flux",
             .schema_file = "a b.json",
             .request_file = "request.json"}},
           {{"explain", "--endpoint=fal-ai/flux/dev", "-", "--edit"},
            {.command = Command::explain,
             .named = true,
             .endpoint = "fal-ai/flux/dev",
             .request_file = "-",
             .api = "edits"}},
           {{"explain", "--api", "speech"},
            {.command = Command::explain, .named = true, .api = "speech"}},
           {{"explain", "--model=a=b"},
            {.command = Command::explain, .named = true, .model = "a=b"}},
       }) {
    std::string typed;
    for (const std::string_view argument : c.arguments) typed += std::string(argument) + ' ';
    CAPTURE(typed);
    const auto line = parse_command_line(c.arguments);
    REQUIRE(line.has_value());
    CHECK(*line == c.want);
  }
}

TEST_CASE("what is mistyped is an error that names the word and the nearest right one") {
  struct Case {
    std::vector<std::string_view> arguments;
    std::string message;
  };
  const std::string see = "; see falproxy --help";
  for (const Case& c : std::vector<Case>{
           {{"--evn", "x"}, "'--evn' is no flag of serve (did you mean --env?)"},
           {{"check", "--jsn"}, "'--jsn' is no flag of check (did you mean --json?)"},
           {{"check", "--josn=1"}, "'--josn' is no flag of check (did you mean --json?)"},
           {{"models", "--edit"}, "'--edit' is no flag of models (did you mean --edits?)"},
           {{"--xyzzy"}, "'--xyzzy' is no flag of serve"},
           {{"-x"}, "'-x' is no flag of serve"},
           {{"chekc"}, "'chekc' is no command (did you mean check?)"},
           {{"generate"}, "'generate' is no command"},
           {{"--json"}, "'--json' is no flag of serve"},
           {{"demo", "--env", "x"}, "'--env' is no flag of demo"},
           {{"serve", "now"}, "'now' is one word too many"},
           {{"explain", "a.json", "b.json"}, "'b.json' is one word too many"},
           {{"serve", "--env"}, "--env needs a value: --env FILE"},
           {{"explain", "--model", "--json"}, "--model needs a value: --model NAME"},
           {{"explain", "--model="}, "--model needs a value: --model NAME"},
           {{"explain", "--model", ""}, "--model cannot be ''"},
           {{"demo", "--port", "x"}, "--port cannot be 'x'"},
           {{"demo", "--port", "65536"}, "--port cannot be '65536'"},
           {{"explain", "--api", "pictures"}, "--api cannot be 'pictures'"},
           {{"check", "--json=yes"}, "--json takes no value"},
           {{"explain", "--schema", "a", "--endpoint", "b/c"},
            "--schema and --endpoint exclude each other"},
       }) {
    CAPTURE(c.message);
    const auto line = parse_command_line(c.arguments);
    REQUIRE_FALSE(line.has_value());
    CHECK(line.error().message == c.message + see);
  }
}

TEST_CASE("the help names each command, and each command's help its flags") {
  const std::string all = falproxy::app::help_text({});
  for (const std::string word : {"serve", "demo", "check", "explain", "models"})
    CHECK(all.find("  " + word + " ") != std::string::npos);
  const std::string explain =
      falproxy::app::help_text({.command = Command::explain, .named = true});
  for (const std::string flag :
       {"--model NAME", "--schema FILE", "--endpoint ID", "--env FILE", "--json", "--help"}) {
    CHECK(explain.find("  " + flag) != std::string::npos);
  }
  CHECK(falproxy::app::help_text({.named = true}).find("--json") == std::string::npos);
  CHECK(falproxy::app::version_text().starts_with("falproxy 0."));
  CHECK(falproxy::app::version_text().find('\n') == std::string::npos);
}

TEST_CASE("docs/commands.md has each command and each flag of the help") {
  std::ifstream in(std::string(FALPROXY_SOURCE_DIR) + "/docs/commands.md");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  for (const Command command :
       {Command::serve, Command::demo, Command::check, Command::explain, Command::models}) {
    const std::string help = falproxy::app::help_text({.command = command, .named = true});
    const std::string name = help.substr(16, help.find(' ', 16) - 16);  // "Usage: falproxy NAME "
    CHECK(text.find("| `" + name + "` |") != std::string::npos);
    for (std::size_t at = help.find("\n  --"); at != std::string::npos;
         at = help.find("\n  --", at + 1)) {
      const std::string flag = help.substr(at + 3, help.find(' ', at + 3) - at - 3);
      CAPTURE(flag);
      CHECK((flag == "--version" || text.find("`" + flag) != std::string::npos));
    }
  }
}
