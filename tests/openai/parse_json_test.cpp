#include <doctest/doctest.h>

#include <string>

#include "falproxy/openai.hpp"
#include "openai/parsing.hpp"
#include "support/pictures.hpp"

using namespace falproxy;
using openai::ImageOperation;
using openai::ImageRequest;
using openai::SizeWish;
using tests::codecs;
using tests::data_url;
using tests::native;
using tests::png_head;

namespace {

Result<ImageRequest> parse(std::string_view body,
                           ImageOperation operation = ImageOperation::generation,
                           const openai::RequestLimits& limits = {}) {
  return openai::parse_json(operation, body, limits, codecs);
}

// A generation with a prompt and these members more.
Result<ImageRequest> parse_with(const std::string& members) {
  return parse(R"({"prompt":"p",)" + members + "}");
}

}  // namespace

TEST_CASE("every field of OpenAI's is read") {
  const auto request = parse(R"({
    "prompt": "a \ud83d\udc31 on a roof", "model": "gpt-image-1", "n": 2, "size": "1024x1536", "quality": "high",
    "style": "vivid", "background": "transparent", "moderation": "low", "output_format": "JPG",
    "output_compression": 80, "input_fidelity": "high", "response_format": "b64_json", "user": "u1",
    "stream": true, "partial_images": 3})");
  REQUIRE(request.has_value());
  CHECK(request->operation == ImageOperation::generation);
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
  CHECK(parse_with(R"("model":"gpt-image-1","response_format":"url")")->response_format ==
        ResponseFormat::url);
  CHECK(parse_with(R"("model":"dall-e-3","n":10)")->n == 10);
  const auto streamed = parse_with(R"("stream":true,"n":2)");
  REQUIRE(streamed.has_value());
  CHECK(streamed->stream);
  CHECK(streamed->n == 2);
}

TEST_CASE("size is auto or WIDTHxHEIGHT (rows 13 and 14)") {
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
      {R"("size":"banana")", invalid_value, "size",
       "Invalid value: 'banana'. Supported values are: 'auto', and WIDTHxHEIGHT"},
      {R"("size":"1024")", invalid_value, "size", "'1024'"},
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

TEST_CASE("pictures come in each of the shapes that clients send (row 51)") {
  const std::string png = data_url(png_head(8, 8));
  const std::string address = "https://x.example/a.png?sig=%20";
  const std::string shapes[] = {
      R"("images":[{"image_url":")" + png + R"("},{"image_url":")" + address + R"("}])",
      R"("images":[")" + png + R"(",")" + address + R"("])",
      R"("images":[{"type":"image_url","image_url":{"url":")" + png + R"("}},{"url":")" + address +
          R"("}])",
      R"("image":[")" + png + R"(",")" + address + R"("])",
      R"("image":")" + png + R"(","images":[{"image_url":")" + address + R"(","file_id":null}])",
      R"("image":{"image_url":")" + png + R"("},"images":")" + address + R"(")",
  };
  for (const std::string& members : shapes) {
    CAPTURE(std::string(members));
    const auto request = parse(R"({"prompt":"p",)" + members + "}", ImageOperation::edit);
    REQUIRE(request.has_value());
    REQUIRE(request->images.size() == 2);
    CHECK(request->images[0].url == png);
    CHECK(request->images[1].url == address);
    CHECK(request->native.empty());
  }
}

TEST_CASE("an image_url at the top is the picture of an edit that has no other") {
  const std::string address = "https://x.example/a.png";
  for (const std::string& value :
       {"\"" + address + "\"", R"({"url":")" + address + "\"}", "[\"" + address + "\"]"}) {
    CAPTURE(value);
    const auto edit = parse(R"({"prompt":"p","image_url":)" + value + "}", ImageOperation::edit);
    REQUIRE(edit.has_value());
    REQUIRE(edit->images.size() == 1);
    CHECK(edit->images[0].url == address);
    CHECK(edit->native.empty());
  }
  // Else it is the model's own field.
  const auto other =
      parse(R"({"prompt":"p","image":")" + address + R"(","image_url":"u"})", ImageOperation::edit);
  REQUIRE(other.has_value());
  CHECK(other->images.size() == 1);
  CHECK(native(*other, "image_url")->as_string() == "u");
  CHECK(native(*parse(R"({"prompt":"p","image_url":"u"})"), "image_url")->as_string() == "u");
}

TEST_CASE("the media type of a data URL follows its bytes") {
  const auto image = [](const std::string& url) {
    return parse(R"({"images":[")" + url + R"("]})", ImageOperation::edit)->images.front().url;
  };
  CHECK(image(data_url(png_head(1, 1), "application/octet-stream")) == data_url(png_head(1, 1)));
  CHECK(image(data_url(tests::jpeg_head(1, 1), "image/png")) ==
        data_url(tests::jpeg_head(1, 1), "image/jpeg"));
  CHECK(image(data_url(tests::webp_head(1, 1), "IMAGE/WEBP")) ==
        data_url(tests::webp_head(1, 1), "IMAGE/WEBP"));
  CHECK(image(data_url(tests::gif_head(1, 1), "")) == data_url(tests::gif_head(1, 1), "image/gif"));
}

