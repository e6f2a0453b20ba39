// OpenAI's videos API as values: what a request asks for, and the objects of its answers.
#include <doctest/doctest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "falproxy/openai.hpp"
#include "falproxy/openai_videos.hpp"
#include "falproxy/plain_codecs.hpp"

namespace falproxy {
namespace {

using VideoJson = nlohmann::json;

Result<Wish> read_video(const std::string& body) {
  Result<Wish> wish = openai::parse_json(Intent::generation, body, RequestLimits(), PlainCodecs(),
                                         nullptr, Medium::video);
  return wish ? openai::as_video(*std::move(wish)) : wish;
}

RunStatus video_status(RunPhase phase) {
  RunStatus status{.phase = phase};
  status.record.id.bytes.fill(0xab);
  status.record.requested_model = "sora-like";
  status.record.created = WallTime(std::chrono::seconds(1'764'500'000));
  status.record.changed = status.record.created + std::chrono::seconds(60);
  status.record.expires = status.record.created + std::chrono::hours(168);
  return status;
}

}  // namespace

TEST_CASE("seconds are read as clients write them") {
  for (const char* text : {"8", "\"8\"", "\"8s\"", "8.0", "\" 8 \""}) {
    CAPTURE(text);
    const auto wish = read_video(std::string(R"({"prompt":"a fox","seconds":)") + text + "}");
    REQUIRE(wish);
    CHECK(wish->seconds == 8);
    CHECK(wish->makes == Medium::video);
    CHECK(wish->native.empty());
    const auto other = read_video(std::string(R"({"prompt":"a fox","duration":)") + text + "}");
    REQUIRE(other);
    CHECK(other->seconds == 8);
    CHECK(other->native.empty());
  }
  for (const char* text : {"0", "-1", "\"long\"", "\"8m\"", "1e9", "true", "[8]"}) {
    CAPTURE(text);
    const auto wish = read_video(std::string(R"({"prompt":"a fox","seconds":)") + text + "}");
    REQUIRE_FALSE(wish);
    CHECK(wish.error().field == "seconds");
  }
  for (const char* text : {"null", "\"\""}) {
    const auto wish = read_video(std::string(R"({"prompt":"a fox","seconds":)") + text + "}");
    REQUIRE(wish);
    CHECK_FALSE(wish->seconds.has_value());
  }
}

TEST_CASE("a model's own word for a length stays its own") {
  const auto wish = read_video(R"({"prompt":"a fox","duration":"auto"})");
  REQUIRE(wish);
  CHECK_FALSE(wish->seconds.has_value());
  REQUIRE(wish->native.size() == 1);
  CHECK(wish->native[0].first == "duration");
}

TEST_CASE("a request makes one video") {
  CHECK(read_video(R"({"prompt":"a fox","n":1})"));
  const auto several = read_video(R"({"prompt":"a fox","n":2})");
  REQUIRE_FALSE(several);
  CHECK(several.error().field == "n");
}

TEST_CASE(
    "of a video what only pictures have is the model's own, with the type that it came with") {
  const auto wish = read_video(
      R"x({"prompt":"a fox","quality":80,"output_format":"VP9 (.webm)","style":"","user":"me"})x");
  REQUIRE(wish);
  REQUIRE(wish->native.size() == 2);
  CHECK(wish->native[0].first == "output_format");
  CHECK(wish->native[0].second.as_string() == "VP9 (.webm)");
  CHECK(wish->native[1].second.as_integer() == 80);
  CHECK_FALSE(wish->quality.has_value());
  CHECK(wish->user == "me");

  // A form has numbers as text.
  const auto text = std::make_shared<const std::string>("80");
  const auto prompt = std::make_shared<const std::string>("a fox");
  const auto form = openai::parse_form(
      Intent::generation,
      {{"prompt", std::nullopt, "", prompt, *prompt}, {"quality", std::nullopt, "", text, *text}},
      RequestLimits(), PlainCodecs(), nullptr, Medium::video);
  REQUIRE(form);
  REQUIRE(form->native.size() == 1);
  CHECK(form->native[0].second.as_integer() == 80);
  REQUIRE(form->native_texts.size() == 1);
  CHECK(form->native_texts[0].second == "80");
}

TEST_CASE("the picture comes as an address, in an object, or in a list of one") {
  const std::string address = "https://example.com/a.png";
  for (const std::string& value :
       {"\"" + address + "\"", R"({"image_url":")" + address + "\"}", "[\"" + address + "\"]"}) {
    CAPTURE(value);
    const auto wish = read_video(R"({"prompt":"a fox","input_reference":)" + value + "}");
    REQUIRE(wish);
    REQUIRE(wish->images.size() == 1);
    CHECK(wish->images[0].url == address);
  }
  const auto kept = read_video(R"({"prompt":"a fox","input_reference":{"file_id":"file-1"}})");
  REQUIRE_FALSE(kept);
  CHECK(kept.error().field == "input_reference.file_id");
  const auto odd = read_video(R"({"prompt":"a fox","input_reference":7})");
  REQUIRE_FALSE(odd);
  CHECK(odd.error().field == "input_reference");
}

TEST_CASE("an error speaks of the picture as this API does") {
  const Error error = openai::video_error(
      {.kind = ErrorKind::edit_unsupported, .message = "Send 'image'.", .field = "image"});
  CHECK(error.field == "input_reference");
  CHECK(error.message == "Send 'input_reference'.");
}

TEST_CASE("a video object has every member, and four words for its status") {
  RunStatus status = video_status(RunPhase::in_progress);
  status.progress = 40;
  status.size = "1280x720";
  status.seconds = 5.04;
  const VideoJson video = VideoJson::parse(openai::write_video(status));
  CHECK(video.size() == 13);
  CHECK(video["id"] == "video_abababababababababababababababab");
  CHECK(video["object"] == "video");
  CHECK(video["model"] == "sora-like");
  CHECK(video["status"] == "in_progress");
  CHECK(video["progress"] == 40);
  CHECK(video["created_at"] == 1'764'500'000);
  CHECK(video["seconds"] == "5");
  CHECK(video["size"] == "1280x720");
  for (const char* name :
       {"completed_at", "expires_at", "prompt", "remixed_from_video_id", "error"}) {
    CAPTURE(name);
    REQUIRE(video.contains(name));
    CHECK(video[name].is_null());
  }
  status.phase = RunPhase::cancelled;
  status.error = Error{.kind = ErrorKind::content_policy, .message = "No."};
  const VideoJson failed = VideoJson::parse(openai::write_video(status));
  CHECK(failed["status"] == "failed");
  CHECK(failed["error"]["code"] == "moderation_blocked");
  CHECK(failed["error"]["message"] == "No.");
  CHECK(failed["completed_at"] == 1'764'500'060);
}

TEST_CASE("what is not known of a video is null, and never what was asked") {
  const VideoJson video = VideoJson::parse(openai::write_video(video_status(RunPhase::queued)));
  CHECK(video["seconds"].is_null());
  CHECK(video["size"].is_null());
}

TEST_CASE("a page of videos names its ends") {
  const VideoJson empty = VideoJson::parse(openai::write_videos({}, false));
  CHECK(empty["data"].empty());
  CHECK(empty["first_id"].is_null());
  CHECK(empty["last_id"].is_null());
  CHECK(empty["has_more"] == false);
  RunStatus other = video_status(RunPhase::queued);
  other.record.id.bytes.fill(1);
  const VideoJson page =
      VideoJson::parse(openai::write_videos({video_status(RunPhase::queued), other}, true));
  CHECK(page["first_id"] == "video_abababababababababababababababab");
  CHECK(page["last_id"] == "video_01010101010101010101010101010101");
  CHECK(page["has_more"] == true);
}

TEST_CASE("ids of videos are read back, and nothing else is one") {
  RunId id;
  id.bytes.fill(0x0f);
  CHECK(openai::parse_video_id(openai::video_id(id)) == id);
  for (const char* text : {"", "video_", "video_1", "job_0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"})
    CHECK_FALSE(openai::parse_video_id(text).has_value());
}

}  // namespace falproxy
