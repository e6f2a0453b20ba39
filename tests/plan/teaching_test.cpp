#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "falproxy/settings.hpp"
#include "plan/models.hpp"
#include "profile/roles.hpp"
#include "profile/sizes.hpp"

using namespace falproxy;

namespace {

// Nothing in it has a name that says what it means.
constexpr std::string_view odd_document = R"({"type": "object",
  "required": ["my_text", "my_tone"], "properties": {
  "my_text": {"type": "string"}, "my_tone": {"type": "string", "default": "plain"},
  "how_many": {"type": "integer", "minimum": 1, "maximum": 8},
  "measure": {"enum": ["1024x1024", "1024x1536"]},
  "beginning": {"type": "string"}, "hole": {"type": "array", "items": {"type": "object",
    "properties": {"url": {"type": "string"}}}}}})";

// As docs/settings.md shows it.
constexpr std::string_view lesson = R"({
  "odd": {
    "inputs": {
      "prompt": "my_text",
      "n": "how_many",
      "size": "measure",
      "image": "beginning",
      "mask": "hole"
    },
    "outputs": "render.frame"
  }
})";

}  // namespace

TEST_CASE("a model with odd names is taught in ten lines of MODELS_FILE") {
  const auto settings = parse_models_file(lesson, "models.json");
  REQUIRE(settings);
  const auto profile =
      profile::read_profile(documents::with_input(odd_document), {}, settings->at("odd").taught);
  REQUIRE(profile);
  auto request = models::edit();
  request.n = 3;
  request.size = models::pixels(1000, 1500);
  request.mask = InputFile{"https://example.org/mask.png"};
  const plan::Plan plan = models::plan_of(request, **profile);
  REQUIRE(plan.jobs.size() == 1);
  CHECK(plan.jobs[0].input.dump() ==
        R"j({"beginning":"https://example.org/1.png","hole":[{"url":"(mask)"}],"how_many":3,)j"
        R"j("measure":"1024x1536","my_text":"make it night","my_tone":"plain"})j");
  const auto result = plan::read_result(
      std::make_shared<const std::string>(R"({"render":{"frame":{"url":"https://x/1"}}})"),
      plan.places);
  REQUIRE(result);
  CHECK(result->images.front().url.str() == "https://x/1");
}

TEST_CASE("what is taught takes the meaning from the input that seemed to have it") {
  constexpr std::string_view document = R"({"type": "object", "properties": {
    "prompt": {"type": "string"}, "image_url": {"type": "string"},
    "beginning": {"type": "string"}, "seed_image_url": {"type": "string"},
    "image_size": {"enum": ["1024x1024", "1000x1000"]}, "measure": {"enum": ["512x512"]},
    "resolution": {"enum": ["1K", "2K"]}}})";
  const auto taught = [&](std::vector<std::pair<std::string, std::string>> lessons) {
    return **profile::read_profile(documents::with_input(document), {}, {std::move(lessons), ""});
  };
  models::Wish request = models::edit();
  CHECK(models::sent(models::plan_of(request, taught({})), "image_url") != "");
  CHECK(models::sent(models::plan_of(request, taught({{"image", "beginning"}}))) ==
        R"({"beginning":"https://example.org/1.png"})");
  CHECK_FALSE(models::map(models::edit(2), taught({{"image", "beginning"}})));
  // A file that is taught to be a number is no picture any longer, and the other way round.
  CHECK(taught({{"seed", "seed_image_url"}}).file("seed_image_url") == nullptr);
  CHECK(taught({{"image", "prompt"}})[profile::Role::text] == nullptr);

  request = models::generation();
  request.size = models::pixels(1000, 1000);
  CHECK(models::sent(models::plan_of(request, taught({{"size", "measure"}}))) ==
        R"({"measure":"512x512"})");
  request.size = models::pixels(2048, 2048);
  CHECK(
      models::sent(models::plan_of(request, taught({{"size", "measure"}})), "image_size").empty());
}

TEST_CASE("where the operator says that pictures stand, pictures are") {
  const auto document = documents::with_input(
      R"({"properties": {"prompt": {"type": "string"}}})",
      R"({"Output": {"type": "object", "properties": {"text": {"type": "string"}}}})");
  const auto profile = profile::read_profile(document, {}, {{}, "render.frame"});
  REQUIRE(profile);
  const models::Plan plan = models::plan_of(models::generation(), **profile);
  CHECK(plan.places == std::vector<std::string>{"render.frame"});
}

TEST_CASE("without the lesson the same model cannot be understood") {
  const auto profile = profile::read_profile(documents::with_input(odd_document));
  REQUIRE(profile);
  CHECK_FALSE(models::map(models::edit(), **profile));
}

TEST_CASE("whatever an operator may say of an input is understood") {
  constexpr std::string_view document =
      R"({"properties": {"odd": {"type": "string", "default": "1024x1024"}}})";
  for (const std::string_view meaning : taught_meanings) {
    CAPTURE(meaning);
    const Teaching taught{{{std::string(meaning), "odd"}}, ""};
    const auto told = profile::read_profile(documents::with_input(document), {}, taught);
    REQUIRE(told);
    const auto role = profile::role_named(meaning);
    if (role) {
      REQUIRE((*told)->find(*role) != nullptr);
      CHECK((*told)->find(*role)->path == "odd");
    } else if (meaning == "size") {
      CHECK((*told)->sizes->has(*(*told)->schema->input("odd")));
    } else {
      const profile::MediaInput* file = (*told)->file("odd");
      REQUIRE(file != nullptr);
      CHECK(name_of(file->part) == (meaning == "image" ? "source" : meaning));
    }
  }
  const auto plain = profile::read_profile(documents::with_input(document));
  REQUIRE(plain);
  CHECK((*plain)->roles.empty());
  CHECK((*plain)->media.empty());
  CHECK_FALSE((*plain)->sizes->has(*(*plain)->schema->input("odd")));
}
