#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "translate/models.hpp"

using namespace falproxy;
using namespace models;
using translate::FalImage;
using translate::FalResult;

namespace {

Result<FalResult> read(std::string text) {
  return translate::read_result(std::make_shared<const std::string>(std::move(text)));
}
FalResult good(std::string text) {
  auto result = read(std::move(text));
  if (!result) FAIL(result.error().message);
  return *std::move(result);
}
std::vector<std::string> urls(const FalResult& result) {
  std::vector<std::string> all;
  for (const FalImage& image : result.images) all.push_back(image.svg ? "svg" : image.url.str());
  return all;
}

const std::string a = "https://v3.fal.media/files/a.png";
const std::string b = "https://v3.fal.media/files/b.png";

}  // namespace

TEST_CASE("pictures are found in results of every shape") {
  struct Case {
    std::string name;
    std::string text;
    std::vector<std::string> want;
  };
  const auto quoted = [](const std::string& text) { return '"' + text + '"'; };
  const std::vector<Case> cases = {
      {"images", R"({"images":[{"url":)" + quoted(a) + R"(},{"url":)" + quoted(b) + "}]}", {a, b}},
      {"image", R"({"image":{"url":)" + quoted(a) + "}}", {a}},
      {"image, beside empty images", R"({"images":[],"image":{"url":)" + quoted(a) + "}}", {a}},
      {"images before image",
       R"({"image":{"url":)" + quoted(b) + R"(},"images":[{"url":)" + quoted(a) + "}]}",
       {a}},
      {"texts", R"({"images":[)" + quoted(a) + "," + quoted(b) + "]}", {a, b}},
      {"one text", R"({"image":)" + quoted(a) + "}", {a}},
      {"one object for images", R"({"images":{"url":)" + quoted(a) + "}}", {a}},
      {"nested", R"({"result":{"data":{"images":[{"url":)" + quoted(a) + "}]}}}", {a}},
      {"an output of texts", R"({"output":[)" + quoted(a) + "]}", {a}},
      {"image_url", R"({"image_url":)" + quoted(a) + "}", {a}},
      {"image_url within items", R"({"images":[{"image_url":{"url":)" + quoted(a) + "}}]}", {a}},
      {"lists of lists",
       R"({"images":[[{"url":)" + quoted(a) + R"(}],[{"url":)" + quoted(b) + "}]]}",
       {a, b}},
      {"nulls among items", R"({"images":[null,{"url":null},{"url":)" + quoted(a) + "}]}", {a}},
      {"a list alone", "[" + quoted(a) + "]", {a}},
      {"a bare text", quoted(a), {a}},
      {"a member of another name", R"({"depth_map":{"url":)" + quoted(a) + "}}", {a}},
      {"masks only where there is nothing else",
       R"({"a_mask":{"url":)" + quoted(b) + R"(},"rendering":{"url":)" + quoted(a) + "}}",
       {a}},
      {"masks", R"({"combined_mask":{"url":)" + quoted(b) + "}}", {b}},
      {"a video is no picture",
       R"({"video":{"url":"https://x/v.mp4","content_type":"video/mp4"},"frames":[{"url":)" +
           quoted(a) + "}]}",
       {a}},
      {"svg as text", R"({"svg_content":"<svg xmlns=\"x\"></svg>"})", {"svg"}},
      {"svg within an item",
       R"({"images":[{"svg":"<?xml version=\"1.0\"?>\n<svg></svg>"}]})",
       {"svg"}},
      {"escaped slashes", R"({"images":[{"url":"https:\/\/v3.fal.media\/files\/a.png"}]})", {a}},
      {"base64 without a prefix",
       R"({"images":["iVBORw0KGgoAAAANSUhEUgAA"]})",
       {"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA"}},
  };
  for (const Case& c : cases) {
    SUBCASE(c.name.c_str()) { CHECK(urls(good(c.text)) == c.want); }
  }
}

