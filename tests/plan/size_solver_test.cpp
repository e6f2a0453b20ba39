#include "plan/size_solver.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "plan/models.hpp"

using namespace falproxy;
using falproxy::profile::Profile;
using models::automatic;
using models::pixels;
using models::ratio;

namespace {

std::string chosen(const SizeWish& wish, const Profile& model,
                   const std::vector<const schema::Field*>& taken = {}) {
  std::string text;
  for (const auto& [field, value] : plan::choose_size(wish, *model.sizes, taken).values) {
    text += (text.empty() ? "" : " ") + field->name + "=" + value.dump();
  }
  return text;
}

}  // namespace

TEST_CASE("the size that is sent is the nearest that the model takes") {
  struct Case {
    std::string name;
    std::vector<std::string_view> inputs;
    SizeWish wish;
    std::string want;
    std::string note;  // none: the wish is met exactly
  };
  using namespace models;
  const std::string_view pair =
      R"("width": {"type": "integer", "minimum": 256, "maximum": 2048, "multipleOf": 64},
         "height": {"type": "integer", "minimum": 256, "maximum": 2048, "multipleOf": 64})";
  const std::string_view presets =
      R"("image_size": {"type": "string", "enum": ["square_hd", "portrait_16_9", "landscape_16_9"]})";
  const std::string_view object_ratio =
      R"("aspect_ratio": {"type": "object", "properties": {"ratio": {"type": "string",
         "enum": ["1:1", "16:9", "9:16", "4:3", "3:4"], "default": "1:1"}}})";
  const std::string_view ratio_or_text =
      R"("aspect_ratio": {"anyOf": [{"type": "string", "enum": ["16:9", "1:1"]}, {"type": "string"}],
         "default": "16:9"})";
  const std::string_view pixel_text =
      R"("aspect_ratio": {"type": "string", "default": "1024x1024"})";
  const std::string_view odd_ratios =
      R"("aspect_ratio": {"type": "string", "enum": ["20:9", "19.5:9", "2:1", "16:9", "1:1", "9:19.5"]})";
  const std::string_view lines = R"("resolution": {"type": "string", "enum": ["480p", "720p"]})";
  const std::string_view array =
      R"("canvas_size": {"type": "array", "items": {"type": "integer"}, "default": [1200, 1200]})";
  const std::string_view mode =
      R"("resolution_mode": {"type": "string", "enum": ["auto", "match_input", "1:1", "16:9"]})";
  const std::string_view limited =
      R"("image_size": {"x-fal": {"min_width": 512, "max_width": 2048, "min_height": 512,
         "max_height": 2048, "multiple_of": 16}, "anyOf": [{"type": "object", "properties": {
         "width": {"type": "integer"}, "height": {"type": "integer"}}},
         {"type": "string", "enum": ["square_hd", "auto"]}]})";
  const std::string_view text_sides =
      R"("width": {"type": "string", "enum": ["512", "768", "1024"]},
         "height": {"type": "string", "default": "512"})";
  const std::string_view mixed_sides =
      R"("width": {"anyOf": [{"type": "string", "enum": ["auto"]},
         {"type": "integer", "minimum": 64, "maximum": 1024}, {"type": "null"}]},
         "height": {"type": "integer", "minimum": 64, "maximum": 1024})";
  const std::string_view tuple =
      R"("output_dimensions": {"type": "array", "minItems": 2, "maxItems": 2,
         "prefixItems": [{"type": "integer", "minimum": 256}, {"type": "integer", "minimum": 256}]})";
  const std::string_view any_array =
      R"("canvas_size": {"type": "array", "items": {"type": "integer"}})";
  const std::string_view short_ratio =
      R"("aspect_ratio": {"type": "string", "pattern": "^[0-9]{1,2}:[0-9]{1,2}$"})";
  const std::string_view pattern_size =
      R"("size": {"type": "string", "pattern": "^[0-9]+[*][0-9]+$"})";
  const std::string_view number_ratio =
      R"("aspect_ratio": {"type": "number", "minimum": 0.5, "maximum": 2})";
  const std::string_view edge =
      R"("image_size": {"type": "integer", "minimum": 256, "maximum": 1024, "multipleOf": 64})";
  const std::string_view shape_words =
      R"("aspect": {"type": "string", "enum": ["square", "portrait", "landscape"]})";
  const std::string_view labels =
      R"x("image_aspect": {"type": "string", "enum": ["Square (1:1)", "Landscape (16:9)",
         "Landscape (4:3)", "Portrait (9:16)"]
})x";
  const std::vector<Case> cases = {
      {"sides may be text", {text_sides}, pixels(768, 512), R"(width="768" height="512")", ""},
      {"sides of several kinds",
       {mixed_sides},
       pixels(2048, 1024),
       R"(width=1024 height=512)",
       "2048x1024 became 1024x512 (at most 1024 wide)"},
      {"a tuple takes pixels",
       {tuple},
       pixels(200, 100),
       R"(output_dimensions=[512,256])",
       "200x100 became 512x256 (at least 256 wide, at least 256 high)"},
      {"an array of which nothing is said takes two numbers",
       {any_array},
       pixels(640, 480),
       R"(canvas_size=[640,480])",
       ""},
      {"a ratio that the model has no room for is simplified",
       {short_ratio},
       pixels(1000, 777),
       R"(aspect_ratio="94:73")",
       "1000x777 became aspect_ratio 94:73"},
      {"an extreme ratio too",
       {short_ratio},
       pixels(16384, 16),
       R"(aspect_ratio="99:1")",
       "16384x16 became aspect_ratio 99:1"},
      {"a pattern tells the sign between pixels",
       {pattern_size},
       pixels(1000, 777),
       R"(size="1000*777")",
       ""},
      {"a ratio may be a number",
       {number_ratio},
       pixels(1792, 1024),
       R"(aspect_ratio=1.75)",
       "1792x1024 became aspect_ratio 1.75"},
      {"within its bounds",
       {number_ratio},
       pixels(1000, 4000),
       R"(aspect_ratio=0.5)",
       "1000x4000 became aspect_ratio 0.5"},
      {"the side of a square is an area",
       {edge},
       pixels(500, 500),
       R"(image_size=512)",
       "500x500 became image_size 512"},
      {"words for shapes, under a name of their own",
       {shape_words},
       pixels(1792, 1024),
       R"(aspect="landscape")",
       "1792x1024 became aspect landscape"},
      {"labels with ratios",
       {labels},
       pixels(1024, 768),
       R"x(image_aspect="Landscape (4:3)")x",
       "1024x768 became image_aspect Landscape (4:3)"},
      {"a branch for each tier",
       {R"("resolution": {"oneOf": [{"const": "480p"}, {"const": "720p"}, {"const": "1080p"}]})"},
       pixels(1280, 720),
       R"(resolution="720p")",
       "1280x720 became resolution 720p"},
      {"an object takes pixels",
       {free_size},
       pixels(1792, 1024),
       R"(image_size={"height":1024,"width":1792})",
       ""},
      {"odd pixels too",
       {free_size},
       pixels(999, 333),
       R"(image_size={"height":333,"width":999})",
       ""},
      {"an object takes pixels of a ratio",
       {free_size},
       ratio(16, 9),
       R"(image_size={"height":720,"width":1280})",
       "16:9 became 1280x720"},
      {"of an odd ratio",
       {free_size},
       ratio(13, 6),
       R"(image_size={"height":672,"width":1456})",
       "13:6 became 1456x672"},
      {"x-fal bounds pixels",
       {limited},
       pixels(1000, 1000),
       R"(image_size={"height":1008,"width":1008})",
       "1000x1000 became 1008x1008 (multiples of 16)"},
      {"a preset that is meant is better than rounded pixels",
       {limited},
       pixels(300, 300),
       R"(image_size={"height":512,"width":512})",
       "300x300 became 512x512 (multiples of 16, at least 512 wide, at least 512 high)"},
      {"OpenAI's sizes, exact",
       {openai_sizes},
       pixels(1536, 1024),
       R"(image_size="1536x1024")",
       ""},
      {"OpenAI's sizes, nearest shape",
       {openai_sizes},
       pixels(1792, 1024),
       R"(image_size="1536x1024")",
       "1792x1024 became image_size 1536x1024"},
      {"OpenAI's sizes, nearest area",
       {openai_sizes},
       pixels(256, 256),
       R"(image_size="1024x1024")",
       "256x256 became image_size 1024x1024"},
      {"OpenAI's sizes, auto", {openai_sizes}, automatic(), R"(image_size="auto")", ""},
      {"presets only",
       {presets},
       pixels(1024, 1792),
       R"(image_size="portrait_16_9")",
       "1024x1792 became image_size portrait_16_9"},
      {"width and height", {pair}, pixels(1024, 512), "width=1024 height=512", ""},
      {"width and height, rounded",
       {pair},
       pixels(1000, 500),
       "width=1024 height=512",
       "1000x500 became 1024x512 (multiples of 64)"},
      {"ratios",
       {ratios},
       pixels(1024, 1024),
       R"(aspect_ratio="1:1")",
       "1024x1024 became aspect_ratio 1:1"},
      {"the nearest ratio",
       {ratios},
       pixels(1792, 1024),
       R"(aspect_ratio="16:9")",
       "1792x1024 became aspect_ratio 16:9"},
      {"ratios and tiers",
       {ratios, tiers},
       pixels(2048, 2048),
       R"(aspect_ratio="1:1" resolution="2K")",
       "2048x2048 became aspect_ratio 1:1, resolution 2K"},
      {"between two tiers the larger",
       {ratios, tiers},
       pixels(3840, 2160),
       R"(aspect_ratio="16:9" resolution="4K")",
       "3840x2160 became aspect_ratio 16:9, resolution 4K"},
      {"the nearer tier",
       {ratios, tiers},
       pixels(1792, 1024),
       R"(aspect_ratio="16:9" resolution="1K")",
       "1792x1024 became aspect_ratio 16:9, resolution 1K"},
      {"no tier for a ratio",
       {ratios, tiers},
       ratio(3, 2),
       R"(aspect_ratio="3:2")",
       "3:2 became aspect_ratio 3:2"},
      {"a tier alone",
       {lines},
       pixels(1024, 1024),
       R"(resolution="720p")",
       "1024x1024 became resolution 720p"},
      {"an object of a ratio",
       {object_ratio},
       pixels(1024, 1792),
       R"(aspect_ratio={"ratio":"9:16"})",
       R"(1024x1792 became aspect_ratio {"ratio":"9:16"})"},
      {"an enum or any text: listed",
       {ratio_or_text},
       pixels(1024, 1024),
       R"(aspect_ratio="1:1")",
       "1024x1024 became aspect_ratio 1:1"},
      {"an enum or any text: exactly",
       {ratio_or_text},
       pixels(1792, 1024),
       R"(aspect_ratio="7:4")",
       "1792x1024 became aspect_ratio 7:4"},
      {"a text of pixels", {pixel_text}, pixels(1152, 896), R"(aspect_ratio="1152x896")", ""},
      {"ratios with a fraction",
       {odd_ratios},
       pixels(1950, 900),
       R"(aspect_ratio="19.5:9")",
       "1950x900 became aspect_ratio 19.5:9"},
      {"width and height beside ratios that have a word for them",
       {pair, R"("aspect_ratio": {"type": "string", "enum": ["1:1", "custom"]})"},
       pixels(1024, 512),
       R"(width=1024 height=512 aspect_ratio="custom")",
       ""},
      {"an array of pixels", {array}, pixels(640, 480), "canvas_size=[640,480]", ""},
      {"ratios under another name",
       {mode},
       pixels(1024, 1024),
       R"(resolution_mode="1:1")",
       "1024x1024 became resolution_mode 1:1"},
      {"auto under another name", {mode}, automatic(), R"(resolution_mode="auto")", ""},
      {"pixels are better than ratios",
       {ratios, free_size},
       pixels(1000, 1000),
       R"(image_size={"height":1000,"width":1000})",
       ""},
      {"auto that the model has no word for",
       {free_size},
       automatic(),
       "",
       "auto became the model's default 1024x768"},
      {"no size control",
       {seed},
       pixels(1024, 1024),
       "",
       "1024x1024 was dropped: the model has no size control"},
      {"no size control, auto", {seed}, automatic(), "", ""},
  };
  for (const Case& c : cases) {
    SUBCASE(c.name.c_str()) {
      const Profile model = with(c.inputs);
      CHECK(chosen(c.wish, model) == c.want);
      CHECK(plan::choose_size(c.wish, *model.sizes, {}).note == c.note);
    }
  }
}

