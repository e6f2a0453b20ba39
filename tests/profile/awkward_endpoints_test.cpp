// Kinds of documents that break a naive mapper: each has a document written for it here, modelled
// on what fal serves.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "falproxy/profile.hpp"
#include "schema/documents.hpp"

using falproxy::ErrorKind;
using falproxy::Json;
using falproxy::Medium;
using falproxy::profile::describe;
using falproxy::profile::Part;
using falproxy::profile::SizeControl;
using falproxy::schema::check;
using Names = std::vector<std::string>;

namespace {

// The profile of a model beside what its document says.
struct Model {
  falproxy::profile::Profile profile;
  const falproxy::schema::ModelSchema& document = *profile.schema;
  operator const falproxy::profile::Profile&() const { return profile; }
};
Model model_of(std::string_view endpoint, const char* schemas) {
  return {documents::profiled(documents::of(endpoint, nlohmann::json::parse(schemas)))};
}

bool takes(const Model& model, std::string_view input, std::string_view value) {
  REQUIRE(model.document.input(input) != nullptr);
  return !check(*model.document.input(input), *Json::parse(value), input).has_value();
}

Names made_at(const Model& model) {
  Names paths;
  for (const auto& output : model.profile.outputs) paths.push_back(output.path);
  return paths;
}

}  // namespace

TEST_CASE("1: a model whose result is not described at all can be used") {
  const auto model = model_of("fal-ai/dream-full", R"({
    "Input": {"type": "object", "required": ["prompt"], "properties": {"prompt": {"type": "string"}}},
    "Output": {}})");
  CHECK(model.document.outputs.empty());
  CHECK(model.profile.makes == Medium::image);
  CHECK(model.document.input("prompt")->required);
}

TEST_CASE("2: OpenAI's sizes in a string enum take neither presets nor width and height") {
  const auto model = model_of("fal-ai/gpt-like/text-to-image", R"({
    "Input": {"type": "object", "required": ["prompt"], "properties": {"prompt": {"type": "string"},
      "image_size": {"type": "string", "enum": ["auto", "1024x1024", "1536x1024", "1024x1536"], "default": "auto"},
      "quality": {"type": "string", "enum": ["auto", "low", "medium", "high"]}}},
    "Output": {"properties": {"images": {"type": "array"}}}})");
  CHECK(takes(model, "image_size", R"("1536x1024")"));
  CHECK_FALSE(takes(model, "image_size", R"("square_hd")"));
  CHECK_FALSE(takes(model, "image_size", R"({"width": 1024, "height": 1024})"));
  CHECK(describe(model).sizes == Names{"auto", "1024x1024", "1536x1024", "1024x1536"});
  CHECK_FALSE(describe(model).free_size);
}

TEST_CASE("3: a ratio within an object, image inputs with names of their own, and no prompt") {
  const auto model = model_of("fal-ai/apps/product-in-hand", R"({
    "Input": {"type": "object", "required": ["holder_image_url", "product_image_url", "person_image_url"],
      "x-fal-order-properties": ["product_image_url", "person_image_url", "aspect_ratio"],
      "properties": {"aspect_ratio": {"description": "Shape", "$ref": "#/components/schemas/Ratio"},
        "product_image_url": {"type": "string"}, "person_image_url": {"type": "string"}}},
    "Ratio": {"type": "object", "properties": {"ratio": {"enum": ["1:1", "16:9", "4:3"], "default": "1:1", "type": "string"}}},
    "Output": {"properties": {"images": {"type": "array"}}}})");
  CHECK(takes(model, "aspect_ratio", R"({"ratio": "4:3"})"));
  CHECK_FALSE(takes(model, "aspect_ratio", R"("4:3")"));
  CHECK(check(*model.document.input("aspect_ratio"), *Json::parse(R"({"ratio": "7:4"})"),
              "aspect_ratio")
            ->message == "'aspect_ratio.ratio' must be one of '1:1', '16:9', '4:3'.");
  CHECK(describe(model).ratios == Names{"1:1", "16:9", "4:3"});
  CHECK_FALSE(describe(model).requires_prompt);
  REQUIRE(model.profile.media.size() == 2);
  CHECK(model.profile.media[0].name == "person_image_url");
  CHECK(model.profile.media[0].part == Part::source);
  CHECK(model.profile.media[1].part == Part::reference);
}

