#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "falproxy/profile.hpp"
#include "schema/documents.hpp"

using falproxy::profile::describe;
using falproxy::profile::SizeControl;
using falproxy::profile::Summary;
using Words = std::vector<std::string>;

namespace {

Summary summary_of(std::string_view properties, std::string_view required = "[]") {
  return describe(documents::profiled(documents::with_input(fmt::format(
      R"({{"type": "object", "properties": {}, "required": {}}})", properties, required))));
}

}  // namespace

TEST_CASE("the summary of a model with presets, a count and formats") {
  const Summary summary =
      summary_of(R"({"prompt": {"type": "string"}, "output_format": {"enum": ["jpeg", "png"]},
      "num_images": {"type": "integer", "minimum": 1, "maximum": 4},
      "image_size": {"anyOf": [{"type": "object", "properties": {"width": {"type": "integer"}, "height": {"type": "integer"}}},
                               {"enum": ["square_hd", "square"]}]}})",
                 R"(["prompt"])");
  CHECK(summary.endpoint == "some/model");
  CHECK(summary.size_control == SizeControl::image_size);
  CHECK(summary.sizes == Words{"square_hd", "square"});
  CHECK(summary.free_size);
  CHECK(summary.max_n == 4);
  CHECK(summary.formats == Words{"jpeg", "png"});
  CHECK(summary.requires_prompt);
  CHECK_FALSE(summary.takes_images);
}

TEST_CASE("the summary tells each way of sizing a picture") {
  struct Case {
    std::string properties;
    SizeControl control;
    bool free_size;
  };
  const Case cases[] = {
      {R"({"prompt": {}})", SizeControl::none, false},
      {R"({"image_size": {"enum": ["1024x1024", "auto"]}})", SizeControl::image_size, false},
      {R"({"width": {"type": "integer"}, "height": {"type": "integer"}, "aspect_ratio": {}})",
       SizeControl::width_height, true},
      {R"({"target_width": {"type": "integer"}, "target_height": {"type": "integer"}})",
       SizeControl::width_height, true},
      {R"({"shot_size": {"type": "array", "items": {"type": "integer"}}})", SizeControl::image_size,
       true},
      {R"({"width": {"type": "integer"}})", SizeControl::none, false},
      {R"({"aspect_ratio": {"enum": ["16:9"]}, "resolution": {"enum": ["1K"]}})",
       SizeControl::aspect_ratio, false},
      {R"({"aspect_ratio": {"type": "string", "default": "1024x1024"}})", SizeControl::image_size,
       true},
      {R"({"aspect_ratio": {"type": "string", "default": "16:9"}})", SizeControl::aspect_ratio,
       false},
      {R"({"resolution": {"enum": ["480p"]}})", SizeControl::resolution, false},
  };
  for (const Case& c : cases) {
    CAPTURE(c.properties);
    const Summary summary = summary_of(c.properties);
    CHECK(summary.size_control == c.control);
    CHECK(summary.free_size == c.free_size);
  }
}

TEST_CASE("ratios are found in an enum, beside a free string, and within an object") {
  CHECK(
      summary_of(R"({"aspect_ratio": {"anyOf": [{"enum": ["16:9", "1:1"]}, {"type": "string"}]}})")
          .ratios == Words{"16:9", "1:1"});
  CHECK(summary_of(
            R"({"aspect_ratio": {"type": "object", "properties": {"ratio": {"enum": ["4:3"]}}}})")
            .ratios == Words{"4:3"});
  CHECK(summary_of(R"({"resolution": {"enum": ["1K", "2K"]}})").resolutions == Words{"1K", "2K"});
}

TEST_CASE("the most images of one job come from the bound or the list") {
  const auto most = [](const char* count) { return summary_of(count).max_n; };
  CHECK(most(R"({"prompt": {}})") == 1);
  CHECK(most(R"({"num_images": {"type": "integer", "exclusiveMaximum": 5}})") == 4);
  CHECK(most(R"({"num_images": {"enum": [1, 2, 8]}})") == 8);
  CHECK(
      most(R"({"num_images": {"anyOf": [{"type": "integer", "maximum": 6}, {"type": "null"}]}})") ==
      6);
  CHECK(most(R"({"number_of_images": {"type": "integer"}})") == 10);
  CHECK(most(R"({"max_images": {"type": "integer", "maximum": 5}})") == 5);
  CHECK(most(R"({"max_images": {"type": "integer", "maximum": 6},
                  "num_images": {"type": "integer", "maximum": 3}})") == 3);
}

