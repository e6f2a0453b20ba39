#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "documents.hpp"
#include "falproxy/schema.hpp"

using falproxy::ErrorKind;
using falproxy::Json;
using falproxy::schema::analyze;
using falproxy::schema::Field;
using Names = std::vector<std::string>;

TEST_CASE("the input is what the POST's body refers to, whatever other schemas are called") {
  const auto model =
      documents::analyzed(documents::of("fal-ai/lora-like", nlohmann::json::parse(R"({
    "Input": {"type": "object", "required": ["prompt"], "properties": {
      "prompt": {"type": "string"}, "loras": {"type": "array", "items": {"$ref": "#/components/schemas/LoraInput"}}}},
    "LoraInput": {"type": "object", "properties": {"path": {"type": "string"}}},
    "ModelInput": {"type": "object", "properties": {"wrong": {"type": "string"}}},
    "Output": {"type": "object", "properties": {"images": {"type": "array"}}}})")));
  CHECK(model.endpoint == "fal-ai/lora-like");
  CHECK(model.category == "text-to-image");
  CHECK(documents::names(model.inputs) == Names{"prompt", "loras"});
  REQUIRE(model.input("loras")->items != nullptr);
  CHECK(documents::names(model.input("loras")->items->properties) == Names{"path"});
  CHECK(model.input("wrong") == nullptr);
}

TEST_CASE("inputs stand in fal's display order, then required ones, then by name") {
  const auto model = documents::analyzed(documents::with_input(R"({"type": "object",
    "x-fal-order-properties": ["prompt", "gone", "size"], "required": ["b", "prompt"],
    "properties": {"a": {}, "b": {}, "size": {}, "prompt": {}, "c": {}}})"));
  CHECK(documents::names(model.inputs) == Names{"prompt", "size", "b", "a", "c"});
  CHECK(model.input("b")->required);
  CHECK_FALSE(model.input("size")->required);
}

TEST_CASE("fal's display order is that of all parts of an allOf together") {
  const auto model = documents::analyzed(documents::with_input(
      R"({"x-fal-order-properties": ["d", "b", "a"], "allOf": [{"properties": {"a": {}, "b": {}}}, {"properties": {"c": {}, "d": {}}}]})"));
  CHECK(documents::names(model.inputs) == Names{"d", "b", "a", "c"});
}

TEST_CASE("every keyword of a property is read") {
  const Field field = documents::field(
      R"({"type": "number", "title": "Guidance", "description": "\n    How close.\n    Really. ",
    "minimum": 1, "maximum": 20, "multipleOf": 0.5, "default": 3.5, "examples": [4, 5], "deprecated": true, "step": 0.1})");
  CHECK(field.types.number);
  CHECK_FALSE(field.types.string);
  CHECK(field.title == "Guidance");
  CHECK(field.description == "How close. Really.");
  CHECK(field.minimum == 1.0);
  CHECK(field.maximum == 20.0);
  CHECK(field.multiple_of == 0.5);
  CHECK(field.step == 0.1);
  CHECK(field.default_value == Json::number(3.5));
  CHECK(documents::texts(field.examples) == Names{"4", "5"});
  CHECK(field.deprecated);

  const Field text = documents::field(
      R"({"type": "string", "minLength": 1, "maxLength": 1000, "pattern": "^a", "format": "uri", "example": "ab"})");
  CHECK(text.min_length == 1u);
  CHECK(text.max_length == 1000u);
  CHECK(text.pattern == "^a");
  CHECK(text.format == "uri");
  CHECK(documents::texts(text.examples) == Names{"\"ab\""});

  const Field list = documents::field(
      R"({"type": "array", "minItems": 1, "maxItems": 4, "uniqueItems": true, "items": {"type": "string"}})");
  CHECK(list.min_items == 1u);
  CHECK(list.max_items == 4u);
  CHECK(list.unique_items);
  CHECK(list.items->types.string);

  const Field object = documents::field(
      R"({"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": false})");
  CHECK(object.closed);
  CHECK(object.property("a")->types.integer);
  CHECK(object.property("b") == nullptr);
  CHECK(documents::field(R"({"type": "object", "additionalProperties": {"type": "number"}})")
            .additional->types.number);
}

