#include <doctest/doctest.h>

#include <string>

#include "falproxy/media.hpp"
#include "falproxy/openai.hpp"
#include "support/pictures.hpp"
#include "surfaces/parsing.hpp"

using namespace falproxy;
using tests::codecs;
using tests::data_url;
using tests::native;
using tests::parse;
using tests::parse_with;
using tests::whole_png;

TEST_CASE("names that no model has are refused before they are written anywhere") {
  const std::string name(300, 'x');
  const auto field = parse_with("\"" + name + "\": 1");
  REQUIRE_FALSE(field.has_value());
  CHECK(field.error().kind == ErrorKind::invalid_value);
  CHECK(field.error().message.size() < 300);
  CHECK(field.error().message.find("(200 bytes more)") != std::string::npos);
  const auto model = parse_with(R"("model": ")" + std::string(500'000, 'm') + "\"");
  REQUIRE_FALSE(model.has_value());
  CHECK(model.error().field == "model");
  CHECK(model.error().message ==
        "Invalid 'model': string too long. Expected a string with maximum length 256, but got a "
        "string with length 500000 instead.");
  CHECK(parse_with(R"("model": ")" + std::string(256, 'm') + "\"").has_value());
  const auto twice = parse_with("\"" + std::string(300'000, 'y') + R"(": 1, ")" +
                                std::string(300'000, 'y') + "\": 2");
  REQUIRE_FALSE(twice.has_value());
  CHECK(twice.error().message.size() < 1000);
}

TEST_CASE("every field of OpenAI's is read") {
  const auto request = parse(R"({
    "prompt": "a \ud83d\udc31 on a roof", "model": "gpt-image-1", "n": 2, "size": "1024x1536", "quality": "high",
    "style": "vivid", "background": "transparent", "moderation": "low", "output_format": "JPG",
    "output_compression": 80, "input_fidelity": "high", "response_format": "b64_json", "user": "u1",
    "stream": true, "partial_images": 3})");
  REQUIRE(request.has_value());
  CHECK(request->intent == Intent::generation);
  CHECK(request->prompt == "a \xF0\x9F\x90\xB1 on a roof");
  CHECK(request->model == "gpt-image-1");
  CHECK(request->n == 2);
  CHECK(request->size == SizeWish{SizeWish::Kind::pixels, 1024, 1536});
  CHECK(request->quality == "high");
  CHECK(request->style == "vivid");
  CHECK(request->background == "transparent");
  CHECK(request->moderation == "low");
  CHECK(request->output_format == "jpeg");
  CHECK(request->output_compression == 80);
  CHECK(request->input_fidelity == "high");
  CHECK(request->response_format == ResponseFormat::b64_json);
  CHECK(request->user == "u1");
  CHECK(request->stream);
  CHECK(request->partial_images == 3);
  CHECK(request->native.empty());
}

TEST_CASE("null is the same as omitted (row 11)") {
  const auto request = parse(
      R"({"prompt":"p","model":null,"n":null,"size":null,"quality":null,"response_format":null,
    "stream":null,"partial_images":null,"images":null,"image":null,"mask":null,"user":null,"seed":null,"width":null})");
  REQUIRE(request.has_value());
  CHECK_FALSE(request->model.has_value());
  CHECK_FALSE(request->n.has_value());
  CHECK(request->size.kind == SizeWish::Kind::none);
  CHECK_FALSE(request->stream);
  CHECK(request->images.empty());
  CHECK_FALSE(request->mask.has_value());
  CHECK(request->native.empty());
}

TEST_CASE("unknown fields do not fail a request, they become native (row 18)") {
  const auto request = parse_with(
      R"("steps":20,"seed":7,"negative_prompt":"x","guidance_scale":3.5,"loras":[{"path":"u","scale":1}],"zz":null)");
  REQUIRE(request.has_value());
  std::vector<std::string> names;
  for (const auto& [name, value] : request->native) names.push_back(name);
  CHECK(names ==
        std::vector<std::string>{"guidance_scale", "loras", "negative_prompt", "seed", "steps"});
  CHECK(native(*request, "seed")->as_integer() == 7);
  CHECK(native(*request, "loras")->at(0).find("path")->as_string() == "u");
}

TEST_CASE("quality, style, user and their like are taken in any word (rows 16 and 17)") {
  for (const char* quality : {"auto", "low", "medium", "high", "standard", "hd", "xhigh", "max"}) {
    CHECK(parse_with(std::string(R"("quality":")") + quality + "\"")->quality == quality);
  }
  CHECK(
      parse_with(
          R"("style":"natural","background":"auto","output_compression":100,"input_fidelity":"low",
    "moderation":"auto","safety_identifier":"s1")")
          ->user == "s1");
  CHECK(parse_with(R"("user":"u1","safety_identifier":"s1")")->user == "u1");
  CHECK(parse_with(R"("quality":"High","moderation":"AUTO")")->quality == "high");
  CHECK(parse_with(R"("style":"Studio Ghibli")")->style == "Studio Ghibli");
}

