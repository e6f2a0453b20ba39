#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "falproxy/openai.hpp"
#include "support/pictures.hpp"
#include "surfaces/parsing.hpp"

using namespace falproxy;
using openai::FormPart;
using tests::codecs;
using tests::native;
using tests::whole_png;

namespace {

FormPart part(std::string name, std::string content, std::optional<std::string> file_name,
              std::string type) {
  auto owner = std::make_shared<const std::string>(std::move(content));
  const std::string_view bytes = *owner;
  return {std::move(name), std::move(file_name), std::move(type), std::move(owner), bytes};
}
FormPart text(std::string name, std::string content) {
  return part(std::move(name), std::move(content), {}, "");
}
FormPart file(std::string name, std::string content, std::string file_name = "a.png",
              std::string type = "image/png") {
  return part(std::move(name), std::move(content), std::move(file_name), std::move(type));
}

Result<Wish> parse(std::vector<FormPart> parts, Intent intent = Intent::edit,
                   const RequestLimits& limits = {}) {
  return openai::parse_form(intent, std::move(parts), limits, codecs);
}

}  // namespace

TEST_CASE("text parts are read as what their fields take (row 49)") {
  const auto request = parse(
      {text("model", "gpt-image-1"), file("image", whole_png(8, 8)), text("prompt", "1234"),
       text("n", " 2 "), text("size", "1024x1024"), text("stream", "True"),
       text("partial_images", "2"), text("quality", "high"), text("response_format", "b64_json"),
       text("output_compression", "90"), text("user", "42"), text("background", "")});
  REQUIRE(request.has_value());
  CHECK(request->prompt == "1234");
  CHECK(request->n == 2);
  CHECK(request->size == SizeWish{SizeWish::Kind::pixels, 1024, 1024});
  CHECK(request->stream);
  CHECK(request->partial_images == 2);
  CHECK(request->quality == "high");
  CHECK(request->response_format == ResponseFormat::b64_json);
  CHECK(request->output_compression == 90);
  CHECK(request->user == "42");
  CHECK_FALSE(request->background.has_value());
  CHECK(request->native.empty());
}

TEST_CASE("images come as image, image[], repeated or numbered, and keep their order (row 45)") {
  const std::vector<std::vector<std::string>> names = {{"image"},
                                                       {"image[]"},
                                                       {"image", "image", "image"},
                                                       {"image[]", "image[]", "image[]"},
                                                       {"image[0]", "image[1]", "image[2]"},
                                                       {"images[]", "images[]"}};
  for (const auto& list : names) {
    CAPTURE(list.front());
    std::vector<FormPart> parts = {text("prompt", "p")};
    for (std::size_t i = 0; i < list.size(); ++i) {
      parts.push_back(
          file(list[i], whole_png(static_cast<std::uint32_t>(i + 1), 1), "f" + std::to_string(i)));
    }
    const auto request = parse(std::move(parts));
    REQUIRE(request.has_value());
    REQUIRE(request->images.size() == list.size());
    for (std::size_t i = 0; i < list.size(); ++i) {
      CHECK(request->images[i].bytes == whole_png(static_cast<std::uint32_t>(i + 1), 1));
      CHECK(request->images[i].name == "f" + std::to_string(i));
      CHECK(request->images[i].url.empty());
      CHECK(request->images[i].owner != nullptr);
    }
  }
}

TEST_CASE("the type of a file is told from its bytes, whatever it says (row 48)") {
  for (const char* type : {"application/octet-stream", "image/png", "text/plain", ""}) {
    for (const char* name : {"blob", "a", "photo.PNG", "C:\\x\\a.png", ""}) {
      for (const std::string& bytes : {whole_png(1, 1), tests::jpeg_head(1, 1),
                                       tests::whole_webp(1, 1), tests::whole_gif(1, 1)}) {
        CHECK(parse({file("image", bytes, name, type)}).has_value());
      }
    }
  }
  const auto refused = parse({file("image", "hello", "a.png", "image/png")});
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind == ErrorKind::unsupported_file);
  CHECK(refused.error().field == "image");
  CHECK(refused.error().message ==
        "Invalid file 'image': unsupported mimetype ('application/octet-stream'). Supported file "
        "formats are "
        "'image/jpeg', 'image/png', 'image/webp', 'image/gif', and 'image/avif'.");
}

TEST_CASE("a text may come with a file name, as browsers name their blobs") {
  const auto request = parse({file("image", whole_png(8, 8)), file("prompt", "p", "blob", ""),
                              file("n", "2", "blob", "text/plain")});
  REQUIRE(request.has_value());
  CHECK(request->prompt == "p");
  CHECK(request->n == 2);
  CHECK(parse({file("extra", "p", "blob")}).error().kind == ErrorKind::unsupported_parameter);
}