TEST_CASE(
    "a bound is exclusive by a flag or by its own number, and pydantic's words for bounds count") {
  struct Case {
    const char* schema;
    std::optional<double> minimum, maximum, exclusive_minimum, exclusive_maximum;
  };
  const Case cases[] = {
      {R"({"type": "integer", "exclusiveMinimum": 0, "maximum": 14142})", {}, 14142, 0, {}},
      {R"({"type": "integer", "minimum": 0, "exclusiveMinimum": true, "maximum": 5, "exclusiveMaximum": false})",
       {},
       5,
       0,
       {}},
      {R"({"type": "integer", "minimum": 1, "maximum": 5, "exclusiveMaximum": true})",
       1,
       {},
       {},
       5},
      {R"({"anyOf": [{"type": "integer"}, {"type": "null"}], "ge": 3, "le": 5})", 3, 5, {}, {}},
      {R"({"type": "number", "gt": 0, "lt": 1})", {}, {}, 0, 1},
      {R"({"type": "number", "minimum": "1", "maximum": null})", {}, {}, {}, {}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.schema);
    const Field field = documents::field(c.schema);
    CHECK(field.minimum == c.minimum);
    CHECK(field.maximum == c.maximum);
    CHECK(field.exclusive_minimum == c.exclusive_minimum);
    CHECK(field.exclusive_maximum == c.exclusive_maximum);
  }
}

TEST_CASE("null is told by nullable, however the document says it") {
  for (const char* schema :
       {R"({"type": "string", "nullable": true})",
        R"({"anyOf": [{"type": "string"}, {"type": "null"}]})",
        R"({"anyOf": [{"type": "null"}, {"type": "string"}]})", R"({"type": ["string", "null"]})",
        R"({"oneOf": [{"type": "string"}, {"enum": [null]}]})",
        R"({"nullable": true, "allOf": [{"type": "string"}]})"}) {
    CAPTURE(schema);
    const Field field = documents::field(schema);
    CHECK(field.nullable);
    CHECK(field.types.string);
    CHECK(field.allowed.empty());
    CHECK(field.branches.empty());
  }
  CHECK_FALSE(documents::field(R"({"type": "string", "nullable": false})").nullable);
  const Field list = documents::field(R"({"enum": ["a", null]})");
  CHECK(list.nullable);
  CHECK(documents::texts(list.allowed) == Names{"\"a\""});
  CHECK(documents::field(R"({"type": "string", "default": null})").default_value == Json());
  // As it is written: the type beside the list takes no null.
  for (const char* text :
       {R"({"type": "string", "enum": ["a", null]})", R"({"type": "string", "const": null})"}) {
    const Field field = documents::field(text);
    CHECK_FALSE(field.nullable);
    CHECK(check(field, Json(), "x").has_value());
  }
  CHECK_FALSE(documents::field(R"({"type": "string"})").default_value.has_value());
}

TEST_CASE("an enum or object keeps its branches, and the field knows all their types") {
  const Field field = documents::field(
      R"({"title": "Image Size", "default": "square", "description": "The size.",
          "anyOf": [{"$ref": "#/components/schemas/ImageSize"}, {"type": "string", "enum": ["square", "landscape"]}, {"type": "null"}]})",
      R"({"ImageSize": {"title": "ImageSize", "type": "object", "properties": {
          "width": {"type": "integer", "exclusiveMinimum": 0, "maximum": 14142, "default": 512},
          "height": {"type": "integer", "exclusiveMinimum": 0, "maximum": 14142, "default": 512}}}})");
  CHECK(field.title == "Image Size");
  CHECK(field.nullable);
  CHECK(field.types.object);
  CHECK(field.types.string);
  REQUIRE(field.branches.size() == 2);
  CHECK(field.branches[0].property("width")->maximum == 14142.0);
  CHECK(documents::texts(field.branches[1].allowed) == Names{"\"square\"", "\"landscape\""});
  CHECK(documents::texts(falproxy::schema::choices(field)) == Names{"\"square\"", "\"landscape\""});
}

TEST_CASE("allOf narrows, and the words around a reference win over its own") {
  const Field field = documents::field(
      R"({"title": "Mine", "default": 7, "maximum": 50, "allOf": [{"$ref": "#/components/schemas/Steps"}, {"minimum": 2, "multipleOf": 2}]})",
      R"({"Steps": {"title": "Steps", "description": "How many.", "type": "integer", "minimum": 1, "maximum": 100}})");
  CHECK(field.title == "Mine");
  CHECK(field.description == "How many.");
  CHECK(field.types.integer);
  CHECK(field.minimum == 2.0);
  CHECK(field.maximum == 50.0);
  CHECK(field.multiple_of == 2.0);
  CHECK(field.default_value == Json::integer(7));

  const Field object = documents::field(R"({"allOf": [
    {"type": "object", "required": ["a"], "properties": {"a": {"type": "number", "maximum": 5}, "b": {"type": "string"}}},
    {"type": "object", "required": ["b"], "properties": {"a": {"type": "integer"}, "b": {"enum": ["x"]}}}]})");
  REQUIRE(object.properties.size() == 2);
  CHECK(object.property("a")->types.integer);
  CHECK_FALSE(object.property("a")->types.number);
  CHECK(object.property("a")->maximum == 5.0);
  CHECK(object.property("a")->required);
  CHECK(object.property("b")->required);
  CHECK(object.property("b")->allowed.size() == 1);
}

