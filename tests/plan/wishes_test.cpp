// Fields and words of other programs that can mean one thing only.
#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "plan/models.hpp"

using namespace falproxy;
using namespace models;

namespace {

Wish wishing(std::string_view members) {
  Wish request = generation();
  request.native = fields(members);
  return request;
}
Wish in_words(std::string word) {
  Wish request = generation();
  request.size_word = std::move(word);
  return request;
}
// A model with this input that makes a video.
Profile video(std::string_view inputs) {
  Profile model = with({inputs});
  model.makes = Medium::video;
  model.roles.clear();
  for (const schema::Field& field : model.schema->inputs) {
    using profile::Role;
    if (field.name == "prompt") model.roles.push_back({Role::text, field.name, &field});
    if (field.name == "fps") model.roles.push_back({Role::frame_rate, field.name, &field});
    if (field.name == "duration" || field.name == "num_frames" || field.name == "length_ms")
      model.roles.push_back({Role::length, field.name, &field});
    if (field.name == "num_frames") model.length_unit = profile::LengthUnit::frames;
    if (field.name == "length_ms") model.length_unit = profile::LengthUnit::milliseconds;
  }
  return model;
}

}  // namespace

TEST_CASE("a size in words goes to whatever the model has for it (E5)") {
  struct Case {
    std::string word;
    std::vector<std::string_view> inputs;
    std::string want;
  };
  for (const Case& c : std::vector<Case>{
           {"landscape_16_9", {free_size}, R"({"image_size":"landscape_16_9"})"},
           {"Landscape-16-9", {free_size}, R"({"image_size":"landscape_16_9"})"},
           {"landscape_16_9", {ratios}, R"({"aspect_ratio":"16:9"})"},
           {"portrait", {ratios}, R"({"aspect_ratio":"3:4"})"},
           {"2K", {ratios, tiers}, R"({"resolution":"2K"})"},
           {"2048p", {ratios, tiers}, R"({"resolution":"2K"})"},
           {"4K", {R"("resolution": {"enum": ["1K", "2K"]})"}, R"({"resolution":"2K"})"},
           {"2K", {free_size}, R"({"image_size":{"height":1728,"width":2304}})"},
           {"1024x1024px", {free_size}, R"({"image_size":{"height":1024,"width":1024}})"},
           {"auto", {openai_sizes}, R"({"image_size":"auto"})"},
       }) {
    CAPTURE(c.word);
    CHECK(sent(plan_of(in_words(c.word), with(c.inputs))) == c.want);
  }
  CHECK(plan_of(in_words("landscape_16_9"), with({free_size})).size == "1024x576");
  CHECK(plan_of(in_words("landscape_16_9"), with({free_size})).notes.empty());
  CHECK(note(plan_of(in_words("2K"), with({free_size})), "size") == "2K became 2304x1728");
  CHECK(has_note(plan_of(in_words("2K"), with({seed})), "size", "2K was dropped"));
}

TEST_CASE("a word that is no size is refused, with those that the model has") {
  for (const std::string word : {"banana", "banana 16:9", "99999x99999px", "hd"}) {
    CAPTURE(word);
    const auto mapped = map(in_words(word), with({free_size}));
    REQUIRE_FALSE(mapped);
    CHECK(mapped.error().kind == ErrorKind::invalid_value);
    CHECK(mapped.error().field == "size");
    CHECK(mapped.error().message.find("'landscape_16_9'") != std::string::npos);
  }
}