TEST_CASE("a picture may come without a file name, or as text that is an address") {
  const auto request =
      parse({part("image", whole_png(2, 2), {}, ""), text("image", "https://x.example/a.png"),
             text("image", tests::data_url(whole_png(3, 3)))});
  REQUIRE(request.has_value());
  REQUIRE(request->images.size() == 3);
  CHECK(request->images[0].bytes == whole_png(2, 2));
  CHECK(request->images[1].url == "https://x.example/a.png");
  CHECK(request->images[2].bytes == whole_png(3, 3));
}

TEST_CASE("a form takes as text what JSON takes (D7)") {
  const std::string base64 = tests::base64(whole_png(3, 3));
  for (const std::string& given : {"DATA:image/png;base64," + base64, base64}) {
    for (const char* field : {"image", "image[]", "images[0]", "image_url"}) {
      CAPTURE(field);
      const auto request = parse({text(field, given), text("prompt", "p")});
      REQUIRE(request.has_value());
      REQUIRE(request->images.size() == 1);
      CHECK(request->images[0].bytes == whole_png(3, 3));
      CHECK(request->native.empty());
    }
    for (const char* field : {"image", "images", "image_url"}) {
      CAPTURE(field);
      const auto json = openai::parse_json(
          Intent::edit, std::string(R"({"prompt":"p",")") + field + R"(":")" + given + "\"}", {},
          codecs);
      REQUIRE(json.has_value());
      REQUIRE(json->images.size() == 1);
      CHECK(json->images[0].bytes == whole_png(3, 3));
    }
  }
  const auto by_address = parse({text("image_url", " HTTPS://x.example/a.png ")});
  REQUIRE(by_address.has_value());
  CHECK(by_address->images.at(0).url == "https://x.example/a.png");
  const auto beside = parse({text("image_url", "u"), file("image", whole_png(1, 1))});
  REQUIRE(beside.has_value());
  CHECK(beside->images.size() == 1);
  CHECK(native(*beside, "image_url")->as_string() == "u");
}

TEST_CASE("a file that no model takes is told by its name and its mend (D8)") {
  const auto words = [](const std::string& bytes, const char* field = "image") {
    const auto refused = parse({file("image", whole_png(8, 8)), file(field, bytes)});
    REQUIRE_FALSE(refused.has_value());
    return refused.error().message;
  };
  const auto has = [](const std::string& message, const char* part) {
    CHECK_MESSAGE(message.find(part) != std::string::npos, message);
  };
  for (const char* brand : {"heic", "heix", "mif1"}) {
    const std::string heic =
        std::string("\0\0\0\x18", 4) + "ftyp" + brand + std::string("\0\0\0\0mif1heic", 12);
    has(words(heic), "('image/heic')");
    has(words(heic), "Save the picture as JPEG or PNG.");
  }
  has(words("BM" + std::string(60, '\0')), "('image/bmp')");
  has(words(std::string("II*\0", 4) + std::string(60, '\0')), "('image/tiff')");
  has(words(std::string("MM\0*", 4) + std::string(60, '\0')), "('image/tiff')");
  has(words(""), "it is empty");
  has(words(whole_png(8, 8).substr(0, 8)), "not a whole PNG");
  has(words(whole_png(8, 8).substr(0, 40)), "not a whole PNG");
  has(words("\xFF\xD8\xFF\xE0"), "not a whole JPEG");
  has(words(tests::whole_gif(8, 8).substr(0, 13)), "not a whole GIF");
  has(words(tests::whole_webp(8, 8).substr(0, 33)), "not a whole WEBP");
  const std::string avif = std::string(
                               "\0\0\0\x14"
                               "ftypavif\0\0\0\0avif",
                               20) +
                           tests::big_endian(20, 4) + "ispe" + tests::big_endian(0, 4) +
                           tests::big_endian(8, 4) + tests::big_endian(8, 4);
  CHECK(parse({file("image", avif, "a.avif", "image/avif")}).has_value());
}

