// documents.hpp: the real fal documents, where they are at hand.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace corpus {

struct Entry {
  std::string endpoint;
  std::string category;
  std::filesystem::path file;
};

inline std::filesystem::path folder() {
  const char* shared = std::getenv("FALPROXY_SHARED");
  const std::filesystem::path root =
      shared != nullptr ? std::filesystem::path(shared)
                        : std::filesystem::path(FALPROXY_SOURCE_DIR) / ".." / "shared";
  return root / "fal-schemas";
}

/// Says so where the folder is absent.
inline bool is_absent() {
  static const bool absent = !std::filesystem::exists(folder() / "INDEX.tsv");
  if (absent) std::cout << "skipped: no documents in " << folder().string() << "\n";
  return absent;
}

inline std::string read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

inline std::vector<Entry> entries() {
  std::vector<Entry> all;
  std::ifstream index(folder() / "INDEX.tsv");
  std::string line;
  std::getline(index, line);  // the names of the columns
  while (std::getline(index, line)) {
    std::istringstream columns(line);
    Entry entry;
    std::string file;
    std::getline(columns, entry.endpoint, '\t');
    std::getline(columns, file, '\t');
    std::getline(columns, entry.category, '\t');
    entry.file = folder() / file;
    all.push_back(entry);
  }
  return all;
}

inline std::vector<Entry> image_entries() {
  std::vector<Entry> images;
  for (Entry& entry : entries()) {
    if (entry.category == "text-to-image" || entry.category == "image-to-image")
      images.push_back(std::move(entry));
  }
  return images;
}

/// The document of `endpoint`; none where this corpus has none.
inline std::optional<std::string> document(const std::string& endpoint) {
  for (const Entry& entry : entries()) {
    if (entry.endpoint == endpoint) return read(entry.file);
  }
  return std::nullopt;
}

}  // namespace corpus
