#include "support/payload_checker.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "documents.hpp"

using nlohmann::json;
using payload_checker::check_payload;

namespace {

json document() {
  return json::parse(documents::with_input(
      R"({"type": "object", "required": ["prompt"], "properties": {
      "prompt": {"type": "string", "minLength": 1, "maxLength": 5, "pattern": "^[^!]*$"},
      "image_size": {"anyOf": [{"$ref": "#/components/schemas/ImageSize"}, {"type": "string", "enum": ["square", "tall"]}]},
      "num_images": {"type": "integer", "minimum": 1, "maximum": 4},
      "guidance": {"anyOf": [{"type": "number", "multipleOf": 0.1}, {"type": "null"}]},
      "strength": {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "exclusiveMaximum": true},
      "urls": {"type": "array", "minItems": 1, "maxItems": 2, "uniqueItems": true, "items": {"type": "string"}},
      "both": {"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}}, {"properties": {"b": {"const": 2}}}]},
      "closed": {"type": "object", "additionalProperties": false},
      "one": {"oneOf": [{"type": "integer"}, {"type": "number"}]},
      "gone": {"$ref": "#/components/schemas/Gone"},
      "maybe": {"type": "string", "nullable": true}}})",
      R"({"ImageSize": {"type": "object", "required": ["width"], "properties": {
      "width": {"type": "integer", "exclusiveMinimum": 0}, "height": {"type": "integer"}}}})"));
}

}  // namespace

TEST_CASE("the checker of payloads lets valid ones pass") {
  for (
      const std::string payload :
      {R"({"prompt": "a"})",
       R"({"prompt": "日本語日本", "image_size": {"width": 5, "height": 5}, "num_images": 4})",
       R"({"prompt": "a", "image_size": "tall", "guidance": 0.3, "strength": 0.5, "urls": ["a", "b"], "maybe": null})",
       R"({"prompt": "a", "guidance": null, "both": {"a": 1, "b": 2}, "closed": {}, "one": 2.5, "gone": [1, "x"]})"}) {
    CAPTURE(payload);
    const auto report = check_payload(document(), json::parse(payload));
    CHECK(report.clean());
    CHECK(report.text() == "");
  }
}

TEST_CASE("the checker of payloads finds every kind of fault") {
  for (const std::string payload : {R"([])",
                                    R"({})",
                                    R"({"prompt": null})",
                                    R"({"prompt": 1})",
                                    R"({"prompt": ""})",
                                    R"({"prompt": "123456"})",
                                    R"({"prompt": "!"})",
                                    R"({"prompt": "a", "image_size": "wide"})",
                                    R"({"prompt": "a", "image_size": {"height": 5}})",
                                    R"({"prompt": "a", "image_size": {"width": 0}})",
                                    R"({"prompt": "a", "image_size": null})",
                                    R"({"prompt": "a", "num_images": 5})",
                                    R"({"prompt": "a", "num_images": 0})",
                                    R"({"prompt": "a", "num_images": 1.5})",
                                    R"({"prompt": "a", "num_images": "1"})",
                                    R"({"prompt": "a", "num_images": true})",
                                    R"({"prompt": "a", "guidance": 0.35})",
                                    R"({"prompt": "a", "guidance": "x"})",
                                    R"({"prompt": "a", "strength": 0})",
                                    R"({"prompt": "a", "strength": 1})",
                                    R"({"prompt": "a", "urls": []})",
                                    R"({"prompt": "a", "urls": ["a", "b", "c"]})",
                                    R"({"prompt": "a", "urls": ["a", "a"]})",
                                    R"({"prompt": "a", "urls": [1]})",
                                    R"({"prompt": "a", "both": {"b": 3}})",
                                    R"({"prompt": "a", "both": {"a": "x"}})",
                                    R"({"prompt": "a", "closed": {"x": 1}})",
                                    R"({"prompt": "a", "one": 2})",
                                    R"({"prompt": "a", "one": "2"})"}) {
    CAPTURE(payload);
    CHECK_FALSE(check_payload(document(), json::parse(payload)).valid());
  }
}

TEST_CASE("the checker of payloads names members that no schema has") {
  const auto report = check_payload(
      document(),
      json::parse(
          R"({"prompt": "a", "size": 1, "image_size": {"width": 1, "depth": 2}, "both": {"a": 1, "c": 1}})"));
  CHECK(report.valid());
  CHECK_FALSE(report.clean());
  CHECK(report.unknown ==
        std::vector<std::string>{"payload.both.c: is not in the document",
                                 "payload.image_size.depth: is not in the document",
                                 "payload.size: is not in the document"});
  const auto missing = check_payload(document(), json::parse(R"({"image_size": {}})"));
  CHECK(missing.text().find("payload.prompt: is missing") != std::string::npos);
}
