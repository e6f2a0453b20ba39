#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "documents.hpp"
#include "falproxy/schema.hpp"

using falproxy::ErrorKind;
using falproxy::Json;
using falproxy::schema::check;

namespace {

constexpr const char* image_size = R"({"nullable": true, "anyOf": [
  {"type": "object", "required": ["width"], "properties": {
    "width": {"type": "integer", "exclusiveMinimum": 0, "maximum": 14142}, "height": {"type": "integer"}}},
  {"type": "string", "enum": ["square_hd", "landscape_4_3"]}]})";

constexpr const char* loras =
    R"({"type": "array", "maxItems": 2, "items": {"type": "object", "required": ["path"], "properties": {
  "path": {"type": "string"}, "scale": {"type": "number", "minimum": 0, "maximum": 4}}}})";

struct Case {
  std::string schema;
  std::string value;
};

struct BadCase {
  std::string schema;
  std::string value;
  ErrorKind kind;
  std::string field;
  std::string message;
};

}  // namespace

TEST_CASE("a value that fits every keyword passes") {
  const Case cases[] = {
      {"{}", "null"},
      {"{}", R"({"any": ["thing"]})"},
      {R"({"type": "boolean"})", "true"},
      {R"({"type": "integer"})", "28"},
      {R"({"type": "integer"})", "28.0"},
      {R"({"type": "integer"})", "18446744073709551615"},
      {R"({"type": "number"})", "28"},
      {R"({"type": "number", "minimum": 1, "maximum": 20})", "1"},
      {R"({"type": "number", "minimum": 1, "maximum": 20})", "20.0"},
      {R"({"type": "number", "multipleOf": 0.1})", "0.3"},
      {R"({"type": "number", "multipleOf": 0.01})", "1234567.89"},
      {R"({"type": "integer", "multipleOf": 8})", "1024"},
      {R"({"type": "integer", "enum": [4, 8]})", "8.0"},
      {R"({"type": "string", "maxLength": 3})", R"("日本語")"},
      {R"({"type": "string", "pattern": "^#[0-9a-f]{6}$"})", R"("#00ff7f")"},
      {R"({"type": "string", "pattern": "^.{2}$"})", R"("日本")"},
      {R"({"type": "string", "nullable": true})", "null"},
      {R"({"enum": ["a", null]})", "null"},
      {R"({"const": null})", "null"},
      {R"({"type": "array", "uniqueItems": true})", "[1, true, \"1\"]"},
      {R"({"type": "object", "additionalProperties": {"type": "number"}, "properties": {"a": {"type": "string"}}})",
       R"({"a": "x", "b": 2})"},
      {image_size, R"("square_hd")"},
      {image_size, R"({"width": 512, "other": 1})"},
      {image_size, "null"},
      {loras, R"([{"path": "a"}, {"path": "b", "scale": 1}])"},
      {loras, "[]"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.schema);
    CAPTURE(c.value);
    const auto found = check(documents::field(c.schema), *Json::parse(c.value), "field");
    if (found) FAIL_CHECK(found->message);
  }
}

TEST_CASE("a value that does not fit is refused with its place and what is allowed there") {
  using enum ErrorKind;
  const BadCase cases[] = {
      {R"({"type": "integer"})", "123456789012345678901234567890", invalid_type, "field",
       "'field' must be an integer."},
      {R"({"type": "integer"})", "2.5", invalid_type, "field", "'field' must be an integer."},
      {R"({"type": "integer"})", "true", invalid_type, "field", "'field' must be an integer."},
      {R"({"type": "integer"})", R"("7")", invalid_type, "field", "'field' must be an integer."},
      {R"({"type": "number"})", "null", invalid_type, "field", "'field' must be a number."},
      {R"({"type": "boolean"})", "1", invalid_type, "field", "'field' must be true or false."},
      {R"({"type": "string"})", "[]", invalid_type, "field", "'field' must be a string."},
      {R"({"type": "array", "items": {"type": "string"}})", R"("x")", invalid_type, "field",
       "'field' must be an array of strings."},
      {R"({"type": "integer", "nullable": true})", "\"\"", invalid_type, "field",
       "'field' must be an integer, or null."},
      {R"({"type": "string", "enum": ["jpeg", "png"]})", R"("webp")", invalid_value, "field",
       "'field' must be one of 'jpeg', 'png'."},
      {R"({"type": "integer", "enum": [4]})", "5", invalid_value, "field", "'field' must be 4."},
      {R"({"enum": [1]})", "true", invalid_value, "field", "'field' must be 1."},
      {R"({"const": null})", "0", invalid_value, "field", "'field' must be null."},
      {R"({"type": "number", "minimum": 1, "maximum": 20})", "20.5", invalid_value, "field",
       "'field' must be at most 20."},
      {R"({"type": "number", "minimum": 0.5})", "0.4", invalid_value, "field",
       "'field' must be at least 0.5."},
      {R"({"type": "integer", "exclusiveMinimum": 0})", "0", invalid_value, "field",
       "'field' must be greater than 0."},
      {R"({"type": "number", "exclusiveMaximum": 1})", "1", invalid_value, "field",
       "'field' must be less than 1."},
      {R"({"type": "integer", "multipleOf": 8})", "1023", invalid_value, "field",
       "'field' must be a multiple of 8."},
      {R"({"type": "string", "minLength": 1})", "\"\"", invalid_value, "field",
       "'field' must have at least 1 character, not 0."},
      {R"({"type": "string", "maxLength": 2})", R"("日本語")", invalid_value, "field",
       "'field' must have at most 2 characters, not 3."},
      {R"({"type": "string", "pattern": "^#[0-9a-f]{6}$"})", R"("red")", invalid_value, "field",
       "'field' must match the pattern ^#[0-9a-f]{6}$."},
      {R"({"type": "array", "uniqueItems": true})", "[1, 2, 1.0]", invalid_value, "field",
       "'field' must not have the same item twice."},
      {R"({"type": "array", "minItems": 1})", "[]", invalid_value, "field",
       "'field' must have at least 1 item, not 0."},
      {R"({"type": "object", "additionalProperties": false})", R"({"b": 1})", unknown_parameter,
       "field.b", "'field.b' is not a field of this object."},
      {R"({"type": "object", "additionalProperties": {"type": "number"}})", R"({"b": ""})",
       invalid_type, "field.b", "'field.b' must be a number."},
      {image_size, R"("big")", invalid_value, "field",
       "'field' must be an object with 'width', 'height', or one of 'square_hd', 'landscape_4_3', "
       "or null."},
      {image_size, "1024", invalid_type, "field",
       "'field' must be an object with 'width', 'height', or one of 'square_hd', 'landscape_4_3', "
       "or null."},
      {image_size, R"({"width": 0})", invalid_value, "field.width",
       "'field.width' must be greater than 0."},
      {image_size, R"({"height": 5})", missing_parameter, "field.width",
       "'field.width' is required."},
      {loras, R"([{"path": "a", "scale": 5}])", invalid_value, "field[0].scale",
       "'field[0].scale' must be at most 4."},
      {loras, R"([{"path": "a"}, {}])", missing_parameter, "field[1].path",
       "'field[1].path' is required."},
      {loras, R"([{"path": 1}])", invalid_type, "field[0].path",
       "'field[0].path' must be a string."},
      {loras, R"([1, 2, 3])", invalid_value, "field", "'field' must have at most 2 items, not 3."},
  };
  for (const BadCase& c : cases) {
    CAPTURE(c.schema);
    CAPTURE(c.value);
    const auto found = check(documents::field(c.schema), *Json::parse(c.value), "field");
    REQUIRE(found.has_value());
    CHECK(found->kind == c.kind);
    CHECK(found->field == c.field);
    CHECK(found->message == c.message);
  }
}

TEST_CASE("a long list is cut short in the message") {
  nlohmann::json styles = nlohmann::json::array();
  for (int i = 0; i < 85; ++i) styles.push_back(fmt::format("s{}", i));
  const auto found =
      check(documents::field(nlohmann::json{{"enum", styles}}.dump()), Json::string("x"), "style");
  REQUIRE(found.has_value());
  CHECK(found->message.ends_with("'s23', ... (85 in all)."));
}

TEST_CASE(
    "a pattern that is broken, long, or explosive is left to fal, and checking takes no time") {
  const std::string hostile = std::string(30, 'a') + "!";
  CHECK_FALSE(
      check(documents::field(R"({"type": "string", "pattern": "(["})"), Json::string("x"), "f"));
  CHECK_FALSE(check(documents::field(R"({"type": "string", "pattern": "^(a{1000}){1000}$"})"),
                    Json::string("x"), "f"));
  CHECK_FALSE(check(documents::field(fmt::format(R"({{"type": "string", "pattern": "^{}$"}})",
                                                 std::string(300, 'b'))),
                    Json::string("x"), "f"));
  const auto bees = documents::field(R"({"type": "string", "pattern": "^b+$"})");
  CHECK(check(bees, Json::string(std::string(256, 'a')), "f"));
  CHECK_FALSE(check(bees, Json::string(std::string(257, 'a')), "f"));
  // Matched without backtracking, or given up: either way it returns.
  (void)check(documents::field(R"({"type": "string", "pattern": "^(a+)+$"})"),
              Json::string(hostile), "f");
  CHECK_FALSE(check(documents::field(R"({"type": "string", "pattern": "^(.|\\n)*$"})"),
                    Json::string(std::string(256, 'a')), "f"));
}

TEST_CASE("each keyword counts as it is written, whatever stands beside it") {
  const struct {
    std::string name, schema, fits, fits_not;
  } cases[] = {
      {"required beside a sibling allOf",
       R"({"allOf": [{"properties": {"a": {"type": "string"}}}], "required": ["a"]})",
       R"({"a": "x"})", "{}"},
      {"required in another part of an allOf",
       R"({"allOf": [{"properties": {"a": {}}}, {"required": ["a"]}]})", R"({"a": 1})", "{}"},
      {"anyOf and oneOf together", R"({"anyOf": [{"type": "integer"}], "oneOf": [{"minimum": 5}]})",
       "5", "4"},
      {"anyOf of null alone", R"({"anyOf": [{"type": "null"}]})", "null", "1"},
      {"multiples of 4 and of 6", R"({"allOf": [{"multipleOf": 4}, {"multipleOf": 6}]})", "12",
       "6"},
      {"patterns beside additionalProperties: false",
       R"({"patternProperties": {"^x-": {}}, "additionalProperties": false})", R"({"x-a": 1})",
       R"({"a": 1})"},
      {"properties of what need not be an object", R"({"properties": {"a": {"type": "integer"}}})",
       R"("text")", R"({"a": "text"})"},
      {"a tuple", R"({"prefixItems": [{"type": "integer"}, {"type": "string"}]})", R"([1, "x"])",
       R"([1, 2])"},
      {"a tuple as older documents have it",
       R"({"items": [{"type": "integer"}, {"type": "string"}]})", R"([1, "x"])", R"([1, 2])"},
      {"not", R"({"not": {"enum": ["none"]}})", R"("some")", R"("none")"},
      {"if, then, else",
       R"({"if": {"type": "integer"}, "then": {"minimum": 1}, "else": {"maxLength": 2}})",
       R"("ab")", R"("abc")"},
      {"dependentRequired", R"({"dependentRequired": {"a": ["b"]}})", R"({"a": 1, "b": 1})",
       R"({"a": 1})"},
      {"contains", R"({"contains": {"const": "x"}})", R"(["y", "x"])", R"(["y"])"},
      {"propertyNames", R"({"propertyNames": {"maxLength": 2}})", R"({"ab": 1})", R"({"abc": 1})"},
      {"minProperties", R"({"minProperties": 1})", R"({"a": 1})", "{}"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    const auto field = documents::field(c.schema);
    CHECK_FALSE(check(field, *Json::parse(c.fits), "field").has_value());
    CHECK(check(field, *Json::parse(c.fits_not), "field").has_value());
  }
}

TEST_CASE("all faults are found at once, each with its JSON Pointer") {
  const auto field = documents::field(loras);
  const auto faults = falproxy::schema::find_faults(
      field, *Json::parse(R"([{"path": 1, "scale": 5}, {}, {"path": "a"}])"), "loras");
  std::vector<std::string> places;
  for (const auto& fault : faults) places.push_back(fault.pointer + " " + fault.path);
  CHECK(places == std::vector<std::string>{" loras", "/0/path loras[0].path",
                                           "/0/scale loras[0].scale", "/1/path loras[1].path"});
}

TEST_CASE("a body of several shapes takes what either of them takes") {
  const auto model = documents::analyzed(documents::with_input(R"({"oneOf": [
    {"type": "object", "properties": {"mode": {"type": "string", "enum": ["std"]}}},
    {"type": "object", "properties": {"mode": {"type": "string", "enum": ["pro"]}}}]})"));
  const auto* mode = model.input("mode");
  REQUIRE(mode != nullptr);
  CHECK_FALSE(check(*mode, Json::string("std"), "mode").has_value());
  CHECK_FALSE(check(*mode, Json::string("pro"), "mode").has_value());
  CHECK(check(*mode, Json::string("max"), "mode").has_value());
  CHECK(falproxy::schema::choices(*mode).size() == 2);
}

TEST_CASE("a schema that refers to itself without end finds no fault, and ends") {
  const auto field = documents::field(
      R"({"$ref": "#/components/schemas/Tree"})",
      R"({"Tree": {"type": "object", "properties": {"child": {"$ref": "#/components/schemas/Tree"}}}})");
  CHECK_FALSE(check(field, *Json::parse(R"({"child": {"child": {}}})"), "tree").has_value());
  CHECK(check(field, *Json::parse(R"({"child": {"child": 1}})"), "tree").has_value());
}
