#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

const fs::path library = fs::path(FALPROXY_SOURCE_DIR) / "libfalproxy";

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// An example in a comment may be a whole program.
std::string without_comment_lines(const std::string& text) {
  std::istringstream lines(text);
  std::string code;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find_first_not_of(' ');
    if (first == std::string::npos || line.compare(first, 2, "//") != 0) code += line + '\n';
  }
  return code;
}

std::vector<fs::path> sources_under(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) found.push_back(entry.path());
  }
  std::ranges::sort(found);
  REQUIRE_FALSE(found.empty());
  return found;
}

// The rooms that each room may look into, itself included (docs/decisions and the README draw it).
const std::map<std::string, std::set<std::string>> may_use = [] {
  const std::set<std::string> base{"base"};
  const std::set<std::string> json{"base", "json"};
  const auto with = [](std::set<std::string> rooms, std::initializer_list<std::string> more) {
    rooms.insert(more);
    return rooms;
  };
  std::map<std::string, std::set<std::string>> rooms;
  rooms["base"] = base;
  rooms["json"] = json;
  for (const char* leaf : {"settings", "openai", "fal", "media", "keys"})
    rooms[leaf] = with(json, {leaf});
  rooms["openai"].insert("media");  // an upload's kind is told from its bytes
  rooms["schema"] = with(json, {"fal", "schema"});
  rooms["catalog"] = with(json, {"fal", "schema", "settings", "catalog"});
  rooms["translate"] = with(json, {"fal", "schema", "openai", "media", "settings", "translate"});
  rooms["gateway"] = with(json, {"settings", "openai", "fal", "media", "keys", "schema", "catalog",
                                 "translate", "gateway"});
  return rooms;
}();

// The room whose front door a public header is.
std::string room_of_header(const std::string& name) {
  static const std::map<std::string, std::string> rooms{{"json", "json"},
                                                        {"settings", "settings"},
                                                        {"openai", "openai"},
                                                        {"fal", "fal"},
                                                        {"media", "media"},
                                                        {"key_ring", "keys"},
                                                        {"schema", "schema"},
                                                        {"catalog", "catalog"},
                                                        {"translate", "translate"},
                                                        {"gateway", "gateway"},
                                                        {"falproxy", "everything"},
                                                        {"http_transport", "http"},
                                                        {"openssl_codecs", "http"},
                                                        {"socket_waiter", "http"},
                                                        {"system_clock", "http"},
                                                        {"thread_executor", "http"},
                                                        {"png_masks", "png"}};
  const auto found = rooms.find(name);
  return found == rooms.end() ? "base" : found->second;
}

std::string room_of_include(const std::string& included) {
  const std::size_t slash = included.find('/');
  const std::string folder = included.substr(0, slash);
  if (folder != "falproxy") return folder;
  return room_of_header(fs::path(included).stem().string());
}

std::vector<std::string> own_includes(const std::string& text) {
  std::vector<std::string> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("#include \"")) continue;
    const std::size_t begin = line.find('"') + 1;
    found.push_back(line.substr(begin, line.find('"', begin) - begin));
  }
  return found;
}

}  // namespace

TEST_CASE("no room looks into a room above it") {
  for (const auto& folder : fs::directory_iterator(library / "src")) {
    const auto rule = may_use.find(folder.path().filename().string());
    CAPTURE(folder.path().string());
    REQUIRE(rule != may_use.end());
    for (const fs::path& path : sources_under(folder.path())) {
      for (const std::string& included : own_includes(read(path))) {
        CAPTURE(path.string());
        CAPTURE(included);
        CHECK(rule->second.contains(room_of_include(included)));
      }
    }
  }
}

TEST_CASE("no public header looks into a room above its own") {
  for (const fs::path& path : sources_under(library / "include")) {
    const std::string room = room_of_header(path.stem().string());
    const auto allowed = may_use.find(room);
    if (allowed == may_use.end()) continue;  // the umbrella, http and png
    for (const std::string& included : own_includes(read(path))) {
      CAPTURE(path.string());
      CAPTURE(included);
      CHECK(allowed->second.contains(room_of_include(included)));
    }
  }
}

TEST_CASE("the pure library knows no socket, clock, environment, stream of its own or thread") {
  const std::vector<std::string> outside{
      "httplib.h",         "openssl/",           "getenv",        "system_clock::now",
      "steady_clock::now", "std::cerr",          "std::cout",     "std::thread",
      "std::jthread",      "this_thread::sleep", "std::ofstream", "std::ifstream"};
  std::vector<fs::path> files = sources_under(library / "src");
  std::ranges::copy(sources_under(library / "include"), std::back_inserter(files));
  for (const fs::path& path : files) {
    const std::string text = without_comment_lines(read(path));
    for (const std::string& word : outside) {
      CAPTURE(path.string());
      CAPTURE(word);
      CHECK(text.find(word) == std::string::npos);
    }
  }
}

TEST_CASE("no public header shows which JSON, HTTP or TLS library is behind it") {
  for (const fs::path& path : sources_under(library / "include")) {
    for (const std::string& included :
         {std::string("<nlohmann"), std::string("<httplib"), std::string("<openssl"),
          std::string("<fmt"), std::string("<png.h")}) {
      CAPTURE(path.string());
      CAPTURE(included);
      CHECK(read(path).find("#include " + included) == std::string::npos);
    }
  }
}

TEST_CASE("no file names a path outside the repository but ../shared") {
  const fs::path top = FALPROXY_SOURCE_DIR;
  for (const char* folder :
       {"libfalproxy", "apps", "examples", "tests", "cmake", "docs", "deploy"}) {
    for (const fs::path& path : sources_under(top / folder)) {
      if (path.string().find("node_modules") != std::string::npos) continue;
      // Spelled in two halves, so that this file does not hold what it looks for.
      for (const std::string& word : {std::string("/wo") + "rk/", std::string("/ro") + "ot/"}) {
        CAPTURE(path.string());
        CAPTURE(word);
        CHECK(read(path).find(word) == std::string::npos);
      }
    }
  }
}
