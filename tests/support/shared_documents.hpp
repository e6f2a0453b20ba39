// shared_documents.hpp: the real OpenAPI documents of fal's models, which lie beside the repository
// and not in it.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace shared_documents {

struct Document {
  std::string name;  ///< the file's, without its ending
  std::string text;
  nlohmann::json json;
  std::string category;
};

/// `fal-schemas` under FALPROXY_SHARED, or under `shared` beside the source directory.
inline std::filesystem::path folder() {
  const char* const given = std::getenv("FALPROXY_SHARED");
  const std::filesystem::path shared =
      given != nullptr ? std::filesystem::path(given)
                       : std::filesystem::path(FALPROXY_SOURCE_DIR).parent_path() / "shared";
  return shared / "fal-schemas";
}

/// Every document of the folder, or of one below it ("older"), by name. Empty where it is absent,
/// which is said.
inline std::vector<Document> read(std::string_view below = {}) {
  std::vector<Document> documents;
  std::error_code fault;
  for (const auto& entry : std::filesystem::directory_iterator(folder() / below, fault)) {
    if (entry.path().extension() != ".json") continue;
    std::ifstream file(entry.path(), std::ios::binary);
    Document document;
    document.name = entry.path().stem().string();
    document.text.assign(std::istreambuf_iterator<char>(file), {});
    document.json = nlohmann::json::parse(document.text, nullptr, false);
    if (document.json.is_object()) {
      const nlohmann::json::json_pointer category("/info/x-fal-metadata/category");
      if (document.json.contains(category)) {
        document.category = document.json[category].get<std::string>();
      }
    }
    documents.push_back(std::move(document));
  }
  std::ranges::sort(documents, {}, &Document::name);
  if (documents.empty()) {
    std::cout << "skipped: no documents in " << folder() / below
              << ", where fal's OpenAPI documents belong (FALPROXY_SHARED names another folder)\n";
  }
  return documents;
}

}  // namespace shared_documents
