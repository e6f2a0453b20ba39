// Least inputs of faults that were found in use, each with the value that is right.
#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "plan/models.hpp"

using namespace falproxy;
using namespace models;

namespace {

constexpr std::string_view any_pixels =
    R"("image_size": {"type": "object", "properties": {"width": {"type": "integer"},
       "height": {"type": "integer"}}})";
constexpr std::string_view jpeg_or_png =
    R"("output_format": {"enum": ["jpeg", "png"], "default": "jpeg"})";

Wish transparent() {
  Wish request = generation();
  request.background = "transparent";
  return request;
}

}  // namespace

TEST_CASE("the text of a form is what the document takes (E9)") {
  Wish request = generation();
  request.native = {{"negative_prompt", Json::integer(2024)}, {"seed", Json::integer(7)}};
  request.native_texts = {{"negative_prompt", "2024"}, {"seed", "7"}};
  const Profile model = of(
      R"("prompt": {"type": "string"}, "negative_prompt": {"type": "string"}, "seed": {"type": "integer"})");
  const Plan made = plan_of(request, model);
  CHECK(sent(made, "negative_prompt") == R"("2024")");
  CHECK(sent(made, "seed") == "7");
  request.native_texts.clear();  // in JSON 2024 is a number
  CHECK(map(request, model).error().field == "negative_prompt");
}

TEST_CASE("a ratio becomes at most a megapixel, above which the next price begins") {
  Wish request = generation();
  request.size = ratio(7, 3);  // 21:9
  CHECK(sent(plan_of(request, with({any_pixels})), "image_size") ==
        R"({"height":624,"width":1456})");
  const Profile model = with({any_pixels});
  for (std::uint32_t width = 1; width <= 100; ++width) {
    for (const std::uint32_t height : {1U, 9U, 57U, 64U, 99U}) {
      CAPTURE(width);
      CAPTURE(height);
      request.size = ratio(width, height);
      const auto size = nlohmann::json::parse(sent(plan_of(request, model), "image_size"));
      CHECK(size["width"].get<int>() * size["height"].get<int>() <= 1024 * 1024);
    }
  }
}

TEST_CASE("a transparent JPEG is refused before a job is paid, and PNG is chosen unasked") {
  const Profile model =
      with({R"("background": {"enum": ["auto", "transparent", "opaque"]})", jpeg_or_png});
  Wish request = transparent();
  request.output_format = "jpeg";
  const auto refused = map(request, model);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().field == "output_format");
  const Plan chosen = plan_of(transparent(), model);
  CHECK(sent(chosen, "output_format") == R"("png")");
  CHECK(has_note(chosen, "output_format", "png"));
}

