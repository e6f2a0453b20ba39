#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "falproxy/json.hpp"
#include "falproxy/settings.hpp"

using falproxy::EnvFile;
using falproxy::Json;
using falproxy::parse_env;

namespace {

std::string read_file(const std::string& path) {
  std::ifstream in(std::string(FALPROXY_SOURCE_DIR) + "/" + path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::map<std::string, std::string> values_of(const EnvFile& env) {
  std::map<std::string, std::string> values;
  for (const falproxy::EnvEntry& entry : env.entries) values[entry.name] = entry.value;
  return values;
}

}  // namespace

TEST_CASE("a .env file means what npm's dotenv reads in it") {
  const auto table = Json::parse(read_file("tests/settings/dotenv_cases.json"));
  REQUIRE(table.has_value());
  const Json cases = *table->find("cases");
  REQUIRE(cases.size() >= 60);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const Json row = cases.at(i);
    const std::string name(*row.find("name")->as_string());
    CAPTURE(name);
    std::map<std::string, std::string> want;
    for (const std::string_view variable : row.find("want")->keys()) {
      want.emplace(variable, *row.find("want")->find(variable)->as_string());
    }
    CHECK(values_of(parse_env(*row.find("text")->as_string(), ".env")) == want);
  }
}

TEST_CASE("each entry knows its line, whatever stands before it") {
  struct Case {
    std::string name;
    std::string text;
    int line;  // of Z
  };
  for (const Case& c : {
           Case{"first", "Z=1", 1},
           {"after comments and blank lines", "# a\n\n  # b\nZ=1", 4},
           {"after CRLF lines", "A=1\r\n\r\nB=2\r\nZ=1\r\n", 4},
           {"after CR lines", "A=1\r\rZ=1", 3},
           {"after a value of several lines", "A=\"1\n2\n3\"\nZ=1", 4},
           {"after an escaped newline", "A=\"1\\n2\"\nZ=1", 2},
           {"after a byte order mark", "\uFEFF# a\nZ=1", 2},
           {"after lines that are ignored", "what\nis this\nZ=1", 3},
           {"where the name stands, not its value", "A=1\nZ=\n\n\"1\"", 2},
           {"where the last of the same name stands", "Z=1\nA=2\nZ=3\n", 3},
           {"after export on a line of its own", "export\nZ=1", 2},
       }) {
    CAPTURE(c.name);
    const EnvFile env = parse_env(c.text, ".env");
    int line = 0;
    for (const falproxy::EnvEntry& entry : env.entries) {
      if (entry.name == "Z") line = entry.line;
    }
    CHECK(line == c.line);
  }
}

TEST_CASE("what a .env file's author may not have meant is warned about, without its value") {
  struct Case {
    std::string name;
    std::string text;
    int line;
    std::string variable;
    std::string part;  // of the message
  };
  for (const Case& c : {
           Case{"an unquoted value that '#' cuts", "A=1\nKEY=sec#ret\n", 2, "KEY",
                "ends before '#'"},
           {"a value that begins with '#'", "KEY=#secret", 1, "KEY", "ends before '#'"},
           {"an unclosed quote", "\nKEY=\"secret\nB=2", 2, "KEY", "does not close"},
           {"text after the closing quote", "KEY=\"secret\" more", 1, "KEY", "does not close"},
           {"a lone quote", "KEY='", 1, "KEY", "does not close"},
           {"the same name twice", "KEY=secret\n\nKEY=secret", 3, "KEY", "line 1 already"},
           {"a line without a sign", "A=1\nsecret words\n", 2, "", "ignored"},
           {"a colon without a blank", "KEY:secret", 1, "", "ignored"},
       }) {
    CAPTURE(c.name);
    const EnvFile env = parse_env(c.text, "my.env");
    REQUIRE(env.warnings.size() == 1);
    const falproxy::SettingsFault& warning = env.warnings.front();
    CHECK(warning.file == "my.env");
    CHECK(warning.line == c.line);
    CHECK(warning.variable == c.variable);
    CHECK(warning.message.find(c.part) != std::string::npos);
    CHECK_FALSE(warning.mend.empty());
    CHECK(to_string(warning).find("secret") == std::string::npos);
  }
}

TEST_CASE("what is usual in a .env file is not warned about") {
  for (const std::string text :
       {"A=1 # comment", "A= # comment", "A=\t# comment", "A=\"1#2\"", "A='1'#comment", "A=`#`",
        "A=it's", "# A=b#c", "A=\"1\n#2\n\"", "", "export A=1"}) {
    CAPTURE(text);
    CHECK(parse_env(text, ".env").warnings.empty());
  }
}

TEST_CASE("a long text with quotes that never close takes no long time") {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "A" + std::to_string(i % 50) + "=`\\`\\`\\` x\n'\n";
  CHECK(parse_env(text, ".env").entries.size() == 50);
}
