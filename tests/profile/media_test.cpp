#include <doctest/doctest.h>
#include <fmt/ranges.h>

#include <string>
#include <vector>

#include "base/fmt.hpp"
#include "falproxy/profile.hpp"
#include "schema/documents.hpp"

using falproxy::profile::MediaInput;
using falproxy::profile::Part;
using Lines = std::vector<std::string>;

namespace {

std::string line(const MediaInput& image) {
  return fmt::format("{}{}{}{}{} {}", image.name, image.array ? "[]" : "",
                     image.member.empty() ? "" : ".", image.member, image.required ? "!" : "",
                     falproxy::profile::name_of(image.part));
}

Lines images_in(std::string_view input) {
  Lines lines;
  for (const MediaInput& file : documents::profiled(documents::with_input(input)).media) {
    if (file.medium == falproxy::Medium::image) lines.push_back(line(file));
  }
  return lines;
}

// "name" is an optional address, "name!" a required one, "name[]" a list of them.
Lines images_of(const std::vector<std::string>& inputs) {
  nlohmann::json properties = nlohmann::json::object(), required = nlohmann::json::array(),
                 order = nlohmann::json::array();
  for (std::string name : inputs) {
    const bool must = name.back() == '!';
    if (must) name.pop_back();
    const bool array = name.ends_with("[]");
    if (array) name.resize(name.size() - 2);
    properties[name] = array ? nlohmann::json{{"type", "array"}, {"items", {{"type", "string"}}}}
                             : nlohmann::json{{"type", "string"}};
    order.push_back(name);
    if (must) required.push_back(name);
  }
  const nlohmann::json input = {{"type", "object"},
                                {"properties", properties},
                                {"required", required},
                                {"x-fal-order-properties", order}};
  return images_in(input.dump());
}

}  // namespace

TEST_CASE("inputs that take pictures are told by their names, and what each is for") {
  struct Case {
    std::vector<std::string> inputs;
    Lines images;
  };
  const Case cases[] = {
      {{"prompt!", "image_url!"}, {"image_url! source"}},
      {{"image_urls[]!"}, {"image_urls[]! source"}},
      {{"input_image_urls[]"}, {"input_image_urls[] source"}},
      {{"mask_url!", "image_url!", "prompt"}, {"image_url! source", "mask_url! mask"}},
      {{"image_urls[]!", "mask_image_url"}, {"image_urls[]! source", "mask_image_url mask"}},
      {{"control_image_url", "image_url!"}, {"image_url! source", "control_image_url control"}},
      {{"openpose_image_url", "depth_image_url", "canny_image_url", "image_url"},
       {"image_url source", "openpose_image_url control", "depth_image_url control",
        "canny_image_url control"}},
      {{"garment_image_url!", "human_image_url!"},
       {"human_image_url! source", "garment_image_url! reference"}},
      {{"source_image_url!", "reference_image_url", "mask_image_url"},
       {"source_image_url! source", "mask_image_url mask", "reference_image_url reference"}},
      {{"reference_image_urls[]!", "reference_mask_urls[]"},
       {"reference_image_urls[]! source", "reference_mask_urls[] other"}},
      {{"reference_image_url", "prompt!"}, {"reference_image_url reference"}},
      {{"style_image_url!", "identity_image_url!", "image_url!"},
       {"image_url! source", "style_image_url! reference", "identity_image_url! reference"}},
      {{"control_lora_image_url!"}, {"control_lora_image_url! source"}},
      {{"product_image_url!"}, {"product_image_url! source"}},
      {{"start_image_url!", "end_image_url!"}, {"start_image_url! source", "end_image_url! last"}},
      {{"image_url_2", "image_url!"}, {"image_url! source", "image_url_2 source"}},
      {{"mask_url!"}, {"mask_url! mask"}},
      {{"ic_light_model_url", "model_url", "lora_url", "video_url", "audio_url", "webhook_url",
        "image_strength", "image_format", "mask_type", "images_data_archive_url", "image_prompt"},
       {}},
  };
  for (const Case& c : cases) {
    CAPTURE(fmt::format("{}", fmt::join(c.inputs, ", ")));
    CHECK(fmt::format("{}", fmt::join(images_of(c.inputs), ", ")) ==
          fmt::format("{}", fmt::join(c.images, ", ")));
  }
}

