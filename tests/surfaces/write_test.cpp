#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "falproxy/openai.hpp"

using namespace falproxy;
using openai::ImageData;
using openai::ImageEvent;
using openai::ImageResponse;

namespace {

ImageData url(std::string text) { return {.content = Body(std::move(text)), .is_url = true}; }
ImageData base64(std::string text) { return {.content = Body(std::move(text)), .is_url = false}; }

}  // namespace

TEST_CASE("an answer has OpenAI's members in OpenAI's order") {
  ImageResponse response{.created = 1781048048, .data = {base64("aGVsbG8="), base64("d29ybGQ=")}};
  response.size = "1024x1024";
  response.quality = "medium";
  response.background = "opaque";
  response.output_format = "png";
  response.usage = {.input_text_tokens = 20, .input_image_tokens = 2, .output_image_tokens = 2112};
  CHECK(
      openai::write(response).str() ==
      R"({"created":1781048048,"background":"opaque","data":[{"b64_json":"aGVsbG8="},{"b64_json":"d29ybGQ="}],)"
      R"("output_format":"png","quality":"medium","size":"1024x1024","usage":{"input_tokens":22,)"
      R"("input_tokens_details":{"image_tokens":2,"text_tokens":20},"output_tokens":2112,)"
      R"("output_tokens_details":{"image_tokens":2112,"text_tokens":0},"total_tokens":2134}})");
}

TEST_CASE("products become an answer that tells of the first, and events that tell of each") {
  const Product first{.content = Body(std::string("QUJD")),
                      .is_address = false,
                      .created = 7,
                      .size = "64x48",
                      .output_format = "webp",
                      .revised_prompt = "better"};
  const Product second{.content = Body(std::string("https://x/b")), .created = 8, .size = "1x1"};
  const ImageResponse response = openai::image_response({first, second});
  CHECK(response ==
        ImageResponse{.created = 7,
                      .data = {{Body(std::string("QUJD")), false, "better"}, url("https://x/b")},
                      .size = "64x48",
                      .output_format = "webp"});

  ImageEvent event = openai::image_event(first, Intent::edit);
  CHECK(event.kind == ImageEvent::Kind::completed);
  CHECK(event.intent == Intent::edit);
  CHECK(event.b64_json.str() == "QUJD");
  CHECK(event.created_at == 7);
  CHECK(event.size == "64x48");
  CHECK(event.quality.empty());
  event = openai::image_event(second, Intent::generation, 2);
  CHECK(event.kind == ImageEvent::Kind::partial_image);
  CHECK(event.partial_image_index == 2);
}

TEST_CASE("usage is always whole, and no member of data is null (rows 1, 2, 6 and 9)") {
  ImageResponse response{.created = 1, .data = {url("https://v3.fal.media/a.png")}};
  response.data[0].revised_prompt = "a \"b\"";
  const auto json = Json::parse(openai::write(response).str());
  REQUIRE(json.has_value());
  CHECK(json->find("data")->dump() ==
        R"([{"revised_prompt":"a \"b\"","url":"https://v3.fal.media/a.png"}])");
  for (const char* name : {"size", "quality", "background", "output_format"})
    CHECK_FALSE(json->find(name).has_value());
  const Json usage = *json->find("usage");
  for (const char* name : {"input_tokens", "output_tokens", "total_tokens"}) {
    CHECK(usage.find(name)->as_integer() == 0);
  }
  for (const char* name : {"text_tokens", "image_tokens"}) {
    CHECK(usage.find("input_tokens_details")->find(name)->as_integer() == 0);
    CHECK(usage.find("output_tokens_details")->find(name)->as_integer() == 0);
  }
}

TEST_CASE("a large picture is handed on in its own bytes") {
  const auto owner = std::make_shared<const std::string>(1'000'000, 'A');
  Body content;
  content.append(Piece{owner, *owner});
  ImageResponse response{.created = 1,
                         .data = {ImageData{content, false}, ImageData{content, false}}};
  int shared = 0;
  const Body whole = openai::write(response);
  for (const Piece& piece : whole.pieces()) shared += piece.bytes.data() == owner->data();
  CHECK(shared == 2);
  ImageEvent event;
  event.b64_json = content;
  shared = 0;
  const Body streamed = openai::write(event);
  for (const Piece& piece : streamed.pieces()) shared += piece.bytes.data() == owner->data();
  CHECK(shared == 1);
}