TEST_CASE(
    "what the operator or the model's own field says of the format gives way to transparency") {
  const Profile model =
      with({R"("background": {"enum": ["auto", "transparent", "opaque"]})", jpeg_or_png});
  ModelSettings operators;
  operators.defaults = {{"output_format", Json::string("jpeg")}};
  const Plan chosen = plan_of(transparent(), model, operators);
  CHECK(sent(chosen, "output_format") == R"("png")");
  CHECK(has_note(chosen, "output_format", "transparent"));
  const Profile webp = with({R"("background": {"enum": ["transparent"]},
      "output_format": {"enum": ["jpg", "webp"], "default": "jpg"})"});
  CHECK(sent(plan_of(transparent(), webp), "output_format") == R"("webp")");

  operators.overrides = std::exchange(operators.defaults, {});
  auto refused = map(transparent(), model, operators);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().field == "background");
  CHECK(refused.error().message.find("operator") != std::string::npos);
  Wish native = transparent();
  native.native = fields(R"({"format": "JPEG"})");
  refused = map(native, with({R"("background": {"enum": ["transparent"]},
      "format": {"enum": ["JPEG", "PNG"]})"}));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().field == "background");
  native.background = "opaque";
  CHECK(map(native, model));
}

TEST_CASE("a model that cannot be told of a background makes its JPEG, with a Note") {
  const Profile model = with({jpeg_or_png});
  ModelSettings operators;
  operators.overrides = {{"output_format", Json::string("jpeg")}};
  const Plan made = plan_of(transparent(), model, operators);
  CHECK(sent(made, "output_format") == R"("jpeg")");
  CHECK(has_note(made, "background", "dropped"));
  Wish native = transparent();
  native.native = fields(R"({"format": "JPEG"})");
  CHECK(map(native, with({R"("format": {"enum": ["JPEG", "PNG"]})"})));
}

TEST_CASE("names of OpenAI's own image models mean PNG, as they do there") {
  Wish request = generation();
  CHECK(sent(plan_of(request, with({jpeg_or_png})), "output_format").empty());
  request.model = "gpt-image-1.5";
  CHECK(sent(plan_of(request, with({jpeg_or_png})), "output_format") == R"("png")");
  ModelSettings operators;
  operators.defaults = {{"output_format", Json::string("jpeg")}};
  CHECK(sent(plan_of(request, with({jpeg_or_png}), operators), "output_format") == R"("jpeg")");
}

TEST_CASE("a seed of -1 is a random one, as clients of Stable Diffusion mean it") {
  Wish request = generation();
  request.native = fields(R"({"seed": -1})");
  const Plan left = plan_of(request, with({seed}));
  CHECK(sent(left, "seed").empty());
  CHECK(has_note(left, "seed", "random"));
  const Plan fixed =
      plan_of(request, with({R"("seed": {"type": "integer", "default": 5555})"}), {}, {}, 0.5);
  CHECK(sent(fixed, "seed") == "1073741824");
  for (const std::string_view input :
       {seed, std::string_view(R"("seed": {"type": "integer", "default": -1})")}) {
    CAPTURE(std::string(input));
    request.n = 2;
    const Plan required = plan_of(request, with({input}, R"(["prompt", "seed"])"), {}, {}, 0.5);
    REQUIRE(required.jobs.size() == 2);
    CHECK(sent(required, "seed") == "1073741824");
    CHECK(sent(required, 1).find("1073741825") != std::string::npos);
  }
}

TEST_CASE("what is required and can be told from the document is no reason to refuse") {
  CHECK(sent(plan_of(generation(), with({R"("negative_prompt": {"type": "string"})"},
                                        R"(["prompt", "negative_prompt"])")),
             "negative_prompt") == R"("")");
  const Plan shown = plan_of(
      generation(),
      with({R"("strength": {"type": "number", "examples": [0.7]})"}, R"(["prompt", "strength"])"));
  CHECK(sent(shown, "strength") == "0.7");
  CHECK(has_note(shown, "strength", "0.7"));
  // A text is what somebody wants to say: no example stands for it.
  CHECK_FALSE(map(generation(), with({R"("brand": {"enum": ["a", "b"], "examples": ["a"]})"},
                                     R"(["prompt", "brand"])")));
}

// As nextstep-1 and flux-differential-diffusion ask for it.
TEST_CASE(
    "an edit is a job for a model that requires an empty word, or a map of the changes (E11)") {
  const Profile next =
      with({one_image, R"("negative_prompt": {"type": "string", "examples": ["blurry"]})"},
           R"(["prompt", "image_url", "negative_prompt"])");
  CHECK(sent(plan_of(edit(), next)) ==
        R"({"image_url":"https://example.org/1.png","negative_prompt":""})");
  const Profile differential = with({one_image, R"("change_map_image_url": {"type": "string"})"},
                                    R"(["prompt", "image_url", "change_map_image_url"])");
  Wish request = edit();
  const auto refused = map(request, differential);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().field == "mask");
  request.mask = InputFile{"https://example.org/mask.png"};
  CHECK(sent(plan_of(request, differential)) ==
        R"j({"change_map_image_url":"(mask)","image_url":"https://example.org/1.png"})j");
}

TEST_CASE("a map of what is to change is the mask") {
  Wish request = edit();
  request.mask = InputFile{"https://example.org/mask.png"};
  const Plan mapped = plan_of(request, with({one_image, R"("change_map_image_url":
      {"type": "string"})"}));
  CHECK(sent(mapped, "change_map_image_url") == R"j("(mask)")j");
}

TEST_CASE("a model that makes more than is asked for is told not to") {
  const Plan mapped = plan_of(
      generation(), with({R"("limit_generations": {"type": "boolean", "default": false})"}));
  CHECK(sent(mapped, "limit_generations") == "true");
  Wish request = generation();
  request.native = fields(R"({"limit_generations": false})");
  CHECK(sent(plan_of(request, with({R"("limit_generations": {"type": "boolean"})"})),
             "limit_generations") == "false");
}

TEST_CASE("what a model says instead of a picture is told") {
  const auto result = plan::read_result(std::make_shared<const std::string>(
      R"({"images": [], "description": "I cannot draw that."})"));
  REQUIRE_FALSE(result);
  CHECK(result.error().message.find("I cannot draw that.") != std::string::npos);
}