TEST_CASE(
    "4: a ratio that means pixels, an optional prompt, and a list of styles without repetition") {
  const auto model = model_of("fal-ai/focus", R"({
    "Input": {"type": "object", "properties": {"prompt": {"type": "string", "default": ""},
      "aspect_ratio": {"type": "string", "default": "1024x1024", "description": "custom height and width that **must be multiples of 8**"},
      "styles": {"type": "array", "uniqueItems": true, "items": {"enum": ["Enhance", "Sharp"], "type": "string"}, "default": ["Enhance"]}}},
    "Output": {"properties": {"images": {"type": "array"}}}})");
  CHECK(describe(model).free_size);
  CHECK_FALSE(describe(model).requires_prompt);
  CHECK(takes(model, "styles", R"(["Sharp", "Enhance"])"));
  CHECK_FALSE(takes(model, "styles", R"(["Sharp", "Sharp"])"));
  CHECK_FALSE(takes(model, "styles", R"("Sharp")"));
}

TEST_CASE(
    "5: two counts that multiply, presets beyond the usual, and a default size that is an object") {
  const auto model = model_of("fal-ai/dance/seed/text-to-image", R"({
    "Input": {"type": "object", "required": ["prompt"], "properties": {"prompt": {"type": "string"},
      "image_size": {"anyOf": [{"$ref": "#/components/schemas/ImageSize"}, {"enum": ["square_hd", "auto_2K", "auto_4K"], "type": "string"}],
                     "default": {"height": 2048, "width": 2048}},
      "num_images": {"type": "integer", "minimum": 1, "maximum": 6, "default": 1},
      "max_images": {"type": "integer", "minimum": 1, "maximum": 6, "default": 1}}},
    "ImageSize": {"type": "object", "properties": {"width": {"type": "integer"}, "height": {"type": "integer"}}},
    "Output": {"properties": {"images": {"type": "array"}}}})");
  CHECK(model.document.input("image_size")->default_value->find("width")->as_integer() == 2048);
  CHECK(takes(model, "image_size", R"("auto_4K")"));
  CHECK(describe(model).max_n == 6);
}

TEST_CASE("6: an owner that is not fal, and max_images as the only count") {
  const auto model = model_of("wander/v9/text-to-image", R"({
    "Input": {"type": "object", "required": ["prompt"], "properties": {"prompt": {"type": "string"},
      "image_url": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "Optional. For style."},
      "max_images": {"type": "integer", "minimum": 1, "maximum": 5, "default": 1}}},
    "Output": {"properties": {"images": {"type": "array"}, "generated_text": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}})");
  CHECK(model.document.endpoint == "wander/v9/text-to-image");
  CHECK(describe(model).max_n == 5);
  CHECK(describe(model).takes_images);
  CHECK_FALSE(describe(model).requires_image);
}

TEST_CASE(
    "7: nothing is required, the result has an image beside untyped images, and the seed is "
    "fixed") {
  const auto model = model_of("brio/fable/generate", R"({
    "Input": {"type": "object", "properties": {"prompt": {"anyOf": [{"type": "string"}, {"type": "null"}]},
      "seed": {"type": "integer", "default": 5555}, "steps_num": {"type": "integer", "minimum": 20, "maximum": 50},
      "guidance_scale": {"type": "integer", "minimum": 3, "maximum": 5, "default": 5}}},
    "Output": {"required": ["image"], "properties": {
      "image": {"$ref": "#/components/schemas/Image", "description": "It."},
      "images": {"type": "array", "default": [], "items": {"type": "object", "additionalProperties": true}}}},
    "Image": {"type": "object", "properties": {"url": {"type": "string"}}}})");
  CHECK(made_at(model) == Names{"image.url", "images[]"});
  CHECK(model.document.input("seed")->default_value->as_integer() == 5555);
  CHECK_FALSE(takes(model, "guidance_scale", "3.5"));
  CHECK(takes(model, "prompt", "null"));
}