TEST_CASE("of two sets of alternatives each pair is a branch") {
  const Field field = documents::field(R"({"allOf": [
    {"anyOf": [{"type": "integer"}, {"type": "string"}]}], "anyOf": [{"minimum": 5}, {"maxLength": 2}, {}]})");
  CHECK(field.branches.size() == 6);
  CHECK(field.types.integer);
}

TEST_CASE("const is a list of one") {
  const Field field =
      documents::field(R"({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1}]})");
  REQUIRE(field.branches.size() == 2);
  CHECK(documents::texts(field.branches[0].allowed) == Names{"\"auto\""});
  CHECK(field.branches[0].types.string);
}

TEST_CASE("fal's limits are read under x-fal, directly on the property, and on its items") {
  const Field size = documents::field(R"({"anyOf": [{"type": "object"}, {"type": "string"}],
    "x-fal": {"min_width": 256, "max_width": 3840, "multiple_of": 16, "min_area": 655360, "max_area": 8294400, "max_aspect_ratio": 3}})");
  CHECK(size.limits().min_width == 256.0);
  CHECK(size.limits().max_width == 3840.0);
  CHECK(size.limits().multiple_of == 16.0);
  CHECK(size.limits().min_area == 655360.0);
  CHECK(size.limits().max_area == 8294400.0);
  CHECK(size.limits().max_aspect_ratio == 3.0);
  const Field image = documents::field(
      R"({"type": "string", "max_file_size": 10485760, "min_height": 128, "max_pixels": 1000, "x-fal": {"timeout": 20}})");
  CHECK(image.limits().max_file_size == 10485760.0);
  CHECK(image.limits().min_height == 128.0);
  CHECK(image.limits().max_area == 1000.0);
  const Field images = documents::field(
      R"({"type": "array", "items": {"type": "string", "x-fal": {"min_width": 300}}})");
  CHECK(images.items->limits().min_width == 300.0);
}

