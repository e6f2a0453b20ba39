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
  for (const char* leaf : {"fal", "media", "money"}) rooms[leaf] = with(json, {leaf});
  rooms["keys"] = with(json, {"money", "state", "keys"});
  for (const char* leaf : {"settings", "state"}) rooms[leaf] = with(json, {"money", leaf});
  rooms["wish"] = with(json, {"media", "wish"});
  rooms["schema"] = with(json, {"fal", "schema"});
  rooms["profile"] = with(json, {"media", "schema", "profile"});
  rooms["catalog"] = with(json, {"fal", "schema", "profile", "settings", "catalog"});
  rooms["plan"] =
      with(json, {"money", "fal", "schema", "profile", "wish", "media", "settings", "plan"});
  rooms["spending"] = with(json, {"money", "settings", "state", "spending"});
  rooms["runs"] = with(json, {"money", "spending", "settings", "fal", "media", "keys", "schema",
                              "profile", "catalog", "wish", "plan", "state", "runs"});
  // What is asked and what is answered, and nothing of how it is made.
  rooms["surfaces"] = with(json, {"media", "money", "wish", "runs", "surfaces"});
  return rooms;
}();

// The room whose front door a public header is.
std::string room_of_header(const std::string& name) {
  static const std::map<std::string, std::string> rooms{{"json", "json"},
                                                        {"settings", "settings"},
                                                        {"openai", "surfaces"},
                                                        {"openai_audio", "surfaces"},
                                                        {"openai_chat", "surfaces"},
                                                        {"openai_responses", "surfaces"},
                                                        {"chat_router", "surfaces"},
                                                        {"openrouter", "surfaces"},
                                                        {"openai_videos", "surfaces"},
                                                        {"fal", "fal"},
                                                        {"media", "media"},
                                                        {"wav", "media"},
                                                        {"money", "money"},
                                                        {"purse", "spending"},
                                                        {"budgets", "spending"},
                                                        {"spending_store", "state"},
                                                        {"media_index", "state"},
                                                        {"key_ring", "keys"},
                                                        {"schema", "schema"},
                                                        {"catalog", "catalog"},
                                                        {"profile", "profile"},
                                                        {"wish", "wish"},
                                                        {"plan", "plan"},
                                                        {"observer", "runs"},
                                                        {"runner", "runs"},
                                                        {"run_status", "runs"},
                                                        {"product", "runs"},
                                                        {"state_store", "state"},
                                                        {"memory_store", "state"},
                                                        {"sqlite_store", "sqlite"},
                                                        {"peers", "state"},
                                                        {"redis_store", "redis"},
                                                        {"options", "runs"},
                                                        {"client", "http"},
                                                        {"falproxy", "everything"},
                                                        {"http_transport", "http"},
                                                        {"openssl_codecs", "http"},
                                                        {"socket_waiter", "http"},
                                                        {"system_clock", "http"},
                                                        {"thread_executor", "http"},
                                                        {"png_masks", "png"},
                                                        {"fal_desk", "testing"},
                                                        {"fal_faults", "testing"},
                                                        {"falsim_process", "testing"},
                                                        {"picture_encoder", "testing"},
                                                        {"recorded", "testing"},
                                                        {"test_doubles", "testing"},
                                                        {"test_mapping", "testing"}};
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

TEST_CASE("the desk of falproxy::testing looks into public headers of the library alone") {
  for (const fs::path& path : sources_under(library / "testing")) {
    if (path.extension() == ".json") continue;
    for (const std::string& included : own_includes(read(path))) {
      CAPTURE(path.string());
      CAPTURE(included);
      CHECK((included.starts_with("falproxy/") || fs::exists(library / "testing" / included)));
    }
  }
}

TEST_CASE("the pure library knows no socket, clock, environment, stream of its own or thread") {
  const std::vector<std::string> outside{
      "httplib.h",          "openssl/",      "sqlite3.h",    "getenv",      "system_clock::now",
      "steady_clock::now",  "std::cerr",     "std::cout",    "std::thread", "std::jthread",
      "this_thread::sleep", "std::ofstream", "std::ifstream"};
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

TEST_CASE("no part of the library switches stacks, which musl has no function for") {
  const std::vector<std::string> words{"ucontext", "swapcontext", "makecontext", "getcontext"};
  for (const fs::path& path : sources_under(library)) {
    const std::string text = read(path);
    for (const std::string& word : words) {
      CAPTURE(path.string());
      CAPTURE(word);
      CHECK(text.find(word) == std::string::npos);
    }
  }
}

TEST_CASE(
    "no public header shows which JSON, HTTP, TLS or SQL library is behind it, but for fmt's own") {
  for (const fs::path& path : sources_under(library / "include")) {
    if (path.filename() == "format.hpp") continue;
    for (const std::string& included :
         {std::string("<nlohmann"), std::string("<httplib"), std::string("<openssl"),
          std::string("<fmt"), std::string("<png.h"), std::string("<sqlite3"),
          std::string("<hiredis")}) {
      CAPTURE(path.string());
      CAPTURE(included);
      CHECK(read(path).find("#include " + included) == std::string::npos);
    }
  }
}

// Of apps/falproxy: a header, or a folder of them, and what may include it besides the file of its
// own name. What does not stand here is for all above serving/.
const std::map<std::string, std::set<std::string>> included_by{
    {"door.hpp", {"routes", "handlers", "service", "later", "relay", "file_answer", "passage"}},
    {"file_answer.hpp", {"handlers"}},
    {"later.hpp", {"handlers", "callbacks"}},
    {"relay.hpp", {"handlers"}},
    {"passage.hpp", {"handlers"}},
    {"feed.hpp", {"handlers"}},
    {"handlers", {"routes", "handlers"}},
    {"routes.hpp", {"service"}},
    {"service.hpp", {"commands"}},
    {"commands", {"commands", "main"}},
};

TEST_CASE("the programs keep to their directions") {
  const fs::path apps = fs::path(FALPROXY_SOURCE_DIR) / "apps";
  const auto folder_of = [](const std::string& included) {
    return included.substr(0, included.find('/'));
  };
  for (const fs::path& path : sources_under(apps / "serving")) {
    for (const std::string& included : own_includes(read(path))) {
      CAPTURE(path.string());
      CAPTURE(included);
      const std::string folder = folder_of(included);
      CHECK((folder == "serving" || folder == "falproxy" || folder == "base"));
    }
  }
  for (const fs::path& path : sources_under(apps / "falproxy")) {
    const std::string within = fs::relative(path, apps / "falproxy").generic_string();
    const std::string room = folder_of(within) == within ? path.stem().string() : folder_of(within);
    for (const std::string& included : own_includes(read(path))) {
      CAPTURE(within);
      CAPTURE(included);
      const auto rule = included_by.find(folder_of(included));
      if (rule == included_by.end()) continue;
      CHECK((rule->second.contains(room) || room == fs::path(included).stem().string()));
    }
  }
}

TEST_CASE("the programs use the library by its front doors, and the small things of base") {
  const std::set<std::string> inner = {"json",     "settings", "media", "schema", "fal",
                                       "keys",     "catalog",  "wish",  "plan",   "profile",
                                       "surfaces", "runs",     "state"};
  for (const char* program : {"serving", "falproxy", "falsim"}) {
    for (const fs::path& path : sources_under(fs::path(FALPROXY_SOURCE_DIR) / "apps" / program)) {
      // `check` asks with a key as the runner does, and must think of the answer as it does.
      if (path.filename() == "key_test.cpp") continue;
      for (const std::string& included : own_includes(read(path))) {
        CAPTURE(path.string());
        CAPTURE(included);
        CHECK_FALSE(inner.contains(included.substr(0, included.find('/'))));
      }
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

TEST_CASE("an older CMake can read the presets, and so says which version it takes") {
  const std::string presets = read(fs::path(FALPROXY_SOURCE_DIR) / "CMakePresets.json");
  CHECK(presets.find("\"version\": 3,") != std::string::npos);  // what CMake 3.21 reads
  CHECK(presets.find("cmakeMinimumRequired") == std::string::npos);
}