TEST_CASE("8: a single image and no count") {
  const auto model = model_of("fal-ai/wonder/v2.2/text-to-image", R"({
    "Input": {"type": "object", "required": ["prompt"], "properties": {"prompt": {"type": "string"}}},
    "Output": {"required": ["image"], "properties": {"image": {"allOf": [{"$ref": "#/components/schemas/File"}]}}},
    "File": {"type": "object", "properties": {"url": {"type": "string"}}}})");
  CHECK(made_at(model) == Names{"image.url"});
  CHECK(describe(model).max_n == 1);
}

TEST_CASE("9: a count that is four unless it is said") {
  const auto model = model_of("brio/text-to-image/base", R"({
    "Input": {"type": "object", "required": ["prompt"], "properties": {"prompt": {"type": "string", "minLength": 1},
      "num_images": {"type": "integer", "minimum": 1, "maximum": 4, "default": 4},
      "guidance": {"type": "array", "default": [], "items": {"$ref": "#/components/schemas/GuidanceInput"}}}},
    "GuidanceInput": {"type": "object", "required": ["image_url"], "properties": {
      "image_url": {"type": "string"}, "scale": {"type": "number", "default": 1}, "method": {"enum": ["canny", "depth"], "type": "string"}}},
    "Output": {"properties": {"images": {"type": "array"}}}})");
  CHECK(model.document.input("num_images")->default_value->as_integer() == 4);
  REQUIRE(model.profile.media.size() == 1);
  CHECK(model.profile.media[0].member == "image_url");
  CHECK(model.profile.media[0].part == Part::control);
  CHECK(check(*model.document.input("guidance"), *Json::parse(R"([{"scale": 1}])"), "guidance")
            ->field == "guidance[0].image_url");
}

TEST_CASE("10: an enum beside a free string keeps its list, and takes what is not in it") {
  const auto model = model_of("fal-ai/pro/ultra", R"({
    "Input": {"type": "object", "required": ["prompt", "finetune_id"], "properties": {"prompt": {"type": "string"}, "finetune_id": {"type": "string"},
      "aspect_ratio": {"anyOf": [{"enum": ["21:9", "16:9", "1:1"], "type": "string"}, {"type": "string"}], "default": "16:9"}}},
    "Output": {"properties": {"images": {"type": "array"}}}})");
  CHECK(describe(model).ratios == Names{"21:9", "16:9", "1:1"});
  CHECK(describe(model).size_control == SizeControl::aspect_ratio);
  CHECK(takes(model, "aspect_ratio", R"("7:4")"));
  CHECK_FALSE(takes(model, "aspect_ratio", "1.75"));
  CHECK(model.document.input("finetune_id")->required);
}

TEST_CASE("11: a long list of styles, a short prompt, and files without width and height") {
  const auto model = model_of("fal-ai/recreate/v3/text-to-image", R"({
    "Input": {"type": "object", "required": ["prompt"], "properties": {"prompt": {"type": "string", "minLength": 1, "maxLength": 1000},
      "style": {"enum": ["any", "realistic_image", "vector_illustration", "vector_illustration/bold"], "type": "string", "default": "realistic_image"},
      "colors": {"type": "array", "default": [], "items": {"$ref": "#/components/schemas/RGBColor"}}}},
    "RGBColor": {"type": "object", "required": ["r"], "properties": {"r": {"type": "integer", "minimum": 0, "maximum": 255}}},
    "Output": {"properties": {"images": {"type": "array", "items": {"$ref": "#/components/schemas/File"}}}},
    "File": {"type": "object", "properties": {"url": {"type": "string"}}}})");
  const std::string long_prompt = Json::string(std::string(1001, 'x')).dump();
  CHECK_FALSE(takes(model, "prompt", long_prompt));
  CHECK(takes(model, "style", R"("vector_illustration/bold")"));
  CHECK(
      check(*model.document.input("colors"), *Json::parse(R"([{"r": 256}])"), "colors")->message ==
      "'colors[0].r' must be at most 255.");
  CHECK(made_at(model) == Names{"images[].url"});
}