TEST_CASE("references resolve through any pointer, escaped or percent-encoded") {
  const char* others =
      R"({"a/b~c d": {"type": "string"}, "Wrap": {"properties": {"inner": {"type": "integer"}}}})";
  CHECK(documents::field(R"({"$ref": "#/components/schemas/a~1b~0c%20d"})", others).types.string);
  CHECK(documents::field(R"({"$ref": "#/components/schemas/Wrap/properties/inner"})", others)
            .types.integer);
}

TEST_CASE("a reference that leads nowhere is any value") {
  for (const char* schema : {R"({"$ref": "#/components/schemas/TrackPoint"})",
                             R"({"$ref": "other.json#/X"})", R"({"$ref": "#nowhere"})"}) {
    CAPTURE(schema);
    CHECK_FALSE(documents::field(schema).types.any());
  }
  const Field list =
      documents::field(R"({"type": "array", "items": {"$ref": "#/components/schemas/Gone"}})");
  REQUIRE(list.items != nullptr);
  CHECK_FALSE(list.items->types.any());
}

TEST_CASE("a value within a value of its own kind is cut off at the second level") {
  const Field tree = documents::field(R"({"$ref": "#/components/schemas/Tree"})",
                                      R"({"Tree": {"type": "object", "properties": {
    "name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}}}})");
  REQUIRE(tree.property("children") != nullptr);
  REQUIRE(tree.property("children")->items != nullptr);
  CHECK_FALSE(tree.property("children")->items->types.any());
}

TEST_CASE("what the result holds is read from the GET of the request") {
  const auto outputs = [](const char* schema) {
    return documents::names(
        documents::analyzed(
            documents::of("some/model", {{"Input", nlohmann::json::object()},
                                         {"Output", nlohmann::json::parse(schema)}}))
            .outputs);
  };
  CHECK(outputs(R"({"type": "object", "properties": {"images": {"type": "array"}, "seed": {}}})") ==
        Names{"images", "seed"});
  CHECK(outputs(R"({"allOf": [{"properties": {"image": {"type": "object"}}}]})") == Names{"image"});
  CHECK(outputs("{}").empty());
  CHECK(outputs(R"({"$ref": "#/components/schemas/Output"})").empty());
}

TEST_CASE(
    "a body of several shapes has the properties of each, required where each requires them") {
  const auto model = documents::analyzed(documents::with_input(R"({"anyOf": [
    {"type": "object", "required": ["prompt", "a"], "properties": {"prompt": {"type": "string"}, "a": {}}},
    {"type": "object", "required": ["prompt", "b"], "properties": {"prompt": {"type": "string"}, "b": {}}}]})"));
  CHECK(documents::names(model.inputs) == Names{"a", "prompt", "b"});
  CHECK(model.input("prompt")->required);
  CHECK_FALSE(model.input("a")->required);
  CHECK_FALSE(model.input("b")->required);
}

TEST_CASE("Swagger 2 documents and drafts of JSON Schema are read for what they mean") {
  const auto model = documents::analyzed(R"({"swagger": "2.0", "paths": {"/a/b": {"post": {
    "parameters": [{"in": "header", "name": "x"}, {"in": "body", "schema": {"$ref": "#/definitions/In"}}],
    "responses": {"200": {"schema": {"type": "object"}}}}}},
    "definitions": {"In": {"type": "object", "properties": {"prompt": {"type": "string", "required": true}, "image": {"type": "file", "x-nullable": true}}}}})");
  CHECK(model.endpoint == "a/b");
  CHECK(model.input("prompt")->required);
  CHECK(model.input("image")->types.string);
  CHECK(model.input("image")->nullable);
}

TEST_CASE("the elements of a tuple are read where they are of one kind") {
  const auto model = documents::analyzed(documents::with_input(R"({"type": "object", "properties": {
    "old": {"type": "array", "items": [{"type": "integer"}, {"type": "integer"}]},
    "new": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "integer"}]},
    "mixed": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]}}})"));
  for (const char* name : {"old", "new"}) {
    CAPTURE(name);
    REQUIRE(model.input(name)->items != nullptr);
    CHECK(model.input(name)->items->types.integer);
  }
  CHECK(model.input("mixed")->items == nullptr);
}

TEST_CASE("the endpoint chooses the POST where there are several") {
  const char* document = R"({"paths": {
    "/a/one": {"post": {"requestBody": {"content": {"application/json": {"schema": {"properties": {"x": {}}}}}}}},
    "/a/two": {"post": {"requestBody": {"$ref": "#/components/requestBodies/B"}}}},
    "components": {"requestBodies": {"B": {"content": {"text/csv": {"schema": {}}, "application/json": {"schema": {"properties": {"y": {}}}}}}}}})";
  CHECK(documents::names(analyze(document, "a/one")->inputs) == Names{"x"});
  CHECK(documents::names(analyze(document, "a/two")->inputs) == Names{"y"});
  CHECK(analyze(document, "a/three").error().message ==
        "the document describes no POST to 'a/three'");
  CHECK(analyze(document).error().field == "/paths");

  std::string told(document);
  told.insert(1, R"("info": {"x-fal-metadata": {"endpointId": "a/two"}}, )");
  CHECK(analyze(told)->endpoint == "a/two");
  CHECK(analyze(told, "a/one")->endpoint == "a/one");
}

