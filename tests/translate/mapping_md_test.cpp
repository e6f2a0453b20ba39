#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "translate/inputs.hpp"
#include "translate/size_controls.hpp"

using namespace falproxy;

TEST_CASE("docs/mapping.md names every input that the mapping knows") {
  std::ifstream file(std::filesystem::path(FALPROXY_SOURCE_DIR) / "docs" / "mapping.md");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  REQUIRE_FALSE(text.empty());
  for (const auto& names : {translate::known_input_names(), translate::known_size_names()}) {
    for (const std::string_view name : names) {
      CAPTURE(name);
      CHECK(text.find('`' + std::string(name) + '`') != std::string::npos);
    }
  }
}
