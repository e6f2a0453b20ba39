// Whether a picture is there to its end.
#include "media/picture_end.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "support/pictures.hpp"

namespace falproxy {
namespace {

using media::PictureEnd;
using namespace falproxy::tests;

bool reaches_its_end(std::string_view bytes, std::size_t piece = 1000) {
  PictureEnd end;
  for (std::size_t i = 0; i < bytes.size(); i += piece) end.feed(bytes.substr(i, piece));
  return end.reached();
}

struct Whole {
  const char* name;
  std::string bytes;
};

std::vector<Whole> whole_pictures() {
  const std::string thumbnail = "\xFF\xD8\xFF\xD9";
  const std::string scan = std::string("\xFF\xDA\0\3x", 5) + "pixels" +
                           std::string("\xFF\0more\xFF\xD3", 8) + "and more";
  const std::string gif_pixels = std::string("\x2C", 1) + std::string(8, '\0') + '\x80' + "table1" +
                                 '\x08' + "\x03xyz" + std::string(1, '\0');
  return {
      {"png", png_head(2, 2) + big_endian(5, 4) + "IDATIEND!crc!" + big_endian(0, 4) + "IENDcrc!"},
      {"jpeg", jpeg_head(2, 2) + scan + "\xFF\xD9"},
      {"jpeg, progressive",
       jpeg_head(2, 2) + scan + std::string("\xFF\xFF\xC4\0\4hu", 7) + scan + "\xFF\xD9"},
      {"jpeg with a thumbnail",
       "\xFF\xD8\xFF\xE1" + big_endian(2 + 4, 2) + thumbnail + scan + "\xFF\xD9"},
      {"gif", gif_head(2, 2) + gif_pixels + "\x3B"},
      {"gif, animated, with a table of colours",
       "GIF89a" + std::string("\2\0\2\0\x81\0\0", 7) + std::string(12, ';') +
           std::string("\x21\xFF\x03;;;\0", 7) + gif_pixels + gif_pixels + "\x3B"},
      {"webp", "RIFF" + little_endian(20, 4) + "WEBPVP8 " + std::string(12, 'x')},
  };
}

}  // namespace

TEST_CASE("a picture reaches its end with its last byte and not before, in pieces of any size") {
  for (const Whole& picture : whole_pictures()) {
    CAPTURE(picture.name);
    for (std::size_t size = 0; size < picture.bytes.size(); ++size) {
      CAPTURE(size);
      CHECK_FALSE(reaches_its_end(picture.bytes.substr(0, size)));
    }
    for (const std::size_t piece : {1u, 2u, 3u, 7u, 1000u}) {
      CAPTURE(piece);
      CHECK(reaches_its_end(picture.bytes, piece));
      CHECK(reaches_its_end(picture.bytes + "bytes behind it", piece));
    }
  }
}

TEST_CASE("of files that are no such picture, or break the rules, nothing is known") {
  for (const char* text : {"<svg/>", "%PDF-1.7", "RIFFxxxxWAVE", "\xFF\xD8\xFF\xE1\0\0"}) {
    CAPTURE(text);
    CHECK(reaches_its_end(std::string(text) + std::string(10, '\0')));
  }
  CHECK(reaches_its_end(gif_head(2, 2) + "?"));
}

}  // namespace falproxy