TEST_CASE("content that would break out of its string is escaped, however it is cut up") {
  const std::string nasty =
      std::string(5000, 'x') + "\"},\\\n\xC3\xA9\xFF" + std::string(5000, 'y');
  const std::string wanted =
      std::string(5000, 'x') + "\"},\\\n\xC3\xA9\xEF\xBF\xBD" + std::string(5000, 'y');
  for (const std::size_t cut :
       {std::size_t{0}, std::size_t{5005}, std::size_t{5006}, std::size_t{5007}}) {
    Body content;
    content.append(nasty.substr(0, cut));
    content.append(nasty.substr(cut));
    const auto json = Json::parse(
        openai::write(ImageResponse{.created = 1, .data = {ImageData{content, true}}}).str());
    REQUIRE(json.has_value());
    CHECK(json->find("data")->at(0).find("url")->as_string() == wanted);
  }
}

TEST_CASE("an answer without pictures is still an answer that can be read") {
  const auto json = Json::parse(openai::write(ImageResponse{.created = 7}).str());
  REQUIRE(json.has_value());
  CHECK(json->find("data")->dump() == "[]");
  CHECK(json->find("created")->as_integer() == 7);
}

TEST_CASE("an event carries every required member (row 53)") {
  ImageEvent event;
  event.b64_json = Body("aGk=");
  event.created_at = 1761112880;
  event.size = "1024x1024";
  event.quality = "high";
  event.background = "opaque";
  event.output_format = "webp";
  SUBCASE("partial") {
    event.kind = ImageEvent::Kind::partial_image;
    event.partial_image_index = 1;
    CHECK(
        openai::write(event).str() ==
        "event: image_generation.partial_image\n"
        R"(data: {"type":"image_generation.partial_image","partial_image_index":1,"b64_json":"aGk=",)"
        R"("created_at":1761112880,"size":"1024x1024","quality":"high","background":"opaque","output_format":"webp"})"
        "\n\n");
  }
  SUBCASE("completed") {
    event.intent = Intent::edit;
    event.usage.input_text_tokens = 7;
    event.usage.output_image_tokens = 10;
    CHECK(
        openai::write(event).str() ==
        "event: image_edit.completed\n"
        R"(data: {"type":"image_edit.completed","b64_json":"aGk=","created_at":1761112880,)"
        R"("usage":{"input_tokens":7,"input_tokens_details":{"image_tokens":0,"text_tokens":7},"output_tokens":10,)"
        R"("output_tokens_details":{"image_tokens":10,"text_tokens":0},"total_tokens":17},)"
        R"("size":"1024x1024","quality":"high","background":"opaque","output_format":"webp"})"
        "\n\n");
  }
  SUBCASE("with nothing known") {
    const std::string text = openai::write(ImageEvent{}).str();
    CHECK(
        text.find(R"("size":"auto","quality":"auto","background":"auto","output_format":"png")") !=
        std::string::npos);
  }
}

TEST_CASE("an event stays on one data line whatever its content holds") {
  ImageEvent event;
  event.b64_json = Body("a\n\nevent: forged\r\n");
  event.size = "1\n2";
  const std::string text = openai::write(event).str();
  CHECK(std::count(text.begin(), text.end(), '\n') == 3);
  CHECK(text.find('\r') == std::string::npos);
}

TEST_CASE("the models are listed in OpenAI's form (rows 41 and 44)") {
  const openai::ModelEntry flux{
      .id = "flux",
      .created = 1700000000,
      .owned_by = "fal-ai",
      .details = Json::object({{"category", Json::string("text-to-image")}})};
  CHECK(
      openai::write_model(flux) ==
      R"({"id":"flux","object":"model","created":1700000000,"owned_by":"fal-ai","name":"flux",)"
      R"("supported_endpoint_types":["image-generation"],"falproxy":{"category":"text-to-image"}})");
  openai::ModelEntry other = flux;
  for (const auto& [makes, types] : {std::pair("image", R"(["image-generation"])"),
                                     {"video", R"(["openai-video"])"},
                                     {"audio", ""},
                                     {"text", ""}}) {
    other.details = Json::object({{"makes", Json::string(makes)}});
    const auto told = Json::parse(openai::write_model(other));
    REQUIRE(told.has_value());
    const auto found = told->find("supported_endpoint_types");
    CHECK((found ? found->dump() : std::string()) == types);
  }
  CHECK(openai::write_models({}) == R"({"object":"list","data":[]})");
  const auto list = Json::parse(openai::write_models({flux, {.id = "a\"b", .owned_by = "x"}}));
  REQUIRE(list.has_value());
  CHECK(list->find("object")->as_string() == "list");
  CHECK(list->find("data")->size() == 2);
  CHECK(list->find("data")->at(1).find("id")->as_string() == "a\"b");
  CHECK_FALSE(list->find("data")->at(1).find("falproxy").has_value());
}
