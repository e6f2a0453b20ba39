#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "profile/vocabulary.hpp"

using namespace falproxy;

namespace {

// Every list of a group as a row: the words that are seen, then those that are not.
std::string table_of(std::string_view group, std::string_view heading) {
  std::string table = "| " + std::string(heading) + " | words, the likeliest first |\n|---|---|\n";
  for (const profile::VocabularyList& list : profile::vocabulary()) {
    if (list.group != group) continue;
    std::string row;
    for (const profile::Word& word : list.words)
      row += (row.empty() ? "`" : ", `") + word.text + "`";
    table += "| " + list.name + " | " + row + " |\n";
  }
  return table;
}

}  // namespace

TEST_CASE("docs/mapping.md lists the names and words of the vocabulary as they are") {
  std::ifstream file(std::filesystem::path(FALPROXY_SOURCE_DIR) / "docs" / "mapping.md");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  for (const auto& [group, heading] :
       {std::pair("inputs", "an input means"), std::pair("values", "a value means"),
        std::pair("outputs", "a member of a result is")}) {
    const std::string table = table_of(group, heading);
    CHECK_MESSAGE(text.find(table) != std::string::npos, "docs/mapping.md should have this table:\n"
                                                             << table);
  }
}
