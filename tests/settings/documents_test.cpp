// docs/settings.md, .env.example and the code name the same settings, with the same defaults, in
// the same order.
#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "falproxy/settings.hpp"

namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;  // name, default

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream in(std::string(FALPROXY_SOURCE_DIR) + "/" + path);
  REQUIRE_MESSAGE(in.is_open(), path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string unquoted(std::string cell) {
  std::erase(cell, ' ');
  std::erase(cell, '`');
  return cell;
}

Rows of_code() {
  Rows rows;
  for (const falproxy::SettingInfo& info : falproxy::all_settings())
    rows.emplace_back(info.name, info.standard);
  return rows;
}

}  // namespace

TEST_CASE("docs/settings.md has a row for each setting, with its default") {
  Rows rows;
  bool settings = false;  // variables that are no settings have tables, too
  for (const std::string& line : lines_of("docs/settings.md")) {
    settings = line.starts_with("| setting |") || (settings && line.starts_with('|'));
    if (!settings || !line.starts_with("| `")) continue;
    const std::size_t second = line.find('|', 1);
    const std::size_t third = line.find('|', second + 1);
    REQUIRE(third != std::string::npos);
    rows.emplace_back(unquoted(line.substr(1, second - 1)),
                      unquoted(line.substr(second + 1, third - second - 1)));
  }
  CHECK(rows == of_code());
}

TEST_CASE("docs/settings.md has a row for each key of MODELS_FILE") {
  std::string rows;
  for (const std::string& line : lines_of("docs/settings.md")) {
    if (line.starts_with("| `") && line[3] >= 'a' && line[3] <= 'z')
      rows += (rows.empty() ? "" : ", ") + line.substr(3, line.find('`', 3) - 3);
  }
  const auto refused =
      falproxy::parse_models_file(R"({"m": {"some-foreign-key": 1}})", "models.json");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().front().mend == "known keys are " + rows);
}

TEST_CASE("each setting has its meaning in one line") {
  for (const falproxy::SettingInfo& info : falproxy::all_settings()) {
    CAPTURE(info.name);
    CHECK(info.meaning.size() > 4);
    CHECK(info.meaning.find('\n') == std::string_view::npos);
    CHECK(info.needed == (info.name == "CUSTOM_ACCESS_KEY" || info.name == "AI_KEYS" ||
                          info.name == "SUPPORTED_MODELS"));
  }
}

TEST_CASE(".env.example names each setting, with its default where it is not needed") {
  std::string text;
  Rows rows;
  for (const std::string& line : lines_of(".env.example")) {
    const bool commented = line.starts_with("# ") && line.find('=') != std::string::npos &&
                           line[2] >= 'A' && line[2] <= 'Z' &&
                           line.find(' ', 2) == std::string::npos;
    text += (commented ? line.substr(2) : line) + "\n";
  }
  const falproxy::EnvFile env = falproxy::parse_env(text, ".env.example");
  const auto infos = falproxy::all_settings();
  REQUIRE(env.entries.size() == infos.size());
  for (std::size_t i = 0; i < infos.size(); ++i) {
    CAPTURE(infos[i].name);
    CHECK(env.entries[i].name == infos[i].name);
    if (infos[i].needed) {
      CHECK_FALSE(env.entries[i].value.empty());
    } else {
      CHECK(env.entries[i].value == infos[i].standard);
    }
  }
}

TEST_CASE(".env.example works as it is, but for the keys") {
  std::string text;
  for (const std::string& line : lines_of(".env.example")) text += line + "\n";
  const falproxy::EnvFile env = falproxy::parse_env(text, ".env.example");
  CHECK(env.warnings.empty());
  CHECK(env.entries.size() == 3);
  const auto settings = falproxy::read_settings(env, {});
  REQUIRE(settings.has_value());
  CHECK(settings->models.size() == 3);
}
