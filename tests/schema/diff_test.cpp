#include <doctest/doctest.h>
#include <fmt/ranges.h>

#include <string>
#include <vector>

#include "documents.hpp"
#include "falproxy/schema.hpp"

using Lines = std::vector<std::string>;

namespace {

Lines changes(std::string_view before, std::string_view after) {
  const auto model = [](std::string_view properties) {
    return documents::analyzed(documents::with_input(
        fmt::format(R"({{"type": "object", "properties": {}}})", properties)));
  };
  return falproxy::schema::diff(model(before), model(after));
}

}  // namespace

TEST_CASE("documents that mean the same differ in nothing") {
  CHECK(
      changes(
          R"({"a": {"type": "string", "description": "x", "title": "A", "examples": ["1"]}, "b": {"type": "integer"}})",
          R"({"b": {"type": "integer"}, "a": {"type": "string", "description": "y"}})") == Lines{});
  CHECK(changes(R"({"a": {"anyOf": [{"type": "string"}, {"enum": [1]}]}})",
                R"({"a": {"anyOf": [{"enum": [1]}, {"type": "string"}]}})") == Lines{});
}

TEST_CASE("each change is one line that a person can read") {
  struct Case {
    std::string before, after;
    Lines lines;
  };
  const Case cases[] = {
      {"{}", R"({"seed": {"type": "integer"}})", {"added input 'seed' (integer)"}},
      {R"({"seed": {"type": "integer"}})", "{}", {"removed input 'seed' (integer)"}},
      {"{}",
       R"({"loras": {"type": "array", "items": {"type": "object", "properties": {"path": {"type": "string"}}}}})",
       {"added input 'loras' (array)"}},
      {R"({"loras": {"items": {"properties": {"path": {}}}}})",
       R"({"loras": {"items": {"properties": {"path": {}, "scale": {"type": "number"}}}}})",
       {"added input 'loras[].scale' (number)"}},
      {R"({"a": {"type": "integer"}})",
       R"({"a": {"type": "number"}})",
       {"'a': integer became number"}},
      {R"({"a": {}})", R"({"a": {"required": true}})", {"'a': now required"}},
      {R"({"a": {"type": "string"}})",
       R"({"a": {"type": "string", "nullable": true}})",
       {"'a': null now allowed"}},
      {R"({"style": {"enum": ["a", "b"]}})",
       R"({"style": {"enum": ["b", "c", "d"]}})",
       {"'style': 'c', 'd' now allowed", "'style': 'a' no longer allowed"}},
      {R"({"a": {"type": "string"}})",
       R"({"a": {"type": "string", "enum": ["x"]}})",
       {"'a': now one of 'x'"}},
      {R"({"a": {"type": "string", "enum": ["x"]}})",
       R"({"a": {"type": "string"}})",
       {"'a': no longer restricted to a list"}},
      {R"({"n": {"maximum": 4, "default": 1}})",
       R"({"n": {"maximum": 8, "minimum": 1}})",
       {"'n': default 1 is gone", "'n': maximum 4 became 8", "'n': now has minimum 1"}},
      {R"({"size": {"x-fal": {"max_width": 2048}}})",
       R"({"size": {"x-fal": {"max_width": 4096}}})",
       {"'size': greatest width 2048 became 4096"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.before);
    CAPTURE(c.after);
    CHECK(fmt::format("{}", fmt::join(changes(c.before, c.after), "; ")) ==
          fmt::format("{}", fmt::join(c.lines, "; ")));
  }
}

TEST_CASE("a result that changes its shape is told") {
  const auto model = [](const char* output) {
    return documents::analyzed(documents::of(
        "some/model",
        {{"Input", nlohmann::json::object()}, {"Output", nlohmann::json::parse(output)}}));
  };
  const auto lines =
      falproxy::schema::diff(model(R"({"properties": {"images": {"type": "array"}}})"),
                             model(R"({"properties": {"image": {"type": "object"}}})"));
  CHECK(lines == Lines{"the result no longer has 'images'", "the result now has 'image'"});
}