TEST_CASE("an empty text is as if it were absent") {
  const auto request = parse(
      R"({"prompt":"p","quality":"","style":"","user":"","model":"","size":"","response_format":"",
          "image":"","mask":""})");
  REQUIRE(request.has_value());
  CHECK_FALSE(request->quality.has_value());
  CHECK_FALSE(request->model.has_value());
  CHECK_FALSE(request->response_format.has_value());
  CHECK(request->size.kind == SizeWish::Kind::none);
  CHECK(request->images.empty());
  CHECK_FALSE(request->mask.has_value());
}

TEST_CASE("what OpenAI refuses for some models is accepted for all (rows 5 and 54)") {
  CHECK(parse_with(R"("response_format":"base64")")->response_format == ResponseFormat::b64_json);
  CHECK(parse_with(R"("model":"gpt-image-1","response_format":"url")")->response_format ==
        ResponseFormat::url);
  CHECK(parse_with(R"("model":"dall-e-3","n":10)")->n == 10);
  const auto streamed = parse_with(R"("stream":true,"n":2)");
  REQUIRE(streamed.has_value());
  CHECK(streamed->stream);
  CHECK(streamed->n == 2);
}

TEST_CASE("a size in a word is left to the model's document (E5)") {
  for (const std::string word : {"landscape_16_9", "2K", "banana", "1024x1024px"}) {
    const auto request = parse_with(R"("width":640,"height":480,"size":")" + word + '"');
    REQUIRE(request.has_value());
    CHECK(request->size_word == word);
    CHECK(request->size.kind == SizeWish::Kind::none);
  }
  CHECK_FALSE(parse_with(R"("size":")" + std::string(49, 'a') + '"').has_value());
  CHECK_FALSE(parse_with(R"("size":"512x512")")->size_word.has_value());
}

TEST_CASE("size is auto, WIDTHxHEIGHT or a ratio (rows 13 and 14)") {
  struct Case {
    const char* members;
    SizeWish size;
  };
  using Kind = SizeWish::Kind;
  const Case cases[] = {
      {R"("size":"auto")", {Kind::automatic, 0, 0}},
      {R"("size":"Auto")", {Kind::automatic, 0, 0}},
      {R"("size":"512x512")", {Kind::pixels, 512, 512}},
      {R"("size":"1792x1024")", {Kind::pixels, 1792, 1024}},
      {R"("size":"1536X864")", {Kind::pixels, 1536, 864}},
      {R"("size":"1x16384")", {Kind::pixels, 1, 16384}},
      {R"("size":"1024*768")", {Kind::pixels, 1024, 768}},
      {"\"size\":\"1024\xc3\x97"
       "768\"",
       {Kind::pixels, 1024, 768}},
      {R"("size":"16:9")", {Kind::ratio, 16, 9}},
      {R"("width":640,"height":480)", {Kind::pixels, 640, 480}},
      {R"("size":"auto","width":640,"height":480)", {Kind::pixels, 640, 480}},
      {R"("size":"512x512","width":640,"height":480)", {Kind::pixels, 512, 512}},
      {R"("width":640.0,"height":480.0)", {Kind::pixels, 640, 480}},
      {R"("width":640)", {}},
      {R"("width":"640","height":480)", {}},
      {R"("width":0,"height":480)", {}},
      {R"("aspect_ratio":"16:9")", {Kind::ratio, 16, 9}},
      {R"("aspect_ratio":"1920:1080")", {Kind::ratio, 16, 9}},
      {R"("aspect_ratio":"19.5:9")", {Kind::ratio, 13, 6}},
      {R"("aspect_ratio":"wide")", {}},
      {R"("aspect_ratio":"0:9")", {}},
      {R"("aspect_ratio":{"ratio":"4:3"})", {}},
      {R"("aspect_ratio":"16:9","width":640,"height":480)", {Kind::pixels, 640, 480}},
      {R"("seed":1)", {}},
  };
  for (const Case& c : cases) {
    CAPTURE(std::string(c.members));
    const auto request = parse_with(c.members);
    REQUIRE(request.has_value());
    CHECK(request->size == c.size);
  }
  // They stay native fields as well.
  const auto request = parse_with(R"("width":640,"height":480,"aspect_ratio":"4:3")");
  CHECK(native(*request, "width")->as_integer() == 640);
  CHECK(native(*request, "aspect_ratio")->as_string() == "4:3");
}

TEST_CASE("a bad value is refused with its field and the mend (rows 12, 15 and 21)") {
  struct Case {
    const char* members;
    ErrorKind kind;
    const char* field;
    const char* message;
  };
  using enum ErrorKind;
  const Case cases[] = {
      {R"("n":0)", invalid_value, "n",
       "Invalid 'n': integer below minimum value. Expected a value >= 1, but got 0 instead."},
      {R"("n":-1)", invalid_value, "n",
       "Invalid 'n': integer below minimum value. Expected a value >= 1, but got -1 instead."},
      {R"("n":11)", invalid_value, "n",
       "Invalid 'n': integer above maximum value. Expected a value <= 10, but got 11 instead."},
      {R"("n":1e308)", invalid_value, "n",
       "Invalid 'n': integer above maximum value. Expected a value <= 10, but got 1e+308 instead."},
      {R"("n":99999999999999999999)", invalid_value, "n", "above maximum"},
      {R"("n":2.5)", invalid_type, "n",
       "Invalid type for 'n': expected an integer, but got a decimal number instead."},
      {R"("n":"2")", invalid_type, "n",
       "Invalid type for 'n': expected an integer, but got a string instead."},
      {R"("n":true)", invalid_type, "n", "got a boolean"},
      {R"("n":[1])", invalid_type, "n", "got an array"},
      {R"("size":"1024")", invalid_value, "size",
       "Invalid value: '1024'. Supported values are: 'auto', and WIDTHxHEIGHT"},
      {R"("size":"0x0")", invalid_value, "size", "'0x0'"},
      {R"("size":"99999x99999")", invalid_value, "size", "'99999x99999'"},
      {R"("size":"-1x5")", invalid_value, "size", "Invalid value"},
      {R"("size":"1024x")", invalid_value, "size", "Invalid value"},
      {R"("size":"1024x1024x2")", invalid_value, "size", "Invalid value"},
      {R"("size":1024)", invalid_type, "size", "expected a string, but got an integer"},
      {R"("size":{"width":1,"height":2})", invalid_type, "size", "got an object"},
      {R"("response_format":"png")", invalid_value, "response_format",
       "Invalid value: 'png'. Supported values are: 'url' and 'b64_json'."},
      {R"("response_format":1)", invalid_type, "response_format", "expected a string"},
      {R"("output_format":"bmp")", invalid_value, "output_format",
       "Supported values are: 'png', 'jpeg', 'webp', 'gif', 'svg', and 'avif'."},
      {R"("output_compression":101)", invalid_value, "output_compression", "<= 100"},
      {R"("partial_images":4)", invalid_value, "partial_images", "<= 3"},
      {R"("stream":"true")", invalid_type, "stream", "expected a boolean, but got a string"},
      {R"("quality":3)", invalid_type, "quality", "expected a string, but got an integer"},
      {R"("model":["x"])", invalid_type, "model", "got an array"},
      {R"("user":{})", invalid_type, "user", "got an object"},
      {R"("safety_identifier":1)", invalid_type, "safety_identifier", "expected a string"},
      {R"("seed":"a\u0000b")", invalid_value, "seed", "NUL"},
      {R"("loras":[{"a\u0000":1}])", invalid_value, "loras", "NUL"},
      {R"("n":1,"n":2)", invalid_json, "n", "the name 'n' stands twice"},
      {R"("loras":[{"x":1,"x":2}])", invalid_json, "x", "the name 'x' stands twice"},
  };
  for (const Case& c : cases) {
    CAPTURE(std::string(c.members));
    const auto request = parse_with(c.members);
    REQUIRE_FALSE(request.has_value());
    CHECK(name_of(request.error().kind) == name_of(c.kind));
    CHECK(request.error().field == c.field);
    CHECK_MESSAGE(request.error().message.find(c.message) != std::string::npos,
                  request.error().message);
  }
}

TEST_CASE("a generation needs a prompt (row 21)") {
  struct Case {
    const char* body;
    ErrorKind kind;
    const char* message;
  };
  using enum ErrorKind;
  for (const Case& c :
       {Case{"{}", missing_parameter, "Missing required parameter: 'prompt'."},
        Case{R"({"prompt":""})", missing_parameter, "Missing required parameter: 'prompt'."},
        Case{R"({"prompt":" \n"})", missing_parameter, "Missing required parameter: 'prompt'."},
        Case{R"({"prompt":null})", missing_parameter, "Missing required parameter: 'prompt'."},
        Case{R"({"prompt":5})", invalid_type,
             "Invalid type for 'prompt': expected a string, but got an integer instead."},
        Case{R"({"prompt":["a"]})", invalid_type,
             "Invalid type for 'prompt': expected a string, but got an array instead."},
        Case{R"({"prompt":"a\u0000"})", invalid_value, "NUL"}}) {
    CAPTURE(std::string(c.body));
    const auto request = parse(c.body);
    REQUIRE_FALSE(request.has_value());
    CHECK(request.error().kind == c.kind);
    CHECK(request.error().field == "prompt");
    CHECK(request.error().message.find(c.message) != std::string::npos);
  }
  CHECK(parse(R"({"image_url":"https://x.example/a.png","scale":2})").has_value());
  CHECK(parse(R"({"images":["https://x.example/a.png"]})").has_value());
}

TEST_CASE("a prompt of 32,000 characters is accepted (row 22)") {
  std::string prompt;
  for (int i = 0; i < 32'000; ++i) prompt += "\xE2\x82\xAC";
  const auto request = parse(R"({"prompt":")" + prompt + "\"}");
  REQUIRE(request.has_value());
  CHECK(request->prompt->size() == 96'000);
}

TEST_CASE("JSON is taken pretty-printed and with blanks around it (row 23)") {
  CHECK(parse("\r\n {\n  \"prompt\" : \"p\"\n }\n ")->prompt == "p");
}

TEST_CASE("what is no JSON object is refused with what was expected (row 31)") {
  const std::string deep =
      R"({"prompt":"p","x":)" + std::string(10'000, '[') + std::string(10'000, ']') + "}";
  std::string wide = R"({"prompt":"p")";
  for (int i = 0; i < 1'000'000; ++i) wide += ",\"f" + std::to_string(i) + "\":1";
  wide += "}";
  struct Case {
    const char* name;
    std::string body;
    const char* message;
  };
  const Case cases[] = {
      {"empty", "", "it is empty"},
      {"blank", " \n", "it is empty"},
      {"text", "hello", "at byte"},
      {"cut off", R"({"prompt":"p")", "at byte"},
      {"form", "prompt=a&n=1", "at byte"},
      {"array", R"([{"prompt":"p"}])", "it is an array"},
      {"string", R"("p")", "it is a string"},
      {"null", "null", "it is null"},
      {"a byte order mark and rubbish", "\xEF\xBB\xBFx", "at byte"},
      {"10,000 deep", deep, "nested deeper than 64 levels"},
      {"a million fields", wide, "more than 100000 values"},
      {"invalid UTF-8", "{\"prompt\":\"a\xFF\"}", "at byte"},
      {"a lone surrogate", R"({"prompt":"\ud800"})", "at byte"},
      {"a number out of range", R"({"prompt":"p","n":1e999})", "at byte 23: number overflow"},
      {"trailing text", R"({"prompt":"p"} x)", "at byte"},
      {"a raw NUL", std::string("{\"prompt\":\"a\0b\"}", 16), "at byte"},
  };
  for (const Case& c : cases) {
    CAPTURE(std::string(c.name));
    const auto request = parse(c.body);
    REQUIRE_FALSE(request.has_value());
    CHECK(request.error().kind == ErrorKind::invalid_json);
    CHECK(
        request.error().message.starts_with("We could not parse the JSON body of your request: "));
    CHECK_MESSAGE(request.error().message.find(c.message) != std::string::npos,
                  request.error().message);
    CHECK(request.error().message.size() < 500);
  }
}

TEST_CASE("a SizeWish is read alone as the field is, with the same words if it is refused") {
  for (const char* text : {"auto", "1024x768", " 512X512 ", "16:9", "19.5:9", "1x16384"}) {
    CAPTURE(text);
    const auto request = falproxy::tests::parse_with(R"("size":")" + std::string(text) + "\"");
    REQUIRE(request.has_value());
    CHECK(SizeWish::parse(text).value() == request->size);
  }
  CHECK(SizeWish::parse("16:9").value() == SizeWish{SizeWish::Kind::ratio, 16, 9});
  for (const char* text : {"0x1", "1x16385", "16:0", "1024"}) {
    CAPTURE(text);
    const auto request = falproxy::tests::parse_with(R"("size":")" + std::string(text) + "\"");
    REQUIRE_FALSE(request.has_value());
    const auto alone = SizeWish::parse(text);
    REQUIRE_FALSE(alone.has_value());
    CHECK(alone.error() == request.error());
    CHECK(alone.error().message == request.error().message);
  }
  CHECK_FALSE(SizeWish::parse("huge").has_value());  // a word, which only a model can know
  CHECK_FALSE(SizeWish::parse("").has_value());
}