TEST_CASE("a result without a picture, or that is no JSON, is told apart") {
  for (const std::string text :
       {"", "{", "<html>", R"({"images":[)", "\"unfinished", "{\"a\":\"\\"}) {
    CAPTURE(text);
    const auto result = read(text);
    REQUIRE_FALSE(result);
    CHECK(result.error().kind == ErrorKind::upstream_failed);
  }
  for (const std::string text :
       {"{}", "null", "[]", "5", R"({"images":[]})", R"({"images":[{"url":""}]})",
        R"({"images":[{"url":"ftp://x/y"}]})",
        R"({"images":[{"url":"javascript:void"}]
})",
        R"({"images":[{"url":"https://x/a\nb"}]})",
        R"({"images":[{"url":"data:text/html;base64,AAAA"}]})", R"({"text":"a house","seed":5})",
        R"({"images":[{"url":"https://x/\u0000"}]})"}) {
    CAPTURE(text);
    const auto result = read(text);
    REQUIRE_FALSE(result);
    CHECK(result.error().kind == ErrorKind::no_image);
  }
  CHECK_FALSE(read(std::string(10'000, '[')));
}

TEST_CASE("an address with blanks or letters beyond ASCII is mended") {
  CHECK(urls(good(R"({"image":"https://x/my cat \u00e9\".png?a=%20"})")) ==
        std::vector<std::string>{"https://x/my%20cat%20%C3%A9%22.png?a=%20"});
}

TEST_CASE("what a result says of its pictures is read, where it says it") {
  const FalResult result = good(
      R"({"images":[{"url":"https://x/a.png","width":1024,"height":768,"content_type":"image/png"},
          {"url":"https://x/b","width":null,"height":null,"content_type":null}],
          "has_nsfw_concepts":[false,true],"revised_prompt":"a tall lighthouse","prompt":"a lighthouse","seed":5})");
  REQUIRE(result.images.size() == 2);
  CHECK(result.images[0].width == 1024);
  CHECK(result.images[0].height == 768);
  CHECK(result.images[0].content_type == "image/png");
  CHECK_FALSE(result.images[1].width);
  CHECK(result.images[1].content_type.empty());
  CHECK(result.nsfw == std::vector<bool>{false, true});
  CHECK(result.images[1].revised_prompt == "a tall lighthouse");

  CHECK(good(R"({"images":["https://x/a.png","https://x/b.png"],"has_nsfw_concepts":true})").nsfw ==
        std::vector<bool>{true, true});
  CHECK(good(R"({"images":["https://x/a.png"],"nsfw_content_detected":[true,false]})").nsfw ==
        std::vector<bool>{true});
  CHECK(
      good(
          R"({"images":[null,{"url":null},"https://x/a.png"],"has_nsfw_concepts":[true,true,false]})")
          .nsfw == std::vector<bool>{false});
  CHECK(good(R"({"images":["https://x/a.png"]})").nsfw.empty());
  CHECK(good(R"({"images":["https://x/a.png"],"has_nsfw_concepts":null})").nsfw.empty());
  CHECK_FALSE(
      good(R"({"images":["https://x/a.png"],"prompt":"an echo"})").images[0].revised_prompt);
  CHECK(good(R"({"images":["https://x/a.png"],"actual_prompt":"as it was"})")
            .images[0]
            .revised_prompt == "as it was");
}

TEST_CASE("a picture of many megabytes is read without being copied") {
  const std::string base64(8'000'000, 'Q');
  const auto body =
      std::make_shared<const std::string>(R"({"images":[{"url":"data:image/png;base64,)" + base64 +
                                          R"(","width":512,"height":512}],"seed":1})");
  const auto result = translate::read_result(body);
  REQUIRE(result);
  REQUIRE(result->images.size() == 1);
  const FalImage& image = result->images[0];
  CHECK(image.is_data_uri);
  CHECK(image.content_type == "image/png");
  CHECK(image.width == 512);
  REQUIRE(image.url.pieces().size() == 1);
  const Piece& piece = image.url.pieces()[0];
  CHECK(piece.bytes.data() > body->data());
  CHECK(piece.bytes.data() < body->data() + body->size());
  CHECK(piece.owner == body);

  const auto content = translate::base64_of(image);
  REQUIRE(content);
  REQUIRE(content->pieces().size() == 1);
  CHECK(content->pieces()[0].bytes == base64);
  CHECK(content->pieces()[0].bytes.data() == piece.bytes.data() + 22);
}

TEST_CASE("a data URI with escapes in it is read as well") {
  const std::string base64(3000, 'Q');
  const FalResult result = good(R"({"images":["data:image\/webp;base64,)" + base64 + R"("]})");
  REQUIRE(result.images.size() == 1);
  CHECK(translate::base64_of(result.images[0])->str() == base64);
  CHECK_FALSE(translate::base64_of(good(R"({"images":["https://x/a.png"]})").images[0]));
  CHECK(translate::base64_of(good(R"({"images":["iVBORw0KGgoAAAA="]})").images[0])->str() ==
        "iVBORw0KGgoAAAA=");
}

TEST_CASE("a string that looks like falproxy's own mark for long strings is harmless") {
  const std::string base64(3000, 'Q');
  const FalResult result = good(
      R"({"images":[")" + std::string(R"(\u0001long:7","\u0001long:","data:image/png;base64,)") +
      base64 + R"("]})");
  CHECK(result.images.size() == 1);
}

TEST_CASE("pictures of several jobs come in their order, as many as were asked") {
  FalPlan plan;
  plan.n = 3;
  std::vector<translate::Note> notes;
  const auto merged = translate::merge(plan,
                                       {good(R"({"images":["https://x/1","https://x/2"]})"),
                                        good(R"({"images":["https://x/3","https://x/4"]})")},
                                       {}, notes);
  REQUIRE(merged);
  CHECK(urls(*merged) == std::vector<std::string>{"https://x/1", "https://x/2", "https://x/3"});
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].text == "4 pictures came, 3 were asked for: the others were left out");

  notes.clear();
  const auto fewer = translate::merge(plan, {good(R"({"images":["https://x/1"]})")}, {}, notes);
  REQUIRE(fewer);
  CHECK(fewer->images.size() == 1);
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].text == "1 of 3 pictures came");

  CHECK_FALSE(translate::merge(plan, {}, {}, notes));
}

TEST_CASE("pictures that are marked as not safe are left out, passed on, or all there is") {
  FalPlan plan;
  plan.n = 2;
  const std::string some =
      R"({"images":["https://x/1","https://x/2"],"has_nsfw_concepts":[true,false]})";
  const std::string all =
      R"({"images":["https://x/1","https://x/2"],"has_nsfw_concepts":[true,true]})";
  std::vector<translate::Note> notes;

  const auto left = translate::merge(plan, {good(some)}, {}, notes);
  REQUIRE(left);
  CHECK(urls(*left) == std::vector<std::string>{"https://x/2"});
  REQUIRE_FALSE(notes.empty());
  CHECK(notes[0].text.find("left out") != std::string::npos);

  const auto refused = translate::merge(plan, {good(all)}, {}, notes);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::content_policy);

  Options pass;
  pass.nsfw_results = NsfwResults::pass;
  const auto passed = translate::merge(plan, {good(all)}, pass, notes);
  REQUIRE(passed);
  CHECK(passed->images.size() == 2);
}

TEST_CASE("each picture has the prompt of the job that brought it") {
  FalPlan plan;
  plan.n = 2;
  std::vector<translate::Note> notes;
  const auto merged =
      translate::merge(plan,
                       {good(R"({"images":["https://x/1"],"revised_prompt":"one"})"),
                        good(R"({"images":["https://x/2"],"revised_prompt":"two"})")},
                       {}, notes);
  REQUIRE(merged);
  const auto response =
      translate::to_openai(plan, *merged, {Body(std::string("A")), Body(std::string("B"))}, 1);
  CHECK(response.data.at(0).revised_prompt == "one");
  CHECK(response.data.at(1).revised_prompt == "two");
}

TEST_CASE("the answer carries the pictures and what was resolved") {
  FalPlan plan;
  plan.n = 1;
  plan.response_format = ResponseFormat::b64_json;
  plan.size = "1024x1024";
  plan.quality = "high";
  plan.background = "opaque";
  plan.output_format = "jpeg";
  FalResult merged =
      good(R"({"image":{"url":"https://x/a","width":1000,"height":700,"content_type":"image/webp"},
                              "revised_prompt":"better"})");
  openai::ImageResponse response =
      translate::to_openai(plan, merged, {Body(std::string("QUJD"))}, 1234);
  CHECK(response.created == 1234);
  REQUIRE(response.data.size() == 1);
  CHECK(response.data[0].content.str() == "QUJD");
  CHECK_FALSE(response.data[0].is_url);
  CHECK(response.data[0].revised_prompt == "better");
  CHECK(response.size == "1000x700");
  CHECK(response.quality == "high");
  CHECK(response.background == "opaque");
  CHECK(response.output_format == "webp");
  CHECK(response.usage == openai::Usage{});

  plan.output_format_sent = true;
  plan.response_format = ResponseFormat::url;
  merged = good(R"({"image":{"url":"https://x/a","content_type":"image/webp"}})");
  response = translate::to_openai(plan, merged, {Body(std::string("https://x/a"))}, 1);
  CHECK(response.data[0].is_url);
  CHECK(response.size == "1024x1024");
  CHECK(response.output_format == "jpeg");
}
