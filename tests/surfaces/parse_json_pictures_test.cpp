// Pictures and masks in JSON: shapes, addresses, base64, and what is refused.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "falproxy/media.hpp"
#include "falproxy/openai.hpp"
#include "support/pictures.hpp"
#include "surfaces/parsing.hpp"

using namespace falproxy;
using tests::codecs;
using tests::data_url;
using tests::native;
using tests::parse;
using tests::whole_png;

TEST_CASE("pictures come in each of the shapes that clients send (row 51)") {
  const std::string png = data_url(whole_png(8, 8));
  const std::string address = "https://x.example/a.png?sig=%20";
  const std::string shapes[] = {
      R"("images":[{"b64_json":")" + tests::base64(whole_png(8, 8)) +
          R"("},{"b64_json":null,"url":")" + address + R"("}])",
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
    const auto request = parse(R"({"prompt":"p",)" + members + "}", Intent::edit);
    REQUIRE(request.has_value());
    REQUIRE(request->images.size() == 2);
    CHECK(request->images[0].bytes == whole_png(8, 8));
    CHECK(request->images[1].url == address);
    CHECK(request->native.empty());
  }
}

TEST_CASE("an image_url at the top is the picture of an edit that has no other") {
  const std::string address = "https://x.example/a.png";
  for (const std::string& value :
       {"\"" + address + "\"", R"({"url":")" + address + "\"}", "[\"" + address + "\"]"}) {
    CAPTURE(value);
    const auto edit = parse(R"({"prompt":"p","image_url":)" + value + "}", Intent::edit);
    REQUIRE(edit.has_value());
    REQUIRE(edit->images.size() == 1);
    CHECK(edit->images[0].url == address);
    CHECK(edit->native.empty());
  }
  // Else it is the model's own field.
  const auto other =
      parse(R"({"prompt":"p","image":")" + address + R"(","image_url":"u"})", Intent::edit);
  REQUIRE(other.has_value());
  CHECK(other->images.size() == 1);
  CHECK(native(*other, "image_url")->as_string() == "u");
  CHECK(native(*parse(R"({"prompt":"p","image_url":"u"})"), "image_url")->as_string() == "u");
}

TEST_CASE("a picture is read in every way that base64 is written (D7)") {
  const std::string png = whole_png(8, 8) + "\xFB\xFF\xFE";
  const std::string base64 = tests::base64(png);
  std::string in_lines = base64;
  in_lines.insert(20, "\\r\\n ");
  std::string for_addresses = base64;
  for (char& c : for_addresses) c = c == '+' ? '-' : c == '/' ? '_' : c;
  std::string escaped = base64;
  for (std::size_t at; (at = escaped.find('+')) != std::string::npos;)
    escaped.replace(at, 1, "%2B");
  REQUIRE(base64 != for_addresses);
  const std::string unpadded = base64.substr(0, base64.find('='));
  for (const std::string& text :
       {"data:image/png;base64," + base64, "DATA:IMAGE/PNG;BASE64," + base64,
        "  data:image/png;base64," + in_lines + "\\n", "data:;base64," + for_addresses,
        "data:text/plain;base64," + unpadded, "data:image/jpeg; base64," + escaped, base64,
        in_lines, for_addresses, unpadded}) {
    CAPTURE(text);
    const auto request = parse(R"({"prompt":"p","image":")" + text + "\"}", Intent::edit);
    REQUIRE(request.has_value());
    CHECK(request->images.front().bytes == png);
    CHECK(request->images.front().url.empty());
  }
}

TEST_CASE("an address is tidied as browsers do it (D7)") {
  struct Case {
    const char* given;
    const char* taken;
  };
  for (const Case& c :
       {Case{" https://x.example/a.png\\n", "https://x.example/a.png"},
        Case{"HTTPS://x.example/a b.png?c=d e", "https://x.example/a%20b.png?c=d%20e"},
        Case{"https://x.example/\u00e4%20\u732b.png", "https://x.example/%C3%A4%20%E7%8C%AB.png"},
        Case{"https://x.example/a.png#part", "https://x.example/a.png"},
        Case{"https://x.example/a\\nb.png?sig=a%2Fb&x[]=~1",
             "https://x.example/ab.png?sig=a%2Fb&x[]=~1"}}) {
    CAPTURE(c.given);
    const auto request =
        parse(std::string(R"({"prompt":"p","image":")") + c.given + "\"}", Intent::edit);
    REQUIRE(request.has_value());
    CHECK(request->images.front().url == c.taken);
  }
}

