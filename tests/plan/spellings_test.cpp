// Videos and sounds of models whose documents write the same things in other ways.
#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plan/models.hpp"
#include "support/model_documents.hpp"

using namespace falproxy;

namespace {

profile::Profile spelled(
    const std::string& category, const std::string& inputs,
    const std::string& output =
        R"("video":{"type":"object","properties":{"url":{"type":"string"}}})") {
  auto document = nlohmann::json::parse(testing::model_document(
      "fal-ai/other", R"({"prompt": {"type": "string"}, )" + inputs + "}", "{" + output + "}"));
  document["info"]["x-fal-metadata"]["category"] = category;
  auto& input = document["components"]["schemas"]["ModelInput"];
  for (const auto& [name, property] : input["properties"].items()) {
    if (property.contains("must")) input["required"].push_back(name);
  }
  const auto made = profile::read_profile(document.dump());
  REQUIRE(made);
  return **made;
}

Wish film(std::optional<double> seconds, std::uint32_t width = 0, std::uint32_t height = 0) {
  Wish wish{.makes = Medium::video, .model = "m", .prompt = "a fox"};
  wish.seconds = seconds;
  if (width > 0) wish.size = {SizeWish::Kind::pixels, width, height};
  return wish;
}

std::string body_spelled(const Wish& wish, const profile::Profile& model) {
  return models::sent(models::plan_of(wish, model));
}

}  // namespace

TEST_CASE("a length is found by whatever name, and sent as the model spells it") {
  struct Case {
    std::string input, sent;
  };
  for (const Case& c : std::vector<Case>{
           {R"("duration": {"type": "string", "enum": ["5 seconds", "10 seconds"]})",
            R"({"duration":"5 seconds"})"},
           {R"("duration": {"type": "string", "enum": ["5sec", "10sec"]})",
            R"({"duration":"5sec"})"},
           {R"("duration": {"type": "number", "enum": [5.0, 10.0]})", R"({"duration":5.0})"},
           {R"("duration": {"anyOf": [{"const": "5"}, {"const": "10"}]})", R"({"duration":"5"})"},
           {R"("duration": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 15},
                {"type": "string", "enum": ["auto"]}], "default": "auto"})",
            R"({"duration":5})"},
           {R"("video_length": {"type": "string", "enum": ["5s", "10s"]})",
            R"({"video_length":"5s"})"},
           {R"("length_in_seconds": {"type": "integer", "minimum": 1, "maximum": 20})",
            R"({"length_in_seconds":5})"},
           {R"("duration": {"type": "string", "default": "4s"})", R"({"duration":"5s"})"},
           {R"("duration": {"type": "string", "pattern": "^[0-9]+s$", "examples": ["4s"]})",
            R"({"duration":"5s"})"},
           {R"("num_frames": {"type": "string", "enum": ["80", "120"]},
               "fps": {"type": "string", "enum": ["16", "24"], "default": "16"})",
            R"({"num_frames":"80"})"},
           {R"("duration_ms": {"type": "integer", "minimum": 1000, "maximum": 20000})",
            R"({"duration_ms":5000})"},
           {R"("total_frames": {"type": "integer", "minimum": 17, "maximum": 161},
               "video_fps": {"type": "integer", "default": 16})",
            R"({"total_frames":80})"},
           {R"("video_length": {"type": "integer", "minimum": 17, "maximum": 161,
                "description": "The number of frames to generate."},
               "fps": {"type": "integer", "default": 16})",
            R"({"video_length":80})"},
       }) {
    CAPTURE(c.input);
    const profile::Profile model = spelled("text-to-video", c.input);
    const plan::Plan plan = models::plan_of(film(5), model);
    CHECK(models::sent(plan) == c.sent);
    CHECK(plan.seconds == 5.0);
  }
}

TEST_CASE("a tier is found by whatever name, and a bare number is the short side of a video") {
  const std::string shape = R"("aspect_ratio": {"type": "string", "enum": ["16:9", "9:16"]}, )";
  struct Case {
    std::string input, sent;
  };
  for (const Case& c : std::vector<Case>{
           {R"("quality": {"type": "string", "enum": ["540p", "720p", "1080p"]})",
            R"({"aspect_ratio":"9:16","quality":"720p"})"},
           {R"("resolution": {"type": "string", "enum": ["480", "720", "1080"]})",
            R"({"aspect_ratio":"9:16","resolution":"720"})"},
           {R"("video_resolution": {"type": "integer", "enum": [480, 720, 1080]})",
            R"({"aspect_ratio":"9:16","video_resolution":720})"},
       }) {
    CAPTURE(c.input);
    const plan::Plan plan =
        models::plan_of(film({}, 720, 1280), spelled("text-to-video", shape + c.input));
    CHECK(models::sent(plan) == c.sent);
    CHECK(plan.size == "720x1280");
  }
  // Levels of quality are none.
  CHECK(
      body_spelled(film({}, 720, 1280),
                   spelled("text-to-video",
                           shape + R"("quality": {"type": "string", "enum": ["low", "high"]})")) ==
      R"({"aspect_ratio":"9:16"})");
}