TEST_CASE("the sample picture that fal names is read, if it is a text") {
  const auto with = [](const std::string& metadata) {
    nlohmann::json document = nlohmann::json::parse(
        documents::with_input(R"({"type": "object", "properties": {"x": {}}})"));
    document["info"]["x-fal-metadata"] = nlohmann::json::parse(metadata);
    return documents::analyzed(document.dump()).thumbnail;
  };
  CHECK(with(R"({"thumbnailUrl": "https://v3.fal.media/a.webp"})") ==
        "https://v3.fal.media/a.webp");
  for (const char* none : {"{}", "7", R"({"thumbnailUrl": null})", R"({"thumbnailUrl": ["a"]})"}) {
    CAPTURE(none);
    CHECK(with(none).empty());
  }
}

TEST_CASE("a document that cannot be used is refused with the pointer to what is at fault") {
  const auto nested = [](std::size_t levels) {
    return std::string(levels, '[') + std::string(levels, ']');
  };
  const std::string body = "/paths/~1some~1model/post/requestBody/content/application~1json/schema";
  struct Case {
    const char* name;
    std::string document;
    std::string field;
    std::string_view message;
  };
  const Case cases[] = {
      {"not JSON", "<html>", "", "the document is not usable JSON"},
      {"cut off", R"({"openapi": "3.0.4", "paths": {)", "", "the document is not usable JSON"},
      {"not an object", "[]", "", "the document is not a JSON object"},
      {"50 MB", std::string(50u << 20, ' '), "",
       "the document has 52428800 bytes, more than 8388608"},
      {"10,000 deep", nested(10'000), "", "nested deeper than 64 levels"},
      {"no paths", "{}", "/paths", "the document has no 'paths'"},
      {"no POST", R"({"paths": {"/a/b": {"get": {}}}})", "/paths",
       "the document describes no POST"},
      {"POST without a body", R"({"paths": {"/a/b": {"post": {}}}})", "/paths/~1a~1b/post",
       "the POST describes no request body"},
      {"body without a schema",
       R"({"paths": {"/a/b": {"post": {"requestBody": {"content": {}}}}}})",
       "/paths/~1a~1b/post/requestBody", "the request body has no schema"},
      {"body that is nowhere", documents::of("some/model", {{"Output", nlohmann::json::object()}}),
       body, "leads nowhere"},
      {"body that is itself", documents::with_input(R"({"$ref": "#/components/schemas/Input"})"),
       body, "in a circle"},
      {"body that is all of itself",
       documents::with_input(R"({"allOf": [{"$ref": "#/components/schemas/Input"}]})"),
       "/components/schemas/Input/allOf/0/$ref", "defined by nothing but itself"},
      {"property that is itself",
       documents::with_input(
           R"({"properties": {"a": {"$ref": "#/components/schemas/A"}}})",
           R"({"A": {"$ref": "#/components/schemas/B"}, "B": {"anyOf": [{"$ref": "#/components/schemas/A"}, {}]}})"),
       "/components/schemas/B/anyOf/0/$ref", "defined by nothing but itself"},
      {"body that is a string", documents::with_input(R"({"type": "string"})"),
       "/components/schemas/Input", "the request body is not an object"},
      {"properties that are a list", documents::with_input(R"({"properties": []})"),
       "/components/schemas/Input/properties", "'properties' must be an object"},
      {"property that is a number", documents::with_input(R"({"properties": {"a/b": 5}})"),
       "/components/schemas/Input/properties/a~1b", "a schema must be an object"},
      {"reference that is a number", documents::with_input(R"({"properties": {"a": {"$ref": 5}}})"),
       "/components/schemas/Input/properties/a/$ref", "a reference must be a string"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const auto model = analyze(c.document);
    REQUIRE_FALSE(model.has_value());
    CHECK(model.error().kind == ErrorKind::invalid_document);
    CHECK(model.error().field == c.field);
    CAPTURE(model.error().message);
    CHECK(model.error().message.find(c.message) != std::string::npos);
  }
}

TEST_CASE("references that multiply what they lead to end at a limit") {
  struct Case {
    const char* name;
    nlohmann::json schemas;
    const char* message;
  };
  std::vector<Case> cases = {
      {"fourfold at every level", {}, "the schemas unfold to more than 16777216 bytes"},
      {"on and on", {}, "the schemas nest deeper than 32 levels"},
      {"one long text in many places", {}, "the schemas unfold to more than 16777216 bytes"},
      {"one long list in many places", {}, "the schemas unfold to more than 16777216 bytes"}};
  const auto refer = [](int i) {
    return nlohmann::json{{"$ref", fmt::format("#/components/schemas/L{}", i)}};
  };
  for (int i = 0; i < 12; ++i) {
    cases[0].schemas[fmt::format("L{}", i)]["properties"] = {
        {"a", refer(i + 1)}, {"b", refer(i + 1)}, {"c", refer(i + 1)}, {"d", refer(i + 1)}};
  }
  for (int i = 0; i < 5000; ++i) {
    cases[1].schemas[fmt::format("L{}", i)]["properties"]["a"] = refer(i + 1);
    cases[2].schemas["L0"]["properties"][fmt::format("p{}", i)] = refer(1);
    cases[3].schemas["L0"]["properties"][fmt::format("p{}", i)] = refer(1);
    cases[3].schemas["L1"]["default"].push_back(i);
  }
  cases[2].schemas["L1"]["description"] = std::string(100'000, 'x');
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const auto model = analyze(documents::with_input(
        R"({"properties": {"a": {"$ref": "#/components/schemas/L0"}}})", c.schemas.dump()));
    REQUIRE_FALSE(model.has_value());
    CHECK(model.error().kind == ErrorKind::invalid_document);
    CHECK(model.error().message == c.message);
    CHECK(model.error().field.starts_with("/components/schemas/L"));
  }
}
