// .env.example given to `docker run --env-file`, which reads it otherwise than falproxy does.
#include <doctest/doctest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "served.hpp"

namespace falproxy::app {
namespace {

using namespace test;

// The rules of docker's client (cli/opts, pkg/kvfile): a line is a variable or nothing. Blanks
// before it go, a '#' at its start makes it a comment, and all behind the first '=' is the value:
// quotes, blanks and '#' included. A name alone takes its value from docker's own environment.
// None: docker refuses the file.
std::optional<Environment> as_docker_reads(std::istream& in) {
  Environment environment;
  for (std::string line; std::getline(in, line);) {
    if (line.ends_with('\r')) line.pop_back();
    line.erase(0, std::min(line.find_first_not_of(" \t\v\f\r"), line.size()));
    if (line.empty() || line.starts_with('#')) continue;
    const std::size_t sign = line.find('=');
    const std::string name = line.substr(0, sign);
    if (name.empty() || name.find_first_of(" \t") != std::string::npos) return std::nullopt;
    if (sign != std::string::npos) environment[name] = line.substr(sign + 1);
  }
  return environment;
}

Environment example() {
  std::ifstream in(FALPROXY_SOURCE_DIR "/.env.example");
  REQUIRE(in.is_open());
  const auto environment = as_docker_reads(in);
  REQUIRE(environment.has_value());
  return *environment;
}

// Against falsim; the page's address of the example stays as it is.
int status_with_key_of(const Environment& environment) {
  const Served server(environment);
  RawClient client(server.port());
  std::string key = environment.at("CUSTOM_ACCESS_KEY");
  unwrap_quotes(key);
  return client
      .exchange(test::post("/v1/images/generations", R"({"model":"flux-dev","prompt":"a"})",
                           key_field(key)))
      .status;
}

TEST_CASE("the shipped .env.example works as docker's --env-file, and clients get their pictures") {
  const Environment environment = example();
  CHECK(environment.size() == 3);
  // Read without a word about quotes: there are none.
  CHECK(tidy_environment(environment).warnings.empty());
  CHECK(status_with_key_of(environment) == 200);
}

TEST_CASE("with quotes around its values it works just as well, and the log tells of them") {
  for (const char quote : {'"', '\''}) {
    for (const bool all : {false, true}) {
      Environment environment = example();
      for (auto& [name, value] : environment) {
        if (all || name == "CUSTOM_ACCESS_KEY") value = quote + value + quote;
      }
      CHECK(tidy_environment(environment).warnings.size() == (all ? 3 : 1));
      CHECK(status_with_key_of(environment) == 200);
    }
  }
}

TEST_CASE("docker's rules are read as docker has them") {
  std::istringstream in(
      "# comment\n  #another\n\n  A=1 # no comment\nB=\"x\"\nC=\nTERM_OF_DOCKER\nD=a=b \r\n");
  CHECK(as_docker_reads(in) ==
        Environment{{"A", "1 # no comment"}, {"B", "\"x\""}, {"C", ""}, {"D", "a=b "}});
  for (const char* text : {"=x\n", "a b=c\n", "export A=1\n", "  flux : fal-ai\n"}) {
    std::istringstream bad(text);
    CHECK_FALSE(as_docker_reads(bad).has_value());
  }
}

}  // namespace
}  // namespace falproxy::app
