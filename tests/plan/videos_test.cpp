// What a video is made of when the request leaves it open, and what is never guessed.
#include <doctest/doctest.h>

#include <string>

#include "plan/models.hpp"
#include "support/model_documents.hpp"

using namespace falproxy;

namespace {

profile::Profile made_from(const std::string& category, const std::string& inputs,
                           const std::string& required, const std::string& medium) {
  auto document = nlohmann::json::parse(testing::model_document(
      "fal-ai/other", R"({"prompt": {"type": "string"}, )" + inputs + "}",
      "{\"" + medium + R"(":{"type":"object","properties":{"url":{"type":"string"}}}})"));
  document["info"]["x-fal-metadata"]["category"] = category;
  document["components"]["schemas"]["ModelInput"]["required"] = nlohmann::json::parse(required);
  const auto made = profile::read_profile(document.dump());
  REQUIRE(made);
  return **made;
}

profile::Profile film_model(const std::string& inputs, const std::string& required = "[]") {
  return made_from("text-to-video", inputs, required, "video");
}

Wish open_film() { return {.makes = Medium::video, .model = "m", .prompt = "a fox"}; }

Wish film_with_picture() {
  Wish wish = open_film();
  wish.images.push_back({.url = "https://example.org/a.png"});
  return wish;
}

}  // namespace

