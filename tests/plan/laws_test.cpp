// What holds for every request and every model: only fields that the document has, only values that
// it allows, the number of pictures that was asked for, and the same bytes for the same input.
#include <doctest/doctest.h>

#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "plan/models.hpp"
#include "support/payload_checker.hpp"

using namespace falproxy;
using namespace models;

namespace {

// Inputs that a made model may have, one of each row at most; the first of each row is none.
const std::vector<std::vector<std::string>> rows = {
    {"", R"("prompt": {"type": "string"})",
     R"("prompt": {"type": "string", "minLength": 1, "maxLength": 40})",
     R"("instruction": {"anyOf": [{"type": "string"}, {"type": "null"}]})"},
    {"", std::string(free_size), std::string(openai_sizes),
     R"("image_size": {"type": "string", "enum": ["square_hd", "portrait_4_3", "landscape_16_9", "auto"]})",
     R"("image_size": {"x-fal": {"min_area": 655360, "max_area": 8294400, "multiple_of": 16, "max_width": 3840,
        "max_height": 3840, "min_aspect_ratio": 0.3333333333333333, "max_aspect_ratio": 3},
        "anyOf": [{"type": "object", "required": ["width", "height"], "properties": {"width": {"type": "integer"},
        "height": {"type": "integer"}}}, {"type": "string", "enum": ["square_hd", "auto"]}]})",
     R"("image_size": {"type": "array", "items": {"type": "integer", "minimum": 64}, "minItems": 2, "maxItems": 2})"},
    {"", std::string(ratios),
     R"("aspect_ratio": {"type": "object", "properties": {"ratio": {"type": "string",
        "enum": ["1:1", "16:9", "9:16"]}}})",
     R"("aspect_ratio": {"anyOf": [{"type": "string", "enum": ["21:9", "1:1"]}, {"type": "string"}, {"type": "null"}]})",
     R"("aspect_ratio": {"type": "string", "pattern": "^\\d+:\\d+$", "default": "1:1"})",
     R"("aspect_ratio": {"type": "string", "default": "1024x1024"})",
     R"("width": {"type": "integer", "minimum": 256, "maximum": 1440, "multipleOf": 32},
        "height": {"type": "integer", "minimum": 256, "maximum": 1440, "multipleOf": 32})"},
    {"", std::string(tiers), R"("resolution": {"type": "string", "enum": ["480p", "720p"]})",
     R"("resolution": {"type": "integer", "enum": [512, 1024]})"},
    {"", std::string(four_images), R"("num_images": {"type": "integer", "enum": [1, 2, 4]})",
     R"("num_images": {"type": "integer", "minimum": 1, "maximum": 6},
        "max_images": {"type": "integer", "minimum": 1, "maximum": 6, "default": 1})",
     R"("max_images": {"type": "integer", "minimum": 1, "maximum": 5})"},
    {"", std::string(seed),
     R"("seed": {"type": "integer", "minimum": 0, "maximum": 9, "default": 5})"},
    {"", R"("output_format": {"type": "string", "enum": ["jpeg", "png"]})",
     R"("format": {"type": "string", "enum": ["jpg", "webp"]})"},
    {"", R"("quality": {"type": "string", "enum": ["low", "high"]})",
     R"("rendering_speed": {"type": "string", "enum": ["TURBO", "BALANCED", "QUALITY"]})"},
    {"", R"("sync_mode": {"type": "boolean", "default": true})",
     R"("sync_mode": {"type": "boolean"})"},
    {"", R"("enable_safety_checker": {"type": "boolean"})",
     R"("safety_tolerance": {"type": "string", "enum": ["1", "2", "3"]})"},
    {"", R"("image_url": {"type": "string"})",
     R"("image_urls": {"type": "array", "items": {"type": "string"}, "maxItems": 2})",
     R"("image_url": {"type": "string"}, "mask_url": {"type": "string"})"},
};

class Dice {
 public:
  explicit Dice(unsigned start) : engine_(start) {}
  std::size_t below(std::size_t end) { return engine_() % end; }
  template <class T>
  const T& of(const std::vector<T>& values) {
    return values[below(values.size())];
  }

 private:
  std::mt19937 engine_;
};

std::string made_document(Dice& dice) {
  std::string properties;
  nlohmann::json required = nlohmann::json::array();
  for (const auto& row : rows) {
    const std::string& input = dice.of(row);
    if (input.empty()) continue;
    if (!properties.empty()) properties += ", ";
    properties += input;
    if (dice.below(4) == 0) required.push_back(input.substr(1, input.find('"', 1) - 1));
  }
  return documents::with_input(
      fmt::format(R"({{"type": "object", "properties": {{{}}}, "required": {}}})", properties,
                  required.dump()));
}