TEST_CASE("12: data URIs unless told otherwise, and the format under another name") {
  const auto model = model_of("fal-ai/quick-diffusion", R"({
    "Input": {"type": "object", "required": ["prompt"], "properties": {"prompt": {"type": "string"},
      "sync_mode": {"type": "boolean", "default": true}, "format": {"enum": ["jpeg", "png"], "type": "string", "default": "jpeg"}}},
    "Output": {"properties": {"images": {"type": "array"}}}})");
  CHECK(model.document.input("sync_mode")->default_value->as_boolean() == true);
  CHECK(describe(model).formats == Names{"jpeg", "png"});
}

TEST_CASE("13: several schemas whose names end in Input") {
  const auto model = model_of("fal-ai/flux-9/lora/edit", R"({
    "LoRAInput": {"type": "object", "required": ["path"], "properties": {"path": {"type": "string"}, "scale": {"type": "number", "maximum": 4}}},
    "Flux9LoraEditInput": {"type": "object", "properties": {"decoy": {"type": "string"}}},
    "SigmasInput": {"type": "object", "properties": {"method": {"enum": ["default", "array"], "type": "string"}}},
    "Input": {"type": "object", "required": ["model_name", "prompt"], "properties": {"prompt": {"type": "string"}, "model_name": {"type": "string"},
      "loras": {"type": "array", "maxItems": 3, "items": {"$ref": "#/components/schemas/LoRAInput"}},
      "sigmas": {"$ref": "#/components/schemas/SigmasInput", "default": {"method": "default"}}}},
    "Output": {"properties": {"images": {"type": "array"}}}})");
  CHECK(documents::names(model.document.inputs) ==
        Names{"model_name", "prompt", "loras", "sigmas"});
  CHECK(model.document.input("model_name")->required);
  CHECK(model.document.input("loras")->items->property("scale")->maximum == 4.0);
  CHECK(model.document.input("sigmas")->property("method") != nullptr);
}

TEST_CASE("14: endpoints that stream are read like any other, with their few sizes") {
  const auto model = model_of("fal-ai/flux-9/small/realtime", R"({
    "Input": {"type": "object", "required": ["prompt", "image_url"], "properties": {"prompt": {"type": "string"},
      "image_url": {"type": "string", "description": "As a base64 data URI"},
      "image_size": {"enum": ["square", "square_hd"], "type": "string", "default": "square"},
      "num_images": {"type": "integer", "description": "Always set to 1 for streaming output.", "minimum": 1, "maximum": 4}}},
    "Output": {"properties": {"images": {"type": "array", "items": {"$ref": "#/components/schemas/RawImage"}}}},
    "RawImage": {"type": "object", "properties": {"content": {"type": "string", "format": "binary"}}}})");
  CHECK(model.document.endpoint == "fal-ai/flux-9/small/realtime");
  CHECK(describe(model).sizes == Names{"square", "square_hd"});
  CHECK(made_at(model) == Names{"images[]"});
}

TEST_CASE("15: a model of the category text-to-image that needs a picture") {
  const auto model = model_of("fal-ai/edge-finder", R"({
    "Input": {"type": "object", "required": ["image_url"], "properties": {"image_url": {"type": "string"}}},
    "Output": {"properties": {"image": {"type": "object"}}}})");
  CHECK(model.document.category == "text-to-image");
  CHECK(describe(model).requires_image);
  CHECK_FALSE(describe(model).requires_prompt);
  CHECK(model.document.input("prompt") == nullptr);
}