TEST_CASE("a picture in a model's own field leaves it, and all else stays (D7)") {
  const auto request =
      parse(R"({"prompt":"p","image_url":")" + data_url(whole_png(3, 2)) +
            R"(","image_urls":["https://x.example/",")" + data_url(whole_png(1, 1)) +
            R"("],"audio_url":"data:audio/wav;base64,AAAA"})");
  REQUIRE(request.has_value());
  REQUIRE(request->attached.size() == 2);
  CHECK(request->attached[0].field == "image_url");
  CHECK(request->attached[0].path.empty());
  CHECK(request->attached[0].picture.bytes == whole_png(3, 2));
  CHECK(request->attached[1].field == "image_urls");
  CHECK(request->attached[1].path == "/1");
  CHECK(native(*request, "image_urls")->at(0).as_string() == "https://x.example/");
  CHECK(native(*request, "audio_url")->as_string() == "data:audio/wav;base64,AAAA");
  CHECK(media::dimensions(request->picture(0).bytes) == media::Dimensions{3, 2});
  const auto broken = parse(R"({"prompt":"p","image_url":"data:image/png;base64,*"})");
  REQUIRE_FALSE(broken.has_value());
  CHECK(broken.error().field == "image_url");
}

TEST_CASE("a picture is found in a model's own field however deep it stands, and by its bytes") {
  const auto request =
      parse(R"({"prompt":"p","refs":[{"kind":"x","a/b~":{"image":")" + data_url(whole_png(3, 2)) +
            R"("}}],"plain":")" + data_url(whole_png(4, 4), "") + R"(","file":")" +
            data_url(tests::whole_webp(5, 5), "application/octet-stream") + R"(","sound":")" +
            data_url("RIFF....WAVE", "") + "\"}");
  REQUIRE(request.has_value());
  REQUIRE(request->attached.size() == 3);
  CHECK(request->attached[0].picture.bytes == tests::whole_webp(5, 5));
  CHECK(request->attached[1].picture.bytes == whole_png(4, 4));
  CHECK(request->attached[2].field == "refs");
  CHECK(request->attached[2].path == "/0/a~1b~0/image");
  CHECK(native(*request, "refs")->dump() ==
        R"x([{"a/b~":{"image":"data:(picture)"},"kind":"x"}])x");
  CHECK(native(*request, "sound")->as_string()->starts_with("data:;base64,"));
}

TEST_CASE("pictures in the model's own fields count against the limit of pictures") {
  const auto with = [](std::size_t images, std::size_t attached) {
    const std::string picture = '"' + data_url(whole_png(1, 1)) + '"';
    const auto list = [&](std::size_t count) {
      std::string all;
      for (std::size_t i = 0; i < count; ++i) all += (all.empty() ? "" : ",") + picture;
      return '[' + all + ']';
    };
    return parse(
        R"({"prompt":"p","images":)" + list(images) + R"(,"refs":{"all":)" + list(attached) + "}}",
        Intent::edit);
  };
  CHECK(with(8, 8).has_value());
  for (const auto& [images, attached] : {std::pair(8u, 9u), std::pair(0u, 50u)}) {
    const auto refused = with(images, attached);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().field == "refs");
    CHECK(refused.error().message.find("at most 16") != std::string::npos);
  }
}

TEST_CASE("escapes in a data URL take their memory from the budget") {
  MemoryBudget budget(1'000'000);
  const std::string body = R"({"prompt":"p","image":"data:image/png;base64,%69)" +
                           tests::base64(whole_png(1, 1) + std::string(90'000, 'x')).substr(1) +
                           "\"}";
  CHECK(openai::parse_json(Intent::edit, body, {}, codecs, &budget).has_value());
  budget.set_limit(300'000);  // twice the base64, and no more
  CHECK_FALSE(openai::parse_json(Intent::edit, body, {}, codecs, &budget).has_value());
  CHECK(budget.used() == 0);
}

TEST_CASE("what a picture is decoded to counts as memory as long as anybody has it (D7)") {
  MemoryBudget budget(1'000'000);
  const std::string body =
      R"({"prompt":"p","image":")" + data_url(whole_png(1, 1) + std::string(100'000, 'x')) + "\"}";
  {
    const auto request = openai::parse_json(Intent::edit, body, {}, codecs, &budget);
    REQUIRE(request.has_value());
    CHECK(budget.used() >= 100'000);
    CHECK(budget.used() < 110'000);
  }
  CHECK(budget.used() == 0);
  budget.set_limit(100'000);
  const auto refused = openai::parse_json(Intent::edit, body, {}, codecs, &budget);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind == ErrorKind::overloaded);
}

TEST_CASE("a field of a picture's name brings no picture unless it holds one (D10)") {
  for (const char* members :
       {R"("num_images":1)", R"("image_size":"square")", R"("image_url":true)",
        R"("image_settings":{"scale":2})", R"("image_urls":[])"}) {
    CAPTURE(members);
    const auto request = parse(std::string(R"({"prompt":"p",)") + members + "}", Intent::edit);
    REQUIRE_FALSE(request.has_value());
    CHECK((request.error().field == "image" || request.error().field == "image_url"));
  }
  for (const char* members :
       {R"("control_image_url":"https://x.example/")", R"("image_urls":["https://x.example/"])",
        R"("images_in":[{"url":"https://x.example/"}])"}) {
    CAPTURE(members);
    CHECK(parse(std::string(R"({"prompt":"p",)") + members + "}", Intent::edit));
  }
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
      {"text that is no base64", R"("image":"a cat")", invalid_value, "image", "data URL such as"},
      {"a head alone", R"("image":"iVBORw0KGgo=")", unsupported_file, "image", "not a whole PNG"},
      {"half a picture", R"("image":")" + data_url(whole_png(8, 8).substr(0, 40)) + "\"",
       unsupported_file, "image", "not a whole PNG"},
      {"half a mask",
       R"("image":"https://x/","mask":")" + data_url(whole_png(8, 8).substr(0, 40)) + "\"",
       invalid_mask, "mask", "its beginning or its end is missing"},
      {"an address with a password", R"("image":{"image_url":"https://a:b@x.example/"})",
       invalid_value, "image.image_url", "plain http(s) address"},
      {"a data URL without base64", R"("image":"data:image/svg+xml;utf8,<svg/>")", invalid_value,
       "image", "data URL must look like"},
      {"broken base64", R"("image":"data:image/png;base64,iVBORw0KGgo*")", invalid_value, "image",
       "hold base64"},
      {"no bytes", R"("image":"data:image/png;base64,")", invalid_value, "image", "hold base64"},
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
       R"("image":")" + data_url(whole_png(8, 8)) + R"(","mask":")" + data_url(whole_png(8, 9)) +
           "\"",
       invalid_mask, "mask", "is 8x9 and the image 8x8"},
      {"two masks", R"("image":"https://x/","mask":["https://x/","https://x/"])", invalid_mask,
       "mask", "only one"},
      {"a mask by file id", R"("image":"https://x/","mask":{"file_id":"f"})", unsupported_parameter,
       "mask.file_id", "image_url"},
  };
  for (const Case& c : cases) {
    CAPTURE(std::string(c.name));
    const auto request = parse(R"({"prompt":"p",)" + c.members + "}", Intent::edit);
    REQUIRE_FALSE(request.has_value());
    CHECK(name_of(request.error().kind) == name_of(c.kind));
    CHECK(request.error().field == c.field);
    CHECK_MESSAGE(request.error().message.find(c.message) != std::string::npos,
                  request.error().message);
    CHECK(request.error().message.size() < 400);
  }
}