TEST_CASE(
    "the pixels of the answer are known where the model gets pixels, or has them as its default") {
  using namespace models;
  const auto known = [](const SizeWish& wish, std::string_view input) {
    const auto size = plan::choose_size(wish, *with({input}).sizes, {}).pixels;
    return size ? plan::to_text(*size) : std::string("unknown");
  };
  CHECK(known(pixels(1792, 1024), free_size) == "1792x1024");
  CHECK(known({}, free_size) == "1024x768");
  CHECK(known(automatic(), free_size) == "1024x768");
  CHECK(known(automatic(), openai_sizes) == "unknown");
  CHECK(known({}, openai_sizes) == "unknown");
  CHECK(known(pixels(1792, 1024), openai_sizes) == "1536x1024");
  CHECK(known(pixels(1024, 1024), ratios) == "unknown");
  CHECK(known({}, R"("image_size": {"type": "object", "properties": {"width": {"type": "integer"},
     "height": {"type": "integer"}}, "default": {"width": 2048, "height": 2048}})") == "2048x2048");
  CHECK(
      known(
          {},
          R"("width": {"type": "integer", "default": 832}, "height": {"type": "integer", "default": 480})") ==
      "832x480");
}

TEST_CASE("a ratio that no picture has stays as narrow as the model allows") {
  using namespace models;
  CHECK(chosen(ratio(5000, 1), with({free_size})) == R"(image_size={"height":14,"width":14142})");
  CHECK(chosen(ratio(1, 5000), with({free_size})) == R"(image_size={"height":14142,"width":14})");
  const std::string_view boundless =
      R"("width": {"type": "integer"}, "height": {"type": "integer"})";
  CHECK(chosen(ratio(5000, 1), with({boundless})) == "width=16384 height=16");
  CHECK(chosen(ratio(1, 163840), with({boundless})) == "width=16 height=16384");
}

TEST_CASE("an input that has a value already decides the size") {
  const Profile model = models::with({models::ratios, models::tiers});
  CHECK(chosen(pixels(2048, 2048), model, {model.schema->input("aspect_ratio")}).empty());
  CHECK(chosen(pixels(2048, 2048), model, {model.schema->input("resolution")}) ==
        R"(aspect_ratio="1:1")");
}

TEST_CASE("every size that a model takes exactly is sent exactly") {
  const Profile model = models::with({models::free_size});
  for (std::uint32_t width = 1; width <= 14'142; width += 471) {
    for (std::uint32_t height = 1; height <= 14'142; height += 633) {
      const auto choice = plan::choose_size(pixels(width, height), *model.sizes, {});
      REQUIRE(choice.values.size() == 1);
      CHECK(choice.values[0].second ==
            *Json::parse(fmt::format(R"({{"width":{},"height":{}}})", width, height)));
      CHECK(choice.note.empty());
    }
  }
}
