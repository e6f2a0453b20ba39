#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "plan/models.hpp"

using namespace falproxy;
using namespace models;
using plan::JobResult;
using plan::ResultFile;

namespace {

Result<JobResult> read(std::string text) {
  return plan::read_result(std::make_shared<const std::string>(std::move(text)));
}
JobResult good(std::string text) {
  auto result = read(std::move(text));
  if (!result) FAIL(result.error().message);
  return *std::move(result);
}
std::vector<std::string> urls(const JobResult& result) {
  std::vector<std::string> all;
  for (const ResultFile& image : result.images) all.push_back(image.svg ? "svg" : image.url.str());
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

TEST_CASE("a result is read where the document says that its pictures are") {
  struct Case {
    std::string name;
    std::string text;
    std::vector<std::string> places, want;
  };
  const std::vector<Case> cases = {
      {"a promised place before a usual one",
       R"({"images":[{"url":"https://x/other.png"}],"shot":{"url":"https://x/shot"}})",
       {"shot.url"},
       {"https://x/shot"}},
      {"deep within",
       R"({"render":{"frames":[{"file":{"url":"https://x/1"}},{"file":{"url":"https://x/2"}}]}})",
       {"render.frames[].file.url"},
       {"https://x/1", "https://x/2"}},
      {"the next place where the first is empty",
       R"({"image":null,"images":[{"url":"https://x/1"}]})",
       {"image.url", "images[].url"},
       {"https://x/1"}},
      {"an object as the place",
       R"({"render":{"frame":{"url":"https://x/1"}}})",
       {"render.frame"},
       {"https://x/1"}},
      {"elsewhere where nothing is there",
       R"({"images":[{"url":"https://x/1"}]})",
       {"frame.url"},
       {"https://x/1"}},
  };
  for (const Case& c : cases) {
    SUBCASE(c.name.c_str()) {
      const auto result = plan::read_result(std::make_shared<const std::string>(c.text), c.places);
      REQUIRE(result);
      CHECK(urls(*result) == c.want);
    }
  }
}

TEST_CASE("what only looks like an address is no picture") {
  for (const std::string text : {R"({"images":[],"debug":{"url":"https://fal.ai/logs/1"}})",
                                 R"({"video":{"url":"https://x/a.mp4"}})",
                                 R"({"config_file":{"url":"https://x/a.json?png"}})"}) {
    CAPTURE(text);
    const auto result = read(text);
    REQUIRE_FALSE(result);
    CHECK(result.error().kind == ErrorKind::no_image);
  }
  CHECK(urls(good(R"({"debug":{"url":"https://x/a.webp?v=1"}})")).size() == 1);
  CHECK(urls(good(R"({"debug":{"url":"https://x/a","width":8,"height":8}})")).size() == 1);
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
  const JobResult result = good(
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
  const auto result = plan::read_result(body);
  REQUIRE(result);
  REQUIRE(result->images.size() == 1);
  const ResultFile& image = result->images[0];
  CHECK(image.is_data_uri);
  CHECK(image.content_type == "image/png");
  CHECK(image.width == 512);
  REQUIRE(image.url.pieces().size() == 1);
  const Piece& piece = image.url.pieces()[0];
  CHECK(piece.bytes.data() > body->data());
  CHECK(piece.bytes.data() < body->data() + body->size());
  CHECK(piece.owner == body);

  const auto content = plan::base64_of(image);
  REQUIRE(content);
  REQUIRE(content->pieces().size() == 1);
  CHECK(content->pieces()[0].bytes == base64);
  CHECK(content->pieces()[0].bytes.data() == piece.bytes.data() + 22);
}

TEST_CASE("a data URI with escapes in it is read as well") {
  const std::string base64(3000, 'Q');
  const JobResult result = good(R"({"images":["data:image\/webp;base64,)" + base64 + R"("]})");
  REQUIRE(result.images.size() == 1);
  CHECK(plan::base64_of(result.images[0])->str() == base64);
  CHECK_FALSE(plan::base64_of(good(R"({"images":["https://x/a.png"]})").images[0]));
  CHECK(plan::base64_of(good(R"({"images":["iVBORw0KGgoAAAA="]})").images[0])->str() ==
        "iVBORw0KGgoAAAA=");
}

TEST_CASE("a string that looks like falproxy's own mark for long strings is harmless") {
  const std::string base64(3000, 'Q');
  const JobResult result = good(
      R"({"images":[")" + std::string(R"(\u0001long:7","\u0001long:","data:image/png;base64,)") +
      base64 + R"("]})");
  CHECK(result.images.size() == 1);
}

namespace {

std::vector<std::string> urls(const std::vector<plan::ResultFile>& images) {
  std::vector<std::string> texts;
  for (const plan::ResultFile& image : images) texts.push_back(image.url.str());
  return texts;
}

std::vector<std::string> texts(const std::vector<plan::Note>& notes) {
  std::vector<std::string> texts;
  for (const plan::Note& note : notes) texts.push_back(note.text);
  return texts;
}

}  // namespace

TEST_CASE("of what several jobs bring as many pictures are shown as were asked") {
  Plan plan;
  plan.n = 3;
  plan::Selection selection(plan, {});
  CHECK(urls(selection.take(good(R"({"images":["https://x/1","https://x/2"]})"))) ==
        std::vector<std::string>{"https://x/1", "https://x/2"});
  CHECK(urls(selection.take(good(R"({"images":["https://x/3","https://x/4"]})"))) ==
        std::vector<std::string>{"https://x/3"});
  std::vector<plan::Note> notes;
  selection.tell(notes, 3, {});
  CHECK(texts(notes) ==
        std::vector<std::string>{"4 pictures came, 3 were asked for: the others were left out"});
}

TEST_CASE("a Note says how many pictures did not come, and each reason once") {
  Plan plan;
  plan.n = 4;
  plan::Selection selection(plan, {});
  CHECK(selection.take(good(R"({"images":["https://x/1"]})")).size() == 1);
  std::vector<plan::Note> notes;
  selection.tell(notes, 1, {});
  selection.tell(notes, 1,
                 {"The model failed at fal.", "FLUX is out.", "The model failed at fal."});
  CHECK(texts(notes) ==
        std::vector<std::string>{"1 of 4 pictures came",
                                 "1 of 4 pictures came: the model failed at fal; FLUX is out"});
  CHECK(plan::Selection(plan, {}).nothing().kind == ErrorKind::no_image);
}

TEST_CASE("pictures that are marked as not safe are left out, passed on, or all there is") {
  Plan plan;
  plan.n = 2;
  const std::string some =
      R"({"images":["https://x/1","https://x/2"],"has_nsfw_concepts":[true,false]})";
  const std::string all =
      R"({"images":["https://x/1","https://x/2"],"has_nsfw_concepts":[true,true]})";
  std::vector<plan::Note> notes;

  plan::Selection left(plan, {});
  CHECK(urls(left.take(good(some))) == std::vector<std::string>{"https://x/2"});
  left.tell(notes, 1, {});
  REQUIRE(notes.size() == 2);
  CHECK(notes[0].text.find("left out") != std::string::npos);

  plan::Selection none(plan, {});
  CHECK(none.take(good(all)).empty());
  CHECK(none.nothing().kind == ErrorKind::content_policy);

  Options pass;
  pass.nsfw_results = NsfwResults::pass;
  plan::Selection passed(plan, pass);
  CHECK(passed.take(good(all)).size() == 2);
  notes.clear();
  passed.tell(notes, 2, {});
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].text.find("passed on") != std::string::npos);
}

TEST_CASE("each picture has the prompt of the job that brought it") {
  Plan plan;
  plan.n = 2;
  plan::Selection selection(plan, {});
  std::vector<plan::ResultFile> images =
      selection.take(good(R"({"images":["https://x/1"],"revised_prompt":"one"})"));
  for (const plan::ResultFile& image :
       selection.take(good(R"({"images":["https://x/2"],"revised_prompt":"two"})")))
    images.push_back(image);
  CHECK(images.at(0).revised_prompt == "one");
  CHECK(images.at(1).revised_prompt == "two");
}

TEST_CASE("a video stands where the document says, or where something says that it is one") {
  const auto read = [](std::string_view result, const std::vector<std::string>& places) {
    return plan::read_result(std::make_shared<const std::string>(result), places, Medium::video);
  };
  const auto at_place =
      read(R"({"poster":"https://x/p.png","video":{"url":"https://x/v"}})", {"video.url"});
  REQUIRE(at_place);
  REQUIRE(at_place->images.size() == 1);
  CHECK(at_place->images[0].url.str() == "https://x/v");
  const auto typed = read(R"({"image":{"url":"https://x/p","content_type":"image/png"},)"
                          R"("deep":[{"url":"https://x/v","content_type":"video/mp4"}]})",
                          {"video.url"});
  REQUIRE(typed);
  REQUIRE(typed->images.size() == 1);
  CHECK(typed->images[0].url.str() == "https://x/v");
  CHECK(typed->images[0].content_type == "video/mp4");
  const auto none =
      read(R"({"video":{"url":"https://x/p","content_type":"image/png"}})", {"video.url"});
  REQUIRE_FALSE(none);
  CHECK(none.error().message == "The model finished, but its result holds no video.");
}