TEST_CASE("a mask fits where it is as large as the first image, or cannot be looked at") {
  const std::string png = data_url(whole_png(640, 480));
  for (const std::string& image : {png, data_url(tests::jpeg_head(640, 480, 60'000), "image/jpeg"),
                                   data_url(tests::whole_webp(640, 480), "image/webp"),
                                   std::string("https://x.example/a.png")}) {
    const auto request =
        parse(R"({"prompt":"p","image":")" + image + R"(","mask":{"image_url":")" + png + R"("}})",
              Intent::edit);
    REQUIRE(request.has_value());
    CHECK(request->mask->bytes == whole_png(640, 480));
  }
}

TEST_CASE("a mask fits a picture as it is shown (D2)") {
  std::string photo = tests::jpeg_head(200, 300);
  photo.insert(2, tests::exif_segment(6));
  const auto with_mask = [&](std::uint32_t width, std::uint32_t height) {
    return parse(R"({"prompt":"p","image":")" + data_url(photo, "image/jpeg") + R"(","mask":")" +
                     data_url(whole_png(width, height)) + "\"}",
                 Intent::edit);
  };
  CHECK(with_mask(300, 200).has_value());
  // Which of the two it belongs to, the model's document tells.
  CHECK(parse(R"({"prompt":"p","image":")" + data_url(photo, "image/jpeg") +
                  R"(","image_url":"https://x.example/","mask":")" + data_url(whole_png(8, 8)) +
                  "\"}",
              Intent::edit)
            .has_value());
  const auto refused = with_mask(200, 300);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().message.find("and the image 300x200") != std::string::npos);
}

TEST_CASE("pictures count against their own limit, all else against the limit of text") {
  RequestLimits limits;
  limits.max_upload_bytes = 2'000'000;
  const auto with_image = [&](std::size_t bytes, const std::string& prompt) {
    return parse(R"({"prompt":")" + prompt + R"(","image":")" +
                     data_url(whole_png(1, 1) + std::string(bytes, 'x')) + "\"}",
                 Intent::edit, limits);
  };
  CHECK(with_image(1'900'000, "p").has_value());
  const std::string bare = tests::base64(whole_png(1, 1) + std::string(1'900'000, 'x'));
  CHECK(parse(R"({"prompt":"p","image":{"b64_json":")" + bare + "\"}}", Intent::edit, limits)
            .has_value());
  const auto large = with_image(2'000'000, "p");
  REQUIRE_FALSE(large.has_value());
  CHECK(large.error().kind == ErrorKind::body_too_large);
  CHECK(large.error().field == "image");
  const auto wordy = with_image(1'000, std::string((1 << 20) + 1, 'p'));
  REQUIRE_FALSE(wordy.has_value());
  CHECK(wordy.error().kind == ErrorKind::body_too_large);
}
