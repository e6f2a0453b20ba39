#include "falproxy/media.hpp"

#include <doctest/doctest.h>

#include <string>

#include "support/pictures.hpp"

using namespace falproxy;
using media::Dimensions;
using media::ImageType;
using namespace falproxy::tests;

TEST_CASE("a picture's type is told from its first bytes") {
  struct Case {
    std::string bytes;
    std::optional<ImageType> type;
  };
  const Case cases[] = {
      {png_head(1, 1), ImageType::png},
      {jpeg_head(1, 1), ImageType::jpeg},
      {gif_head(1, 1), ImageType::gif},
      {"GIF87a", ImageType::gif},
      {webp_head(1, 1), ImageType::webp},
      {std::string("\0\0\0\x1C"
                   "ftypavif\0\0\0\0",
                   16),
       ImageType::avif},
      {"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", ImageType::svg},
      {"\xEF\xBB\xBF\n <?xml version=\"1.0\"?>\n<!-- made by hand -->\n<svg>", ImageType::svg},
      {"<!DOCTYPE svg PUBLIC \"x\"><svg/>", ImageType::svg},
      {"<?xml version=\"1.0\"?>" + std::string(2000, ' ') + "<svg/>", std::nullopt},
      {"<html><svg/></html>", std::nullopt},
      {std::string("RIFF\x24\0\0\0WAVE", 12), std::nullopt},
      {"\x89PNG\r\n", std::nullopt},
      {"%PDF-1.7", std::nullopt},
      {"", std::nullopt},
  };
  for (const Case& c : cases) {
    CAPTURE(c.bytes);
    CHECK(media::sniff(c.bytes) == c.type);
  }
}

TEST_CASE("names and media types lead to each other") {
  for (const ImageType type : {ImageType::png, ImageType::jpeg, ImageType::webp, ImageType::gif,
                               ImageType::svg, ImageType::avif}) {
    CHECK(media::from_mime(media::mime_type(type)) == type);
    CHECK(media::from_name(media::name_of(type)) == type);
  }
  CHECK(media::from_mime(" IMAGE/JPG ; charset=x") == ImageType::jpeg);
  CHECK(media::from_mime("image/svg+xml;charset=utf-8") == ImageType::svg);
  CHECK_FALSE(media::from_mime("text/html").has_value());
  CHECK(media::from_name("jpg") == ImageType::jpeg);
  CHECK(media::from_name("https://v3.fal.media/files/a.b/PHOTO.JPG?x=.png#.gif") ==
        ImageType::jpeg);
  CHECK_FALSE(media::from_name("png/x").has_value());
  CHECK_FALSE(media::from_name("").has_value());
}

TEST_CASE("dimensions are read from the head") {
  CHECK(media::dimensions(png_head(1024, 768)) == Dimensions{1024, 768});
  CHECK(media::dimensions(gif_head(320, 200)) == Dimensions{320, 200});
  CHECK(media::dimensions(webp_head(16383, 1)) == Dimensions{16383, 1});
  CHECK(media::dimensions(jpeg_head(640, 480, 60'000)) == Dimensions{640, 480});
  SUBCASE("of lossy WebP") {
    const std::string lossy = "RIFF" + little_endian(30, 4) + "WEBPVP8 " + little_endian(18, 4) +
                              std::string("\x30\x01\x00\x9D\x01\x2A", 6) +
                              little_endian(0x4000 | 550, 2) + little_endian(368, 2);
    CHECK(media::dimensions(lossy) == Dimensions{550, 368});
  }
  SUBCASE("of lossless WebP") {
    const std::uint32_t bits = (386 - 1) | (395 - 1) << 14;
    const std::string lossless = "RIFF" + little_endian(30, 4) + "WEBPVP8L" + little_endian(18, 4) +
                                 "\x2F" + little_endian(bits, 4) + "filler";
    CHECK(media::dimensions(lossless) == Dimensions{386, 395});
  }
  SUBCASE("of a JPEG with fill bytes and restart markers before the frame") {
    std::string bytes = jpeg_head(5, 7);
    bytes.insert(2, "\xFF\xD0\xFF\xFF\xFF\xFE" + big_endian(4, 2) + "hi");
    CHECK(media::dimensions(bytes) == Dimensions{5, 7});
  }
}

TEST_CASE("a head that is cut off or broken has no dimensions, at whatever byte") {
  const std::string whole[] = {png_head(10, 20), jpeg_head(10, 20), gif_head(10, 20),
                               webp_head(10, 20)};
  for (const std::string& bytes : whole) {
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const auto found = media::dimensions(std::string_view(bytes).substr(0, size));
      CHECK((!found.has_value() || *found == Dimensions{10, 20}));
    }
  }
  CHECK_FALSE(media::dimensions(png_head(0, 20)).has_value());
  CHECK_FALSE(media::dimensions(gif_head(20, 0)).has_value());
  CHECK_FALSE(
      media::dimensions("\xFF\xD8\xFF\xE1" + big_endian(1, 2) + std::string(20, 'x')).has_value());
  CHECK_FALSE(media::dimensions("\xFF\xD8\xFF\xDA" + jpeg_head(1, 1).substr(2)).has_value());
  CHECK_FALSE(media::dimensions("\xFF\xD8\xFFxxxxxxxxxxxxxxxxxxxxx").has_value());
  CHECK_FALSE(media::dimensions("<svg width='5' height='5'/>").has_value());
}

TEST_CASE("no bytes make the reading of dimensions go astray") {
  // Every byte of every head, changed to a few others.
  for (const std::string& bytes :
       {png_head(10, 20), jpeg_head(10, 20), gif_head(10, 20), webp_head(10, 20)}) {
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      for (const int value : {0x00, 0x01, 0x7F, 0xC0, 0xD8, 0xFE, 0xFF}) {
        std::string changed = bytes;
        changed[at] = static_cast<char>(value);
        const auto found = media::dimensions(changed);
        CHECK((!found.has_value() || (found->width > 0 && found->height > 0)));
      }
    }
  }
}

TEST_CASE("a data URI is taken apart") {
  struct Case {
    const char* text;
    const char* mime;
    const char* base64;
  };
  for (const Case& c :
       {Case{"data:image/png;base64,AAAA", "image/png", "AAAA"},
        Case{"DATA:image/svg+xml;charset=utf-8;BASE64,AA==", "image/svg+xml", "AA=="},
        Case{"data:;base64,", "text/plain", ""}, Case{"data:a,b;base64,AAAA", nullptr, nullptr},
        Case{"data:image/png,AAAA", nullptr, nullptr},
        Case{"data:image/png;base64", nullptr, nullptr}, Case{"https://x/", nullptr, nullptr},
        Case{"data", nullptr, nullptr}, Case{"", nullptr, nullptr}}) {
    CAPTURE(std::string(c.text));
    const auto uri = media::parse_data_uri(c.text);
    REQUIRE(uri.has_value() == (c.mime != nullptr));
    if (!uri.has_value()) continue;
    CHECK(uri->mime == c.mime);
    CHECK(uri->base64 == c.base64);
  }
}