TEST_CASE("unknown text fields become native: one JSON text is that value, any other a string") {
  const auto request =
      parse({file("image", whole_png(1, 1)), text("seed", "7"), text("strength", "0.5"),
             text("sync", "true"), text("nothing", "null"), text("note", "007"),
             text("quoted", "\"7\""), text("loras", R"([{"path":"u"}])"), text("plain", "a cat"),
             text("tags[]", "a"), text("tags[]", "2"), text("svg[model]", "m"), text("none", "")});
  REQUIRE(request.has_value());
  CHECK(native(*request, "seed")->as_integer() == 7);
  CHECK(native(*request, "strength")->as_number() == 0.5);
  CHECK(native(*request, "sync")->as_boolean() == true);
  CHECK(native(*request, "nothing") == nullptr);
  CHECK(native(*request, "note")->as_string() == "007");
  // Both readings are kept, for the document to choose.
  const auto& texts = request->native_texts;
  CHECK(std::ranges::find(texts, std::pair<std::string, std::string>("seed", "7")) != texts.end());
  CHECK(std::ranges::find(texts, "note", &std::pair<std::string, std::string>::first) ==
        texts.end());
  CHECK(native(*request, "quoted")->as_string() == "7");
  CHECK(native(*request, "loras")->at(0).find("path")->as_string() == "u");
  CHECK(native(*request, "plain")->as_string() == "a cat");
  CHECK(native(*request, "tags")->dump() == R"(["a",2])");
  CHECK(native(*request, "svg[model]")->as_string() == "m");
  CHECK(native(*request, "none") == nullptr);
}

TEST_CASE("a bad form is refused with its field") {
  struct Case {
    const char* name;
    std::vector<FormPart> parts;
    ErrorKind kind;
    const char* field;
  };
  using enum ErrorKind;
  const FormPart image = file("image", whole_png(8, 8));
  const std::vector<Case> cases = {
      {"n is no number", {image, text("n", "two")}, invalid_type, "n"},
      {"n has a fraction", {image, text("n", "2.5")}, invalid_type, "n"},
      {"n is too large", {image, text("n", "11")}, invalid_value, "n"},
      {"n twice", {image, text("n", "1"), text("n", "2")}, invalid_value, "n"},
      {"stream is no boolean", {image, text("stream", "maybe")}, invalid_type, "stream"},
      {"a bad size", {image, text("size", "1x")}, invalid_value, "size"},
      {"no image", {text("prompt", "p")}, missing_parameter, "image"},
      {"an image field that was left empty",
       {file("image", "", ""), text("prompt", "p")},
       missing_parameter,
       "image"},
      {"an empty file", {file("image", "", "a.png")}, unsupported_file, "image"},
      {"a mask alone", {file("mask", whole_png(8, 8))}, invalid_mask, "mask"},
      {"a mask of another size", {image, file("mask", whole_png(8, 4))}, invalid_mask, "mask"},
      {"a mask that is a GIF", {image, file("mask", tests::whole_gif(8, 8))}, invalid_mask, "mask"},
      {"a mask that is text", {image, file("mask", "x")}, invalid_mask, "mask"},
      {"two masks",
       {image, file("mask", whole_png(8, 8)), file("mask", whole_png(8, 8))},
       invalid_mask,
       "mask"},
      {"a file that nobody takes",
       {image, file("markup", whole_png(8, 8))},
       unsupported_parameter,
       "markup"},
      {"text that is not UTF-8", {image, text("prompt", "a\xFF")}, invalid_value, "prompt"},
      {"an overlong form", {image, text("prompt", "\xC0\x80")}, invalid_value, "prompt"},
      {"a NUL", {image, text("prompt", std::string("a\0b", 3))}, invalid_value, "prompt"},
      {"a name that is not UTF-8", {image, text("\xFF", "x")}, invalid_value, "?"},
      {"text without end",
       {image, text("prompt", std::string((1 << 20) + 1, 'x'))},
       body_too_large,
       "prompt"},
  };
  for (const Case& c : cases) {
    CAPTURE(std::string(c.name));
    const auto request = parse(c.parts);
    REQUIRE_FALSE(request.has_value());
    CHECK(name_of(request.error().kind) == name_of(c.kind));
    CHECK(request.error().field == c.field);
    CHECK_FALSE(request.error().message.empty());
  }
}

TEST_CASE("a mask goes with the first image of its size (row 52)") {
  const auto request =
      parse({file("mask", whole_png(8, 8), "m.png"), file("image[]", tests::jpeg_head(8, 8)),
             file("image[]", whole_png(3, 3)), text("prompt", "p")});
  REQUIRE(request.has_value());
  CHECK(request->mask->bytes == whole_png(8, 8));
  CHECK(request->images.size() == 2);
}

TEST_CASE("a picture may be as large as the limit, and no larger") {
  RequestLimits limits;
  limits.max_upload_bytes = 1000;
  const std::string png = whole_png(1, 1);
  CHECK(parse({file("image", png + std::string(1000 - png.size(), 'x'))}, Intent::variation, limits)
            .has_value());
  const auto refused =
      parse({file("image", png + std::string(1001 - png.size(), 'x'))}, Intent::variation, limits);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind == ErrorKind::body_too_large);
  CHECK(refused.error().field == "image");
}
