#include "pictures.hpp"

#include <png.h>
#include <zlib.h>

#include <set>

#include "client.hpp"
#include "falproxy/media.hpp"
#include "falsim/encoders.hpp"

using falproxy::Body;
using falproxy::testing::pad_png;
using falproxy::testing::parse_file_suffix;
using falproxy::testing::Picture;
using falproxy::testing::PictureCache;
using falproxy::testing::PictureFormat;
using falproxy::testing::PlainPngEncoder;

namespace {

std::string painted(const Picture& picture) { return falsim::PaintingEncoder().encode(picture); }

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
    picture.sound = picture.sound && rows[y * stride] == (picture.height > 1 ? 2 : 0);
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
    const Decoded picture = decode(painted({.width = width, .height = height, .variant = 3}));
    CHECK(picture.sound);
    CHECK(picture.width == width);
    CHECK(picture.height == height);
    std::set<std::string> colours;
    for (std::size_t i = 0; i < picture.pixels.size(); i += 3)
      colours.insert(picture.pixels.substr(i, 3));
    if (width > 100) CHECK(colours.size() > 100);
  }
  CHECK(painted({.variant = 1}) != painted({.variant = 2}));
}

TEST_CASE("a transparent picture has no sky, a black one nothing at all") {
  const Decoded transparent = decode(painted({.width = 64, .height = 64, .transparent = true}));
  CHECK(transparent.sound);
  CHECK(transparent.channels == 4);
  CHECK(transparent.pixels[3] == 0);
  CHECK(transparent.pixels.back() == '\xFF');
  const Decoded black = decode(painted({.width = 64, .height = 64, .black = true}));
  CHECK(black.pixels == std::string(std::size_t{64} * 64 * 3, '\0'));
}

TEST_CASE("a PNG is padded to the byte") {
  const std::size_t plain = painted({.width = 64, .height = 64}).size();
  for (const std::size_t wanted : {plain + 12, plain + 13, std::size_t{200'000}}) {
    const std::string file = pad_png(painted({.width = 64, .height = 64}), wanted);
    CHECK(file.size() == wanted);
    CHECK(decode(file).sound);
  }
  CHECK(pad_png(painted({.width = 64, .height = 64}), plain + 11).size() == plain);
}

TEST_CASE("files say what they are") {
  for (const auto& [width, height] :
       {std::pair(1u, 1u), std::pair(17u, 9u), std::pair(640u, 480u)}) {
    for (const PictureFormat format :
         {PictureFormat::png, PictureFormat::jpeg, PictureFormat::webp}) {
      CAPTURE(extension(format));
      const std::string file = painted({.width = width, .height = height, .format = format});
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
  const falsim::PaintingEncoder encoder;
  PictureCache cache(encoder, 0, 5000);
  const auto bytes = [&](std::uint32_t variant) {
    const Body file = cache.get({.width = 64, .height = 64, .variant = variant});
    return file.pieces().front().bytes;
  };
  const Body first = cache.get({.width = 64, .height = 64});
  CHECK(bytes(0).data() == first.pieces().front().bytes.data());
  for (std::uint32_t variant = 1; variant < 20; ++variant) (void)bytes(variant);
  const Body again = cache.get({.width = 64, .height = 64});
  CHECK(again.pieces().front().bytes.data() != first.pieces().front().bytes.data());
  CHECK(again.str() == first.str());
}

TEST_CASE("the plain encoder makes sound PNG files of one colour, and nothing else") {
  const PlainPngEncoder encoder;
  CHECK(!encoder.makes(PictureFormat::jpeg));
  CHECK(!encoder.makes(PictureFormat::webp));
  for (const auto& [width, height] :
       {std::pair(1u, 1u), std::pair(17u, 9u), std::pair(3000u, 2000u)}) {
    for (const bool transparent : {false, true}) {
      const Picture picture{.width = width, .height = height, .transparent = transparent};
      const std::string file = encoder.encode(picture);
      CHECK(falproxy::media::sniff(file) == falproxy::media::ImageType::png);
      CHECK(falproxy::media::dimensions(file) == falproxy::media::Dimensions{width, height});
      png_image image{};
      image.version = PNG_IMAGE_VERSION;
      REQUIRE(png_image_begin_read_from_memory(&image, file.data(), file.size()) == 1);
      image.format = PNG_FORMAT_RGBA;
      std::string pixels(PNG_IMAGE_SIZE(image), '\1');
      CHECK(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr) == 1);
      CHECK((pixels[3] == 0) == transparent);
      CHECK(pixels == pixels.substr(pixels.size() - 4) + pixels.substr(0, pixels.size() - 4));
    }
  }
  std::set<std::string> files;
  for (std::uint32_t variant = 0; variant < 32; ++variant)
    files.insert(encoder.encode({.width = 8, .height = 8, .variant = variant}));
  CHECK(files.size() == 32);
}