TEST_CASE("the picture of a video goes to no optional keyframe and to no control") {
  for (const std::string name :
       {"keyframe_0_image_url", "keyframe_image_url", "depth_image_url", "pose_image_url"}) {
    CAPTURE(name);
    const auto refused =
        models::map(film_with_picture(), film_model("\"" + name + R"(": {"type": "string"})"));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::edit_unsupported);
    CHECK(refused.error().field == "image");
  }
  // A better place is taken, and what is required as well.
  CHECK(models::sent(models::plan_of(film_with_picture(),
                                     film_model(R"("keyframe_0_image_url": {"type": "string"},
                          "reference_image_url": {"type": "string"})"))) ==
        R"({"reference_image_url":"https://example.org/a.png"})");
  CHECK(models::sent(models::plan_of(film_with_picture(),
                                     film_model(R"("keyframe_image_url": {"type": "string"})",
                                                R"(["keyframe_image_url"])"))) ==
        R"({"keyframe_image_url":"https://example.org/a.png"})");
}

TEST_CASE("what the model's defaults give is told if a request for a video leaves it open") {
  const profile::Profile model = film_model(
      R"("duration": {"type": "string", "enum": ["5", "10"], "default": "5"},
         "aspect_ratio": {"type": "string", "enum": ["16:9", "9:16"], "default": "16:9"},
         "resolution": {"type": "string", "enum": ["480p", "720p"], "default": "720p"},
         "generate_audio": {"type": "boolean", "default": true})");
  const auto open = models::plan_of(open_film(), model);
  CHECK(models::note(open, "seconds") == "not given: the model's default, 5 seconds");
  CHECK(models::note(open, "size") == "not given: the model's default, 1280x720");
  CHECK(models::note(open, "generate_audio").find("sound") != std::string::npos);
  CHECK(models::sent(open) == "{}");

  Wish told = open_film();
  told.seconds = 5;
  told.size = {SizeWish::Kind::pixels, 1280, 720};
  told.native = models::fields(R"({"generate_audio": false})");
  const auto plan = models::plan_of(told, model);
  CHECK(models::note(plan, "seconds").empty());
  CHECK(models::note(plan, "size").find("default") == std::string::npos);
  CHECK(models::note(plan, "generate_audio").empty());
  // A model's own fields say it, too.
  Wish own = open_film();
  own.native = models::fields(R"({"duration": "10", "resolution": "480p"})");
  CHECK(models::note(models::plan_of(own, model), "seconds").empty());
  CHECK(models::note(models::plan_of(own, model), "size").empty());
}

TEST_CASE("where an answer has room for one, no field of the model's own asks for more") {
  const profile::Profile model =
      film_model(R"("num_samples": {"type": "integer", "default": 1, "maximum": 4})");
  Wish wish = open_film();
  wish.native = models::fields(R"({"num_samples": 3})");
  CHECK(models::sent(models::plan_of(wish, model), "num_samples") == "3");
  wish.makes_one = true;
  const auto plan = models::plan_of(wish, model);
  CHECK(models::sent(plan, "num_samples") != "3");
  CHECK(models::note(plan, "num_samples").find("room for one") != std::string::npos);
}

TEST_CASE("defaults that are told in no seconds and no pixels are told as they stand") {
  const auto plan = models::plan_of(
      open_film(), film_model(R"("duration": {"type": "string", "enum": ["auto", "5"],
                                              "default": "auto"},
                                 "aspect_ratio": {"type": "string", "enum": ["auto", "16:9"],
                                                  "default": "auto"},
                                 "resolution": {"type": "string", "enum": ["480p", "720p"],
                                                "default": "480p"},
                                 "generate_audio": {"type": "boolean", "default": false})"));
  CHECK(models::note(plan, "seconds") == "not given: the model's default, duration auto");
  CHECK(models::note(plan, "size") ==
        "not given: the model's default, aspect_ratio auto, resolution 480p");
  CHECK(models::note(plan, "generate_audio").empty());
  // Of what the document does not tell nothing is said.
  CHECK(models::plan_of(open_film(), film_model(R"("seed": {"type": "integer"})")).notes.empty());
}

TEST_CASE("a tier that a video must have is the smallest, if nobody asks for a size") {
  const profile::Profile model =
      film_model(R"("resolution": {"type": "string", "enum": ["720p", "480p", "1080p"]})",
                 R"(["resolution"])");
  const auto plan = models::plan_of(open_film(), model);
  CHECK(models::sent(plan) == R"({"resolution":"480p"})");
  CHECK(models::note(plan, "resolution").find("480p") != std::string::npos);
  // Beside a shape that is required, too, and no tier is sent that has a default.
  const std::string shape = R"("aspect_ratio": {"type": "string", "enum": ["16:9", "1:1"]},)";
  CHECK(models::sent(models::plan_of(
            open_film(),
            film_model(shape + R"("resolution": {"type": "string", "enum": ["1080p", "480p"]})",
                       R"(["aspect_ratio", "resolution"])"))) ==
        R"({"aspect_ratio":"1:1","resolution":"480p"})");
  CHECK(models::sent(models::plan_of(
            open_film(),
            film_model(shape + R"("resolution": {"type": "string", "enum": ["1080p", "480p"],
                                                 "default": "480p"})",
                       R"(["aspect_ratio"])"))) == R"({"aspect_ratio":"1:1"})");
}

TEST_CASE(
    "the tier of a video is the one that is nearest in area, and not one that is about as near") {
  Wish wish = open_film();
  wish.size = {SizeWish::Kind::pixels, 1000, 1000};
  CHECK(models::sent(models::plan_of(
            wish, film_model(R"("aspect_ratio": {"type": "string", "enum": ["1:1", "16:9"]},
                                "resolution": {"type": "string", "enum": ["901p", "1111p"]})"))) ==
        R"({"aspect_ratio":"1:1","resolution":"901p"})");
}

TEST_CASE("who asks why is told of videos and files, and of pictures where pictures are made") {
  const auto told = [](Medium medium) {
    Wish wish = open_film();
    wish.makes = medium;
    const bool sound = medium == Medium::audio;
    const std::string category = sound                     ? "text-to-audio"
                                 : medium == Medium::video ? "text-to-video"
                                                           : "text-to-image";
    const auto output = std::string(medium == Medium::image ? "image" : name_of(medium));
    return plan::explain(
               models::plan_of(
                   wish, made_from(category, R"("steps": {"type": "integer"})", "[]", output)))
        .dump();
  };
  for (const auto& [medium, word] :
       {std::pair(Medium::video, "one video each"), std::pair(Medium::audio, "one file each"),
        std::pair(Medium::image, "one picture each")}) {
    const std::string text = told(medium);
    CAPTURE(text);
    CHECK(text.find(word) != std::string::npos);
    CHECK(text.find(R"("files":1)") != std::string::npos);
  }
}

TEST_CASE(
    "a length that is required and that nobody gave is asked for, and not taken from an example") {
  const std::string duration = R"("duration": {"type": "integer", "examples": [50]})";
  for (const Medium medium : {Medium::audio, Medium::video}) {
    const bool sound = medium == Medium::audio;
    const profile::Profile model =
        made_from(sound ? "text-to-audio" : "text-to-video", duration, R"(["prompt", "duration"])",
                  sound ? "audio" : "video");
    Wish wish = open_film();
    wish.makes = medium;
    const auto refused = models::map(wish, model);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::missing_parameter);
    CHECK(refused.error().field == "duration");
    wish.native = models::fields(R"({"duration": 8})");
    CHECK(models::sent(models::plan_of(wish, model)) == R"({"duration":8})");
  }
  // Of what costs nothing more the example serves.
  CHECK(models::sent(models::plan_of(open_film(),
                                     film_model(R"("steps": {"type": "integer", "examples": [20]})",
                                                R"(["steps"])"))) == R"({"steps":20})");
}
