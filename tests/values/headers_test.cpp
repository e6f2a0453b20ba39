// Walks the public headers, so that a new value is compared and printed as docs/public-api.md says.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

namespace headers {

// What is set and given, and never handed back.
const std::regex parameters(R"((.*::)?\w*(Options|Limits|Parts))");
const std::map<std::string, std::string> no_values{
    {"CallContext", "pointers and functions"},
    {"LaterRun", "functions"},
    {"KeyRing::Need", "a view of what the caller holds"},
    {"FalDesk::Names", "set once, by who puts a desk on sockets"},
    {"Script", "written by a test, and handed to a ScriptedTransport"},
    {"Script::Chunk", "a part of it"},
};
const std::map<std::string, std::string> not_compared{
    {"Profile", "two documents that say the same may be written differently"},
    {"ModelSchema", "the same"},
    {"Field", "the same"},
    {"Outcome", "it holds a function"},
};
const std::map<std::string, std::string> not_printed{
    {"AccessKey", "a key"},          {"KeyRules", "of a key"},      {"Proxy", "a password"},
    {"Settings", "all keys"},        {"EnvEntry", "perhaps a key"}, {"EnvFile", "the same"},
    {"TidyEnvironment", "the same"},
};

struct Type {
  bool is_enum = false;
  std::string name;    // within its class: "Outer::Inner"
  std::string header;  // its text, without comments
  std::string body;
  [[nodiscard]] std::string own_name() const { return name.substr(name.rfind(':') + 1); }
};

std::string text_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return std::regex_replace(text, std::regex("//[^\n]*"), "");
}

std::string body_at(const std::string& text, std::size_t begin) {
  std::size_t end = begin;
  for (int depth = 1; depth > 0; ++end)
    depth += text.at(end) == '{' ? 1 : text.at(end) == '}' ? -1 : 0;
  return text.substr(begin, end - begin);
}

// What is defined in `text`, which is a header or the body of a class; `within` is that class.
void walk(const std::string& header, const std::string& text, const std::string& within,
          std::vector<Type>& found) {
  static const std::regex type(R"((struct|class|enum class) (\w+)[^;{}()]*\{)");
  for (std::smatch match; std::regex_search(text.begin(), text.end(), match, type);) {
    const auto at = static_cast<std::size_t>(match.position());
    const std::string body = body_at(text, at + static_cast<std::size_t>(match.length()));
    const std::string name = within + match[2].str();
    const std::string kind = match[1].str();
    if (text.substr(0, at).find(" private:") != std::string::npos) return;
    if (kind != "class") found.push_back({kind == "enum class", name, header, body});
    if (kind != "enum class") walk(header, body, name + "::", found);
    return walk(header, text.substr(at + static_cast<std::size_t>(match.length()) + body.size()),
                within, found);
  }
}

std::vector<std::filesystem::path> paths() {
  const std::filesystem::path top = FALPROXY_SOURCE_DIR;
  std::vector<std::filesystem::path> found;
  for (const auto& entry :
       std::filesystem::directory_iterator(top / "libfalproxy" / "include" / "falproxy")) {
    const std::string header = entry.path().filename().string();
    // The one is for the server alone, the other for fmt.
    if (header != "redis_store.hpp" && header != "format.hpp") found.push_back(entry.path());
  }
  return found;
}

const std::vector<Type>& types() {
  static const std::vector<Type> all = [] {
    std::vector<Type> found;
    for (const std::filesystem::path& path : paths()) {
      const std::string text = text_of(path);
      walk(text, text, "", found);
    }
    return found;
  }();
  return all;
}

bool contains(const std::string& text, const std::string& pattern) {
  return std::regex_search(text, std::regex(pattern));
}

bool is_compared(const Type& type) {
  return contains(type.body, R"(operator(==|<=>)\(const )" + type.own_name() + "&");
}

// A friend is none: what a class alone declares is hidden in a shared library.
bool is_printed(const Type& type) {
  return contains(type.header, R"(\nstd::ostream& operator<<\(std::ostream& \w+,\s+(const )?()" +
                                   type.name + "|" + type.own_name() + R"()&? \w+\))");
}

}  // namespace headers

}  // namespace

TEST_CASE("each public value has == and <<, but for those that a list names with a reason") {
  std::set<std::string> seen;
  for (const headers::Type& type : headers::types()) {
    CAPTURE(type.name);
    seen.insert(type.name);
    if (type.is_enum || headers::no_values.contains(type.name)) continue;
    const bool is_parameter = std::regex_match(type.name, headers::parameters);
    CHECK(
        (headers::is_compared(type) != headers::not_compared.contains(type.name) || is_parameter));
    CHECK((headers::is_printed(type) != headers::not_printed.contains(type.name) || is_parameter));
  }
  CHECK(seen.size() > 200);
  for (const auto& list : {headers::no_values, headers::not_compared, headers::not_printed}) {
    for (const auto& unlike : list) {
      CAPTURE(unlike.first);
      CHECK(seen.contains(unlike.first));
    }
  }
}

TEST_CASE("each public enum has a name, and each value and enum is printed by a test") {
  const std::string tests =
      headers::text_of(std::filesystem::path(FALPROXY_SOURCE_DIR) / "tests/values/print_test.cpp");
  for (const headers::Type& type : headers::types()) {
    CAPTURE(type.name);
    if (type.is_enum) {
      CHECK(headers::contains(type.header, R"(name_of\()" + type.name + R"( \w+\))"));
      CHECK(headers::contains(tests, R"(check_names\((\w+::)*)" + type.name + "::"));
    } else if (headers::is_printed(type)) {
      CHECK(headers::contains(tests, R"(\b)" + type.name + R"(\b)"));
    }
  }
}

TEST_CASE("what a class befriends is declared beside it, since a shared library hides the rest") {
  const std::regex befriended(R"(friend (std::ostream& operator<<\([^;]*;))");
  int seen = 0;
  for (const std::filesystem::path& path : headers::paths()) {
    const std::string text = headers::text_of(path);
    for (std::sregex_iterator one(text.begin(), text.end(), befriended), end; one != end; ++one) {
      CAPTURE(path.string());
      const std::string declaration = one->str(1);
      CAPTURE(declaration);
      CHECK(text.find('\n' + declaration) != std::string::npos);
      ++seen;
    }
  }
  CHECK(seen > 0);
}