TEST_CASE("the summary says whether pictures are taken or needed") {
  const Summary optional = summary_of(R"({"image_url": {"type": "string"}})");
  CHECK(optional.takes_images);
  CHECK_FALSE(optional.requires_image);
  CHECK(summary_of(R"({"image_url": {"type": "string"}})", R"(["image_url"])").requires_image);
}

TEST_CASE("the summary as JSON has a member for each part") {
  Summary summary = summary_of(R"({"image_size": {"enum": ["auto"]}})");
  CHECK(
      falproxy::profile::to_json(summary).dump() ==
      R"({"category":"text-to-image","endpoint":"some/model","formats":[],"free_size":false,"max_n":1,"ratios":[],)"
      R"("requires_image":false,"requires_prompt":false,"resolutions":[],"size_control":"image_size","sizes":["auto"],"takes_images":false})");
  summary.document_date = "2026-01-28";
  CHECK(falproxy::profile::to_json(summary).find("document_date")->as_string() == "2026-01-28");
}

TEST_CASE("the inputs as JSON are what a form is made from") {
  const auto form = nlohmann::json::parse(
      falproxy::profile::inputs_to_json(
          documents::profiled(documents::with_input(R"({"type": "object", "required": ["prompt"],
      "x-fal-order-properties": ["prompt", "steps", "scale", "size", "image_url", "loras", "style", "seed"], "properties": {
      "prompt": {"type": "string", "title": "Prompt", "description": "What to show.", "maxLength": 1000, "examples": ["A cat"]},
      "steps": {"type": "integer", "minimum": 1, "exclusiveMaximum": 51, "default": 28},
      "scale": {"type": "number", "minimum": 0.5, "maximum": 20, "multipleOf": 0.5, "deprecated": true},
      "size": {"anyOf": [{"type": "object", "properties": {"width": {"type": "integer"}}}, {"enum": ["square"]}, {"type": "null"}]},
      "image_url": {"type": "string"},
      "loras": {"type": "array", "maxItems": 3, "items": {"type": "object", "required": ["path"], "properties": {"path": {"type": "string"}}}},
      "style": {"enum": ["a", "b"], "default": null},
      "seed": {"type": "integer", "nullable": true}}})")))
          .dump());
  CHECK(form == nlohmann::json::parse(R"([
    {"name": "prompt", "type": "string", "required": true, "title": "Prompt", "help": "What to show.", "max_length": 1000, "example": "A cat", "role": "text"},
    {"name": "steps", "type": "integer", "required": false, "min": 1, "max": 50, "default": 28},
    {"name": "scale", "type": "number", "required": false, "min": 0.5, "max": 20, "step": 0.5, "deprecated": true},
    {"name": "size", "type": "any", "required": false, "nullable": true, "enum": ["square"], "free": true,
     "any_of": [{"type": "object", "properties": [{"name": "width", "type": "integer", "required": false}]}, {"type": "string", "enum": ["square"]}]},
    {"name": "image_url", "type": "string", "required": false, "image": "source", "medium": "image"},
    {"name": "loras", "type": "array", "required": false, "max_items": 3,
     "items": {"type": "object", "properties": [{"name": "path", "type": "string", "required": true}]}},
    {"name": "style", "type": "string", "required": false, "enum": ["a", "b"], "default": null, "role": "style"},
    {"name": "seed", "type": "integer", "required": false, "nullable": true, "role": "seed"}])"));
}

TEST_CASE("an input without a name stands in the form as it stands in the document") {
  const auto model = documents::profiled(documents::with_input(
      R"({"type": "object", "properties": {"": {"type": "object", "properties": {"": {"type": "string"}}}}})"));
  CHECK(
      falproxy::profile::inputs_to_json(model).dump() ==
      R"([{"name":"","properties":[{"name":"","required":false,"type":"string"}],"required":false,"type":"object"}])");
}