TEST_CASE("a size in another model's field is a wish (E5)") {
  struct Case {
    std::string_view members;
    std::vector<std::string_view> inputs;
    std::string want;
  };
  for (const Case& c : std::vector<Case>{
           {R"({"image_size": "landscape_16_9"})", {ratios}, R"({"aspect_ratio":"16:9"})"},
           {R"({"image_size": {"width": 900, "height": 1600}})",
            {ratios},
            R"({"aspect_ratio":"9:16"})"},
           {R"({"image_size": "1024x768"})",
            {free_size},
            R"({"image_size":{"height":768,"width":1024}})"},
           {R"({"aspectRatio": "16:9"})", {ratios}, R"({"aspect_ratio":"16:9"})"},
           {R"({"aspectRatio": "16:9"})",
            {free_size},
            R"({"image_size":{"height":720,"width":1280}})"},
           {R"({"resolution": "2K"})",
            {free_size},
            R"({"image_size":{"height":1728,"width":2304}})"},
           {R"({"aspectRatio": "1:1", "resolution": "2K"})",
            {free_size},
            R"({"image_size":{"height":2048,"width":2048}})"},
           {R"({"output_resolution": "1080p", "aspectRatio": "1:1"})",
            {ratios, tiers},
            R"({"aspect_ratio":"1:1","resolution":"2K"})"},
       }) {
    CAPTURE(std::string(c.members));
    const Plan mapped = plan_of(wishing(c.members), with(c.inputs));
    CHECK(sent(mapped).find(c.want.substr(1, c.want.size() - 2)) != std::string::npos);
  }
  Options strict;
  strict.strict_parameters = true;
  CHECK(map(wishing(R"({"aspectRatio": "16:9"})"), with({ratios}), {}, strict));
  // What says no size, and what the request's own size decides, is dropped with a Note.
  CHECK(has_note(plan_of(wishing(R"({"image_size": "huge"})"), with({ratios})), "image_size",
                 "dropped"));
  Wish both = wishing(R"({"image_size": "square_hd"})");
  both.size = ratio(16, 9);
  const Plan decided = plan_of(both, with({ratios}));
  CHECK(sent(decided) == R"({"aspect_ratio":"16:9"})");
  CHECK(has_note(decided, "image_size", "dropped"));
}

TEST_CASE("a field under another spelling, or another usual name, reaches its input (E5)") {
  const Profile model = with({R"("num_inference_steps": {"type": "integer", "maximum": 50})",
                              R"("guidance_scale": {"type": "number"})",
                              R"("negative_prompt": {"type": "string"})", seed});
  const Plan mapped =
      plan_of(wishing(R"({"steps": 12, "cfg": 2, "negativePrompt": "fog", "Seed": 7})"), model);
  CHECK(sent(mapped) ==
        R"({"guidance_scale":2,"negative_prompt":"fog","num_inference_steps":12,"seed":7})");
  CHECK(note(mapped, "steps") == "sent as 'num_inference_steps'");
  // The model's own name wins, and bounds hold.
  const Plan own = plan_of(wishing(R"({"steps": 12, "num_inference_steps": 30})"), model);
  CHECK(sent(own) == R"({"num_inference_steps":30})");
  CHECK(has_note(own, "steps", "dropped"));
  const auto over = map(wishing(R"({"steps": 51})"), model);
  REQUIRE_FALSE(over);
  CHECK(over.error().field == "steps");
  // A prompt is told by its own name alone.
  CHECK(has_note(plan_of(wishing(R"({"Prompt": "other"})"), model), "Prompt", "dropped"));
}