TEST_CASE("the picture begins the video, whatever its two pictures are called") {
  struct Case {
    std::string first, last;
  };
  for (const Case& c : std::vector<Case>{{"starting_image_url", "ending_image_url"},
                                         {"initial_image_url", "final_image_url"},
                                         {"opening_frame_url", "closing_frame_url"},
                                         {"image_url", "final_frame_url"}}) {
    CAPTURE(c.first);
    const std::string text = R"(": {"type": "string"})";
    const profile::Profile model =
        spelled("image-to-video", "\"" + c.last + text + ", \"" + c.first + text);
    Wish wish = film({});
    wish.images.push_back({.url = "https://example.org/a.png"});
    CHECK(body_spelled(wish, model) == "{\"" + c.first + R"(":"https://example.org/a.png"})");
  }
}

TEST_CASE("a video never begins with what it is to end with") {
  Wish wish = film({});
  wish.images.push_back({.url = "https://example.org/a.png"});
  const std::string text = R"(": {"type": "string"})";
  const auto refused = models::map(wish, spelled("image-to-video", "\"end_image_url" + text));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::edit_unsupported);
  // A name that says nothing is likelier than one that says "end".
  CHECK(body_spelled(wish, spelled("image-to-video",
                                   "\"end_image_url" + text + ", \"still_image_url" + text)) ==
        R"({"still_image_url":"https://example.org/a.png"})");
}

TEST_CASE("what is made of a picture takes one, whatever its input is called") {
  Wish wish = film({});
  wish.images.push_back({.url = "https://example.org/a.png"});
  for (const std::string name : {"first_frame", "input_image", "portrait_url", "image_path"}) {
    CAPTURE(name);
    CHECK(body_spelled(wish, spelled("image-to-video",
                                     "\"" + name + R"(": {"type": "string", "must": 1})")) ==
          "{\"" + name + R"(":"https://example.org/a.png"})");
  }
  // None came: nothing takes its place.
  const auto refused = models::map(
      film({}),
      spelled("image-to-video",
              R"("image_url": {"anyOf": [{"type": "string"}, {"type": "null"}], "must": 1})"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().field == "image_url");
  CHECK(refused.error().message.find("'input_reference'") != std::string::npos);
}

TEST_CASE("the size of a video is told if its shape is known, and not guessed from a word") {
  const std::string tier =
      R"(, "resolution": {"type": "string", "enum": ["480p", "720p"], "default": "720p"})";
  const auto size_of = [&](const std::string& words, const Wish& wish) {
    return models::plan_of(
               wish, spelled("text-to-video", R"("aspect_ratio": {"type": "string", "enum": [)" +
                                                  words + "]}" + tier))
        .size;
  };
  CHECK_FALSE(size_of(R"("landscape", "portrait")", film({}, 1280, 720)).has_value());
  CHECK(size_of(R"("landscape_16_9", "portrait_16_9")", film({}, 1280, 720)) == "1280x720");
  CHECK(size_of(R"("square", "portrait_16_9")", film({}, 720, 720)) == "720x720");
}

TEST_CASE("who speaks and what is spoken are found by whatever name") {
  struct Case {
    std::string input, sent;
  };
  const std::string audio = R"("audio":{"type":"object","properties":{"url":{"type":"string"}}})";
  Wish wish{.makes = Medium::audio, .model = "m", .prompt = "Good morning"};
  wish.voice = "Nova";
  for (const Case& c : std::vector<Case>{
           {R"("transcript": {"type": "string", "must": 1},
               "voice_type": {"type": "string", "enum": ["kore", "nova"]})",
            R"({"transcript":"Good morning","voice_type":"nova"})"},
           {R"("dialogue": {"type": "string", "must": 1},
               "narrator": {"type": "string", "enum": ["kore", "nova"]})",
            R"({"dialogue":"Good morning","narrator":"nova"})"},
           {R"("content": {"type": "string", "must": 1},
               "voice": {"type": "object", "properties": {"name": {"type": "string",
                "enum": ["kore", "nova"]}}, "required": ["name"]})",
            R"({"content":"Good morning","voice":{"name":"nova"}})"},
           {R"("content": {"type": "string", "must": 1},
               "voice": {"type": "object", "properties": {"id": {"type": "string",
                "examples": ["kore", "nova"]}, "mode": {"type": "string", "enum": ["id"]}},
                "required": ["id", "mode"], "must": 1})",
            R"({"content":"Good morning","voice":{"id":"nova","mode":"id"}})"},
       }) {
    CAPTURE(c.input);
    CHECK(body_spelled(wish, spelled("text-to-speech", c.input, audio)) == c.sent);
  }
}
