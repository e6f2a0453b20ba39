#include "falproxy/png_masks.hpp"

#include <doctest/doctest.h>
#include <png.h>

#include <string>
#include <vector>

#include "support/pictures.hpp"

using namespace falproxy;

namespace {

using Rows = std::vector<std::string>;

std::string write(png_uint_32 format, png_uint_32 width, png_uint_32 height, const void* pixels,
                  const void* colormap = nullptr, png_uint_32 colors = 0) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = width;
  image.height = height;
  image.format = format;
  image.colormap_entries = colors;
  png_alloc_size_t size = 0;
  REQUIRE(png_image_write_to_memory(&image, nullptr, &size, 0, pixels, 0, colormap) != 0);
  std::string png(size, '\0');
  REQUIRE(png_image_write_to_memory(&image, png.data(), &size, 0, pixels, 0, colormap) != 0);
  return png;
}

// Pictures as text. ' ' is transparent, 'o' half so; 'W', 'G' and 'B' are opaque white, gray and
// black.
std::vector<std::uint8_t> rgba(const Rows& rows) {
  std::vector<std::uint8_t> pixels;
  for (const std::string& row : rows) {
    for (const char c : row) {
      const std::uint8_t value = c == 'W' ? 255 : c == 'G' ? 128 : 0;
      const std::uint8_t alpha = c == ' ' ? 0 : c == 'o' ? 128 : 255;
      pixels.insert(pixels.end(), {value, value, value, alpha});
    }
  }
  return pixels;
}

std::string with_alpha(const Rows& rows) {
  return write(PNG_FORMAT_RGBA, static_cast<png_uint_32>(rows[0].size()),
               static_cast<png_uint_32>(rows.size()), rgba(rows).data());
}

std::string without_alpha(const Rows& rows) {
  std::vector<std::uint8_t> gray;
  const std::vector<std::uint8_t> pixels = rgba(rows);
  for (std::size_t i = 0; i < pixels.size(); i += 4) gray.push_back(pixels[i]);
  return write(PNG_FORMAT_GRAY, static_cast<png_uint_32>(rows[0].size()),
               static_cast<png_uint_32>(rows.size()), gray.data());
}

// What a program that knows nothing of masks sees.
Rows look(const std::string& png) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  REQUIRE(png_image_begin_read_from_memory(&image, png.data(), png.size()) != 0);
  image.format = PNG_FORMAT_RGBA;
  std::vector<std::uint8_t> pixels(PNG_IMAGE_SIZE(image));
  REQUIRE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr) != 0);
  Rows rows(image.height);
  for (std::size_t i = 0; i < pixels.size(); i += 4) {
    const int value = pixels[i];
    const int alpha = pixels[i + 3];
    const char color = value > 200 ? 'W' : value > 50 ? 'G' : 'B';
    rows[i / 4 / image.width] += alpha < 50 ? ' ' : alpha < 200 ? 'o' : color;
  }
  return rows;
}

Rows convert(const std::string& png, MaskConvention to) {
  const auto converted = PngMasks().convert(png, to);
  REQUIRE(converted.has_value());
  return look(*converted);
}

}  // namespace

TEST_CASE("what is transparent is what is to be changed") {
  const std::string mask = with_alpha({"BBBBB",  //
                                       "B   B",  //
                                       "BooWW"});
  SUBCASE("white for most models") {
    CHECK(convert(mask, MaskConvention::white) == Rows{"BBBBB",  //
                                                       "BWWWB",  //
                                                       "BGGBB"});
  }
  SUBCASE("black for some") {
    CHECK(convert(mask, MaskConvention::black) == Rows{"WWWWW",  //
                                                       "WBBBW",  //
                                                       "WGGWW"});
  }
  SUBCASE("as it is for models that take OpenAI's") {
    CHECK(PngMasks().convert(mask, MaskConvention::alpha).value() == mask);
  }
}

TEST_CASE("a mask in which nothing is transparent already says white = change here") {
  const Rows picture = {"BBBB",  //
                        "BWGB"};
  for (const std::string& mask : {without_alpha(picture), with_alpha(picture)}) {
    CHECK(convert(mask, MaskConvention::white) == picture);
    CHECK(convert(mask, MaskConvention::black) == Rows{"WWWW",  //
                                                       "WBGW"});
    CHECK(convert(mask, MaskConvention::alpha) == Rows{"BBBB",  //
                                                       "B oB"});
  }
}

TEST_CASE("every kind of PNG serves") {
  const Rows wanted = {"WB"};
  SUBCASE("with a palette and a transparent entry") {
    const std::uint8_t colors[] = {10, 200, 30, 0, 10, 20, 30, 255};
    const std::uint8_t pixels[] = {0, 1};
    CHECK(convert(write(PNG_FORMAT_RGBA_COLORMAP, 2, 1, pixels, colors, 2),
                  MaskConvention::white) == wanted);
  }
  SUBCASE("with 16 bits a channel") {
    const std::uint16_t pixels[] = {0, 0, 0, 0, 65535, 65535, 65535, 65535};
    CHECK(convert(write(PNG_FORMAT_LINEAR_RGB_ALPHA, 2, 1, pixels), MaskConvention::white) ==
          wanted);
  }
  SUBCASE("with gray and alpha") {
    const std::uint8_t pixels[] = {255, 0, 255, 255};
    CHECK(convert(write(PNG_FORMAT_GA, 2, 1, pixels), MaskConvention::white) == wanted);
  }
  SUBCASE("of one pixel") {
    const std::uint8_t pixels[] = {0, 0, 0, 0};
    CHECK(convert(write(PNG_FORMAT_RGBA, 1, 1, pixels), MaskConvention::white) == Rows{"W"});
  }
}

TEST_CASE("what is no whole PNG is refused") {
  const std::string mask = with_alpha({"B B", "BBB"});
  const auto refused = [](const std::string& bytes) {
    const auto converted = PngMasks().convert(bytes, MaskConvention::white);
    return !converted.has_value() && converted.error().kind == ErrorKind::invalid_mask &&
           converted.error().field == "mask" && !converted.error().message.empty();
  };
  CHECK(refused(""));
  CHECK(refused("hello"));
  CHECK(refused(tests::jpeg_head(3, 2)));
  CHECK(refused(tests::png_head(3, 2)));
  // Cut off anywhere before its pixels are complete.
  const std::size_t end = mask.find("IEND") - 8;
  for (std::size_t size = 0; size < end; ++size) {
    CAPTURE(size);
    CHECK(refused(mask.substr(0, size)));
  }
}

TEST_CASE("a mask of more than 40 megapixels is refused before its pixels are read") {
  // A valid head, as zlib bombs have it: 20,000 x 20,000.
  const std::string small = with_alpha({"B"});
  std::string head = "\x89PNG\r\n\x1A\n" + tests::big_endian(13, 4);
  std::string ihdr = "IHDR" + tests::big_endian(20'000, 4) + tests::big_endian(20'000, 4) +
                     std::string("\x08\x06\0\0\0", 5);
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const char c : ihdr) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
  }
  const std::string bomb =
      head + ihdr + tests::big_endian(~crc, 4) + small.substr(small.find("IDAT") - 4);
  const auto converted = PngMasks().convert(bomb, MaskConvention::white);
  REQUIRE_FALSE(converted.has_value());
  CHECK(converted.error().kind == ErrorKind::invalid_mask);
  CHECK(converted.error().message.find("40 megapixels") != std::string::npos);
}