TEST_CASE("a bad picture is refused with its place and the mend") {
  struct Case {
    const char* name;
    std::string members;
    ErrorKind kind;
    const char* field;
    const char* message;
  };
  using enum ErrorKind;
  const Case cases[] = {
      {"a file id", R"("images":[{"file_id":"file-1"}])", unsupported_parameter,
       "images[0].file_id", "image_url"},
      {"an empty object", R"("images":[{}])", missing_parameter, "images[0].image_url",
       "Missing required parameter"},
      {"a number", R"("images":[5])", invalid_type, "images[0]", "expected a string or an object"},
      {"a nested array", R"("images":[["https://x.example/"]])", invalid_type, "images[0]",
       "got an array"},
      {"an address of another scheme", R"("images":["file:///etc/passwd"])", invalid_value,
       "images[0]", "plain http(s) address"},
      {"raw base64", R"("image":"iVBORw0KGgo=")", invalid_value, "image", "data URL such as"},
      {"an address with a password", R"("image":{"image_url":"https://a:b@x.example/"})",
       invalid_value, "image.image_url", "plain http(s) address"},
      {"a data URL without base64", R"("image":"data:image/svg+xml;utf8,<svg/>")", invalid_value,
       "image", "data URL must look like"},
      {"broken base64", R"("image":"data:image/png;base64,iVBORw0KGgo*")", invalid_value, "image",
       "padded base64"},
      {"base64 with blanks", R"("image":"data:image/png;base64,iVBO Rw0K")", invalid_value, "image",
       "padded base64"},
      {"base64 without padding", R"("image":"data:image/png;base64,iVBORw0KGg")", invalid_value,
       "image", "padded base64"},
      {"no bytes", R"("image":"data:image/png;base64,")", invalid_value, "image", "padded base64"},
      {"text", R"("image":")" + data_url("hello, world") + "\"", unsupported_file, "image",
       "Invalid file 'image': unsupported mimetype ('application/octet-stream')."},
      {"svg", R"("image":")" + data_url("<svg xmlns='http://www.w3.org/2000/svg'/>") + "\"",
       unsupported_file, "image", "('image/svg+xml')"},
      {"17 of them",
       R"("images":["https://x/","https://x/","https://x/","https://x/","https://x/","https://x/","https://x/","https://x/","https://x/","https://x/","https://x/","https://x/","https://x/","https://x/","https://x/","https://x/","https://x/"])",
       invalid_value, "image", "maximum length 16, but got an array with length 17"},
      {"none", R"("images":[])", missing_parameter, "image",
       "Missing required parameter: 'image'."},
      {"a mask alone", R"("mask":"https://x.example/m.png")", invalid_mask, "mask",
       "no image that it belongs to"},
      {"a mask that is a JPEG",
       R"("image":"https://x/","mask":")" + data_url(tests::jpeg_head(4, 4), "image/jpeg") + "\"",
       invalid_mask, "mask", "must be a PNG"},
      {"a mask that is text", R"("image":"https://x/","mask":")" + data_url("hello") + "\"",
       invalid_mask, "mask", "must be a PNG"},
      {"a mask of another size",
       R"("image":")" + data_url(png_head(8, 8)) + R"(","mask":")" + data_url(png_head(8, 9)) +
           "\"",
       invalid_mask, "mask", "is 8x9 and the image 8x8"},
      {"two masks", R"("image":"https://x/","mask":["https://x/","https://x/"])", invalid_mask,
       "mask", "only one"},
      {"a mask by file id", R"("image":"https://x/","mask":{"file_id":"f"})", unsupported_parameter,
       "mask.file_id", "image_url"},
  };
  for (const Case& c : cases) {
    CAPTURE(std::string(c.name));
    const auto request = parse(R"({"prompt":"p",)" + c.members + "}", ImageOperation::edit);
    REQUIRE_FALSE(request.has_value());
    CHECK(name_of(request.error().kind) == name_of(c.kind));
    CHECK(request.error().field == c.field);
    CHECK_MESSAGE(request.error().message.find(c.message) != std::string::npos,
                  request.error().message);
    CHECK(request.error().message.size() < 400);
  }
}

TEST_CASE("a mask fits where it is as large as the first image, or cannot be looked at") {
  const std::string png = data_url(png_head(640, 480));
  for (const std::string& image : {png, data_url(tests::jpeg_head(640, 480, 60'000), "image/jpeg"),
                                   data_url(tests::webp_head(640, 480), "image/webp"),
                                   std::string("https://x.example/a.png")}) {
    const auto request =
        parse(R"({"prompt":"p","image":")" + image + R"(","mask":{"image_url":")" + png + R"("}})",
              ImageOperation::edit);
    REQUIRE(request.has_value());
    CHECK(request->mask->url == png);
  }
}

TEST_CASE("pictures count against their own limit, all else against the limit of text") {
  openai::RequestLimits limits;
  limits.max_upload_bytes = 2'000'000;
  const auto with_image = [&](std::size_t bytes, const std::string& prompt) {
    return parse(R"({"prompt":")" + prompt + R"(","image":")" +
                     data_url(png_head(1, 1) + std::string(bytes, 'x')) + "\"}",
                 ImageOperation::edit, limits);
  };
  CHECK(with_image(1'900'000, "p").has_value());
  const auto large = with_image(2'000'000, "p");
  REQUIRE_FALSE(large.has_value());
  CHECK(large.error().kind == ErrorKind::body_too_large);
  CHECK(large.error().field == "image");
  const auto wordy = with_image(1'000, std::string((1 << 20) + 1, 'p'));
  REQUIRE_FALSE(wordy.has_value());
  CHECK(wordy.error().kind == ErrorKind::body_too_large);
}
