#include "falsim/pictures.hpp"

#include <zlib.h>

#include <set>

#include "client.hpp"
#include "falproxy/media.hpp"
#include "falsim/encoders.hpp"

using falsim::encode;
using falsim::encode_png;
using falsim::parse_file_suffix;
using falsim::Picture;
using falsim::PictureCache;
using falsim::PictureFormat;
using falsim::SharedText;

namespace {

std::size_t big_endian(std::string_view bytes) {
  std::size_t value = 0;
  for (const char c : bytes.substr(0, 4)) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

struct Decoded {
  bool sound = false;  ///< every checksum fits, and the data is exactly the rows
  std::size_t width = 0, height = 0, channels = 0;
  std::string pixels;
};

Decoded decode(std::string_view file) {
  Decoded picture;
  std::string packed;
  for (std::size_t at = 8; at + 12 <= file.size();) {
    const std::size_t size = big_endian(file.substr(at));
    const std::string_view type = file.substr(at + 4, 4);
    const std::string_view data = file.substr(at + 8, size);
    const auto sum = crc32_z(0, reinterpret_cast<const Bytef*>(type.data()), size + 4);
    if (sum != big_endian(file.substr(at + 8 + size))) return picture;
    if (type == "IHDR") {
      picture.width = big_endian(data);
      picture.height = big_endian(data.substr(4));
      picture.channels = data[9] == 6 ? 4 : 3;
    }
    if (type == "IDAT") packed += data;
    at += size + 12;
  }
  const std::size_t stride = picture.width * picture.channels + 1;
  std::string rows(stride * picture.height, '\0');
  uLongf size = rows.size();
  const int unpacked = uncompress(reinterpret_cast<Bytef*>(rows.data()), &size,
                                  reinterpret_cast<const Bytef*>(packed.data()), packed.size());
  picture.sound = unpacked == Z_OK && size == rows.size();
  std::string above(stride - 1, '\0');
  for (std::size_t y = 0; y < picture.height; ++y) {
    picture.sound = picture.sound && rows[y * stride] == 2;
    for (std::size_t i = 0; i + 1 < stride; ++i)
      above[i] = static_cast<char>(above[i] + rows[y * stride + 1 + i]);
    picture.pixels += above;
  }
  return picture;
}

}  // namespace

TEST_CASE("a PNG is sound, has exactly the size and something to look at") {
  for (const auto& size : {std::pair(1u, 1u), std::pair(7u, 300u), std::pair(640u, 480u)}) {
    const unsigned width = size.first, height = size.second;
    CAPTURE(width);
    const Decoded picture = decode(encode_png({.width = width, .height = height, .variant = 3}, 0));
    CHECK(picture.sound);
    CHECK(picture.width == width);
    CHECK(picture.height == height);
    std::set<std::string> colours;
    for (std::size_t i = 0; i < picture.pixels.size(); i += 3)
      colours.insert(picture.pixels.substr(i, 3));
    if (width > 100) CHECK(colours.size() > 100);
  }
  CHECK(encode_png({.variant = 1}, 0) != encode_png({.variant = 2}, 0));
}

TEST_CASE("a transparent picture has no sky, a black one nothing at all") {
  const Decoded transparent =
      decode(encode_png({.width = 64, .height = 64, .transparent = true}, 0));
  CHECK(transparent.sound);
  CHECK(transparent.channels == 4);
  CHECK(transparent.pixels[3] == 0);
  CHECK(transparent.pixels.back() == '\xFF');
  const Decoded black = decode(encode_png({.width = 64, .height = 64, .black = true}, 0));
  CHECK(black.pixels == std::string(std::size_t{64} * 64 * 3, '\0'));
}

TEST_CASE("a PNG is padded to the byte") {
  const std::size_t plain = encode_png({.width = 64, .height = 64}, 0).size();
  for (const std::size_t wanted : {plain + 12, plain + 13, std::size_t{200'000}}) {
    const std::string file = encode_png({.width = 64, .height = 64}, wanted);
    CHECK(file.size() == wanted);
    CHECK(decode(file).sound);
  }
  CHECK(encode_png({.width = 64, .height = 64}, plain + 11).size() == plain);
}

TEST_CASE("files say what they are") {
  for (const auto& [width, height] :
       {std::pair(1u, 1u), std::pair(17u, 9u), std::pair(640u, 480u)}) {
    for (const PictureFormat format :
         {PictureFormat::png, PictureFormat::jpeg, PictureFormat::webp}) {
      CAPTURE(extension(format));
      const std::string file = encode({.width = width, .height = height, .format = format}, 0);
      const auto type = falproxy::media::sniff(file);
      REQUIRE(type.has_value());
      CHECK(falproxy::media::mime_type(*type) == media_type(format));
      CHECK(falproxy::media::dimensions(file) == falproxy::media::Dimensions{width, height});
    }
  }
}

TEST_CASE("the name of a file says what it shows") {
  const Picture pictures[] = {
      {},
      {.width = 1, .height = 14142, .format = PictureFormat::jpeg, .variant = 31},
      {.format = PictureFormat::webp, .variant = 5, .transparent = true},
      {.variant = 9, .black = true}};
  for (const Picture& picture : pictures) {
    const std::string suffix = file_suffix(picture);
    CAPTURE(suffix);
    CHECK(parse_file_suffix(suffix) == picture);
  }
  for (const char* bad :
       {"", "1024", "1024x", "1024x768", "1024x768_", "1024x768_1", "1024x768_1.gif", "0x768_1.png",
        "1024x14143_1.png", "1024x768_1.png.png", "-1x1_1.png", "99999999999x1_1.png"}) {
    CAPTURE(bad);
    CHECK(!parse_file_suffix(bad).has_value());
  }
}

TEST_CASE("a picture is encoded once, and the oldest is forgotten where there is no room") {
  PictureCache cache(0, 5000);
  const SharedText first = cache.get({.width = 64, .height = 64});
  CHECK(cache.get({.width = 64, .height = 64}) == first);
  for (std::uint32_t variant = 1; variant < 20; ++variant)
    (void)cache.get({.width = 64, .height = 64, .variant = variant});
  const SharedText again = cache.get({.width = 64, .height = 64});
  CHECK(again != first);
  CHECK(*again == *first);
}