TEST_CASE("where the name leaves it open, type, limits and description tell a picture") {
  const auto properties = [](const char* text) {
    return fmt::format(R"({{"type": "object", "properties": {}}})", text);
  };
  CHECK(
      images_in(properties(
          R"({"garment_image": {"type": "string", "description": "URL or base64 of the garment image"}})")) ==
      Lines{"garment_image reference"});
  CHECK(
      images_in(properties(
          R"({"target_image": {"type": "string", "description": "What the image should show"}})")) ==
      Lines{});
  CHECK(images_in(properties(R"({"image": {"type": "string", "x-fal": {"max_width": 4096}}})")) ==
        Lines{"image source"});
  CHECK(images_in(properties(
            R"({"face_url": {"type": "string", "description": "Picture of the face"}})")) ==
        Lines{"face_url reference"});
  CHECK(images_in(
            properties(R"({"url": {"type": "string", "description": "The image to describe"}})")) ==
        Lines{"url source"});
  CHECK(images_in(properties(
            R"({"image_url": {"type": "integer"}, "image": {"type": "boolean"}})")) == Lines{});
  CHECK(
      images_in(properties(
          R"({"image_style": {"type": "string", "enum": ["a"]}, "mask_image": {"type": "string", "enum": ["b"]}})")) ==
      Lines{});
  CHECK(images_in(properties(
            R"({"image_data_url": {"type": "string", "description": "A zip of images"}})")) ==
        Lines{});
  CHECK(images_in(
            properties(R"({"image_url": {"anyOf": [{"type": "string"}, {"type": "null"}]}})")) ==
        Lines{"image_url source"});
  CHECK(
      images_in(properties(
          R"({"image_urls": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]}})")) ==
      Lines{"image_urls[] source"});
  CHECK(
      images_in(properties(
          R"({"image_urls": {"type": "array", "items": {"type": "string"}, "description": "Style references"}})")) ==
      Lines{"image_urls[] reference"});
}

TEST_CASE("pictures within objects are found, with the member that holds the address") {
  const auto properties = [](const char* text) {
    return fmt::format(R"({{"type": "object", "properties": {}}})", text);
  };
  CHECK(
      images_in(properties(
          R"({"image": {"type": "object", "properties": {"url": {"type": "string"}, "width": {"type": "integer"}}}})")) ==
      Lines{"image.url source"});
  CHECK(
      images_in(properties(
          R"({"images": {"type": "array", "maxItems": 3, "items": {"type": "object", "properties": {"url": {"type": "string"}}}}})")) ==
      Lines{"images[].url source"});
  CHECK(images_in(properties(
            R"({"controlnets": {"type": "array", "items": {"type": "object", "properties": {
      "path": {"type": "string"}, "control_image_url": {"type": "string"}}}}})")) ==
        Lines{"controlnets[].control_image_url control"});
  CHECK(
      images_in(properties(
          R"({"elements": {"type": "array", "items": {"type": "object", "properties": {"image_url": {"type": "string"}}}}})")) ==
      Lines{"elements[].image_url other"});
  CHECK(
      images_in(properties(
          R"({"loras": {"type": "array", "items": {"type": "object", "properties": {"path": {"type": "string"}, "url": {"type": "string"}}}}})")) ==
      Lines{});
}

TEST_CASE("how many pictures an input takes is known") {
  const auto of = [](std::string_view shape) {
    const auto model = documents::profiled(documents::with_input(
        R"({"type": "object", "properties": {"image_urls": )" + std::string(shape) + "}}"));
    std::vector<std::pair<std::size_t, std::size_t>> range;
    for (const auto& image : model.media) range.emplace_back(image.min_items, image.max_items);
    return range;
  };
  using Range = std::vector<std::pair<std::size_t, std::size_t>>;
  CHECK(of(R"({"type": "string"})") == Range{{1, 1}});
  CHECK(of(R"({"type": "array", "items": {"type": "string"}})") == Range{{1, SIZE_MAX}});
  CHECK(of(R"({"type": "array", "minItems": 2, "maxItems": 4, "items": {"type": "string"}})") ==
        Range{{2, 4}});
  CHECK(of(R"({"anyOf": [{"type": "array", "maxItems": 3, "items": {"type": "string"}},
                         {"type": "object", "properties": {"a": {"type": "string"}}}]})") ==
        Range{{1, 3}});
}

TEST_CASE("how many pictures of a list a model looks at is told by its description (D13)") {
  struct Case {
    std::string description;
    std::size_t most;
    bool last;
  };
  for (const Case& c : std::vector<Case>{
           {"Presently, up to 10 image inputs are allowed. If over 10 images are sent, only the "
            "last "
            "10 will be used.",
            10, true},
           {"A maximum of 4 images are allowed, if more are provided, only the first 4 will be "
            "used.",
            4, false},
           {"If videos are provided, up to 4 images are allowed; otherwise up to 7 images.", 7,
            false},
           {"Maximum 7 total (elements + reference images + start image).", 7, false},
           {"Pictures of up to 30 MB, at most 4096 wide.", SIZE_MAX, false},
           {"", SIZE_MAX, false},
       }) {
    CAPTURE(c.description);
    const auto model = documents::profiled(documents::with_input(
        R"({"type": "object", "properties": {"image_urls": {"type": "array", "items": {"type": "string"}, "description": ")" +
        c.description + R"("}}})"));
    REQUIRE(model.media.size() == 1);
    CHECK(model.media[0].most_used == c.most);
    CHECK(model.media[0].uses_last == c.last);
  }
}

TEST_CASE("an array that may hold nothing takes no picture") {
  CHECK(
      images_in(
          R"({"type": "object", "properties": {"image_urls": {"type": "array", "maxItems": 0, "items": {"type": "string"}}}})") ==
      Lines{});
}