TEST_CASE("image_url reaches a model of image_urls, and the reverse (E5)") {
  const Profile many = with({many_images}, R"(["prompt", "image_urls"])");
  CHECK(sent(plan_of(wishing(R"({"image_url": "https://a.b/1"})"), many)) ==
        R"({"image_urls":["https://a.b/1"]})");
  const Profile one = with({one_image}, R"(["prompt", "image_url"])");
  CHECK(sent(plan_of(wishing(R"({"image_urls": ["https://a.b/1"]})"), one)) ==
        R"({"image_url":"https://a.b/1"})");
  CHECK(has_note(plan_of(wishing(R"({"image_urls": ["https://a.b/1"]})"), one), "image_urls",
                 "sent as 'image_url'"));
  const auto refused = map(wishing(R"({"image_urls": ["https://a.b/1", "https://a.b/2"]})"), one);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().field == "image_urls");
  // As data it gets its address where it goes to.
  Wish data = wishing(R"j({"image_url": "data:(picture)"})j");
  data.attached = {{"image_url", {}, {.bytes = "a picture"}}};
  const Plan attached = plan_of(data, many);
  REQUIRE(attached.jobs.at(0).slots.size() == 1);
  CHECK(attached.jobs[0].slots[0].property == "image_urls");
  CHECK(attached.jobs[0].slots[0].path == "/0");
  CHECK(attached.source == 0);
  // A picture that is sent as OpenAI sends it has the input.
  Wish sent_too = edit();
  sent_too.native = fields(R"({"image_urls": ["https://a.b/1"]})");
  CHECK(has_note(plan_of(sent_too, one), "image_urls", "dropped"));
}

TEST_CASE("seconds become the nearest length that the model takes") {
  struct Case {
    std::string_view members;
    std::string_view inputs;
    std::string want;
    std::string told;
  };
  for (const Case& c : std::vector<Case>{
           {R"({"seconds": "8"})", R"("duration": {"enum": ["5", "10"]})", R"({"duration":"10"})",
            "8 seconds became duration 10"},
           {R"({"seconds": 7.5})", R"("duration": {"enum": ["5s", "10s"]})", R"({"duration":"5s"})",
            "7.5 seconds became duration 5s"},
           {R"({"seconds": "4"})", R"("duration": {"enum": [4, 6, 8]})", R"({"duration":4})", ""},
           {R"({"seconds": 18})", R"("duration": {"type": "integer", "minimum": 2, "maximum": 12})",
            R"({"duration":12})", "18 seconds became duration 12"},
           {R"({"seconds": 2.5})", R"("duration": {"type": "number", "maximum": 12})",
            R"({"duration":2.5})", ""},
           {R"({"duration": 5})",
            R"("num_frames": {"type": "integer", "minimum": 17, "maximum": 161},
               "fps": {"type": "integer", "default": 16})",
            R"({"num_frames":80})", "5 seconds became num_frames 80"},
           {R"({"seconds": 5, "fps": 24})",
            R"("num_frames": {"type": "integer", "maximum": 161}, "fps": {"type": "integer"})",
            R"({"fps":24,"num_frames":120})", "5 seconds became num_frames 120"},
           {R"({"seconds": 5})", R"("num_frames": {"type": "integer"})", R"({})",
            "dropped: the model counts frames"},
           {R"({"seconds": 3})", R"("length_ms": {"type": "integer", "maximum": 9000})",
            R"({"length_ms":3000})", "3 seconds became length_ms 3000"},
       }) {
    CAPTURE(std::string(c.inputs));
    const Plan mapped = plan_of(wishing(c.members), video(c.inputs));
    CHECK(sent(mapped) == c.want);
    const std::string field = c.members.starts_with(R"({"d)") ? "duration" : "seconds";
    CHECK(note(mapped, field).starts_with(c.told));
    CHECK(note(mapped, field).empty() == c.told.empty());
  }
  for (const std::string_view bad : {R"({"seconds": "soon"})", R"({"seconds": -1})"}) {
    const auto refused = map(wishing(bad), video(R"("duration": {"enum": ["5", "10"]})"));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().field == "seconds");
  }
}

TEST_CASE("a wish for a video names its length, and is answered by an address") {
  const Profile model = video(R"("duration": {"type": "string", "enum": ["5", "10"]})");
  Wish wish = generation();
  wish.makes = Medium::video;
  wish.seconds = 8;
  const Plan plan = plan_of(wish, model);
  CHECK(sent(plan) == R"({"duration":"10"})");
  CHECK(plan.makes == Medium::video);
  CHECK(plan.response_format == ResponseFormat::url);
  CHECK(has_note(plan, "seconds", "8 seconds became duration 10"));

  wish.native = fields(R"({"duration": "5"})");
  CHECK(sent(plan_of(wish, model)) == R"({"duration":"5"})");
  CHECK(has_note(plan_of(wish, model), "seconds", "'duration' has a value already"));
  wish.native = {};
  CHECK(has_note(plan_of(wish, video(seed)), "seconds", "the model has nothing for it"));
}

TEST_CASE("a length that is far from all that the model makes is refused, and told what it makes") {
  Wish wish = generation();
  wish.makes = Medium::video;
  const auto refused = [&](double seconds, std::string_view inputs) {
    wish.seconds = seconds;
    const auto mapped = map(wish, video(inputs));
    REQUIRE_FALSE(mapped);
    CHECK(mapped.error().field == "seconds");
    return mapped.error().message;
  };
  const std::string_view listed = R"("duration": {"enum": ["5", "10"]})";
  CHECK(refused(20, listed).find("'5', '10'") != std::string::npos);
  CHECK(refused(3, listed).find("3 seconds") != std::string::npos);
  const std::string_view limited =
      R"("num_frames": {"type": "integer", "minimum": 16, "maximum": 80}, "fps": {"type": "integer", "default": 16})";
  CHECK(refused(8, limited).find("from 16 to 80") != std::string::npos);
  wish.seconds = 7.5;
  CHECK(map(wish, video(limited)));
}

TEST_CASE("a model that makes no videos is no model for a video") {
  Wish wish = generation();
  wish.makes = Medium::video;
  const auto refused = map(wish, with({seed}));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().field == "model");
}