Wish made_request(Dice& dice) {
  Wish request;
  const std::vector<std::uint32_t> sides = {1,    64,   333,  512,  768,  1000,
                                            1024, 1536, 1792, 2048, 4096, 16'384};
  if (dice.below(8) != 0) request.prompt = std::string(1 + dice.below(50), 'p');
  if (dice.below(3) != 0) request.n = static_cast<int>(1 + dice.below(10));
  const std::vector<SizeWish> sizes = {{},
                                       automatic(),
                                       pixels(dice.of(sides), dice.of(sides)),
                                       pixels(dice.of(sides), dice.of(sides)),
                                       ratio(16, 9),
                                       ratio(13, 6),
                                       ratio(1, 3)};
  request.size = dice.of(sizes);
  const std::vector<std::string> qualities = {"auto", "low", "medium", "high",
                                              "hd",   "max", "TURBO"};
  const std::vector<std::string> formats = {"png", "jpeg", "webp"};
  if (dice.below(2) == 0) request.quality = dice.of(qualities);
  if (dice.below(2) == 0) request.output_format = dice.of(formats);
  if (dice.below(2) == 0) request.moderation = "low";
  if (dice.below(2) == 0) request.response_format = ResponseFormat::b64_json;
  if (dice.below(2) == 0)
    request.native.emplace_back("seed", Json::integer(static_cast<std::int64_t>(dice.below(12))));
  if (dice.below(6) == 0) request.native.emplace_back("unheard_of", Json::integer(1));
  if (dice.below(3) == 0) {
    request.intent = Intent::edit;
    for (std::size_t i = 0; i <= dice.below(3); ++i)
      request.images.push_back({"https://example.org/a.png"});
    if (dice.below(3) == 0) request.mask = InputFile{"https://example.org/m.png"};
  }
  return request;
}

// num_images x max_images of a body, by the document's own words alone.
int pictures(const nlohmann::json& body) {
  int count = 1;
  for (const std::string name : {"num_images", "max_images"}) count *= body.value(name, 1);
  return count;
}

}  // namespace

TEST_CASE(
    "whatever model and request meet, the bodies are valid or the request is refused by name") {
  Dice dice(20'260'131);
  int mapped = 0;
  int refused = 0;
  for (int i = 0; i < 4000; ++i) {
    const std::string text = made_document(dice);
    const auto document = nlohmann::json::parse(text);
    const Profile model = documents::profiled(text);
    const Wish request = made_request(dice);
    CAPTURE(i);
    CAPTURE(document["components"]["schemas"]["Input"].dump());
    const auto result = map(request, model);
    if (!result) {
      ++refused;
      CHECK_FALSE(result.error().field.empty());
      CHECK_FALSE(result.error().message.empty());
      continue;
    }
    ++mapped;
    int total = 0;
    int told = 0;
    std::vector<std::string> bodies;
    const Body address(std::string("https://example.org/a.png"));
    for (const plan::JobInput& job : result->jobs) {
      bodies.push_back(plan::render(job, {address, address, address}, address).str());
      const auto body = nlohmann::json::parse(bodies.back());
      const auto report = payload_checker::check_payload(document, body);
      CAPTURE(bodies.back());
      CHECK_MESSAGE(report.clean(), report.text());
      total += pictures(body);
      told += job.images;
    }
    CHECK(total == request.n.value_or(1));
    CHECK(told == total);
    CHECK(result->n == request.n.value_or(1));
    const auto again = map(request, model);
    REQUIRE(again);
    CHECK(plan::explain(*result).dump() == plan::explain(*again).dump());
    CHECK(plan::header_value(result->notes).size() <= 1024);
  }
  CHECK(mapped > 1000);
  CHECK(refused > 500);
}

TEST_CASE("whatever fal answers, reading it ends in pictures or in an error") {
  const std::vector<std::string> pieces = {"{",
                                           "}",
                                           "[",
                                           "]",
                                           ",",
                                           ":",
                                           "\"images\"",
                                           "\"image\"",
                                           "\"url\"",
                                           "\"https://x/a.png\"",
                                           "null",
                                           "1e999",
                                           "-1",
                                           "true",
                                           "\"\\u0001long:0\"",
                                           "\"width\"",
                                           "\"has_nsfw_concepts\"",
                                           "\"svg_content\"",
                                           "\"<svg></svg>\"",
                                           "\"\\ud800\"",
                                           "\"\xff\"",
                                           '"' + std::string(600, 'x') + '"',
                                           "\"data:image/png;base64,AAAA\"",
                                           "\""};
  Dice dice(7);
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (std::size_t length = dice.below(14); length-- > 0;) text += dice.of(pieces);
    CAPTURE(text);
    const auto result = plan::read_result(std::make_shared<const std::string>(text));
    if (result) {
      CHECK_FALSE(result->images.empty());
      CHECK((result->nsfw.empty() || result->nsfw.size() == result->images.size()));
    } else {
      CHECK((result.error().kind == ErrorKind::upstream_failed ||
             result.error().kind == ErrorKind::no_image));
    }
  }
}
