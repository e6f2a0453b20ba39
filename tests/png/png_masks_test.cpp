#include "falproxy/png_masks.hpp"

#include <doctest/doctest.h>
#include <png.h>

#include <cstdint>
#include <string>
#include <utility>
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

// What a program that knows nothing of masks sees; of one that takes the alpha channel off, too.
Rows look(const std::string& png, bool opaque = false) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  REQUIRE(png_image_begin_read_from_memory(&image, png.data(), png.size()) != 0);
  image.format = PNG_FORMAT_RGBA;
  std::vector<std::uint8_t> pixels(PNG_IMAGE_SIZE(image));
  REQUIRE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr) != 0);
  Rows rows(image.height);
  for (std::size_t i = 0; i < pixels.size(); i += 4) {
    const int value = pixels[i];
    const int alpha = opaque ? 255 : pixels[i + 3];
    const char color = value > 200 ? 'W' : value > 50 ? 'G' : 'B';
    rows[i / 4 / image.width] += alpha < 50 ? ' ' : alpha < 200 ? 'o' : color;
  }
  return rows;
}

Rows colours(const std::string& png) { return look(png, true); }

Rows convert(const std::string& png, MaskConvention to) {
  const auto converted = PngMasks().convert(png, to, nullptr);
  REQUIRE(converted.has_value());
  return look(**converted);
}

void append(png_structp png, png_bytep bytes, png_size_t size) {
  static_cast<std::string*>(png_get_io_ptr(png))
      ->append(reinterpret_cast<const char*>(bytes), size);
}

// A large picture whose rows are all the same, as libpng's other interface writes it.
std::string large(png_uint_32 width, png_uint_32 height, int bits, int color_type, int interlace,
                  png_byte value = 0) {
  std::string file;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(png, &file, append, nullptr);
  png_set_IHDR(png, info, width, height, bits, color_type, interlace, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  const int passes = png_set_interlace_handling(png);
  const std::vector<png_byte> row(png_get_rowbytes(png, info), value);
  for (int pass = 0; pass < passes; ++pass) {
    for (png_uint_32 y = 0; y < height; ++y) png_write_row(png, row.data());
  }
  png_write_end(png, nullptr);
  png_destroy_write_struct(&png, &info);
  return file;
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
  SUBCASE("both where nobody knows") {
    const auto converted = PngMasks().convert(mask, MaskConvention::either, nullptr);
    CHECK(look(**converted) == Rows{"BBBBB",  //
                                    "B   B",  //
                                    "BooBB"});
    CHECK(colours(**converted) == Rows{"BBBBB",  //
                                       "BWWWB",  //
                                       "BGGBB"});
  }
  SUBCASE("as it is for models that take OpenAI's") {
    CHECK(*PngMasks().convert(mask, MaskConvention::alpha, nullptr).value() == mask);
  }
}

TEST_CASE("a mask in which nothing is transparent already says white = change here") {
  const Rows picture = {"BBBB",  //
                        "BWGB"};
  for (const std::string& mask : {without_alpha(picture), with_alpha(picture)}) {
    CHECK(convert(mask, MaskConvention::white) == picture);
    CHECK(convert(mask, MaskConvention::black) == Rows{"WWWW",  //
                                                       "WBGW"});
    for (const MaskConvention to : {MaskConvention::alpha, MaskConvention::either}) {
      CHECK(convert(mask, to) == Rows{"BBBB",  //
                                      "B oB"});
      CHECK(colours(**PngMasks().convert(mask, to, nullptr)) == picture);
    }
  }
}

TEST_CASE("a mask that leaves nothing to change is refused, and the reason given") {
  const auto of_alpha = [](std::uint8_t gray, std::uint8_t alpha) {
    const std::vector<std::uint8_t> pixels = {gray, alpha, gray, alpha};
    return write(PNG_FORMAT_GA, 2, 1, pixels.data());
  };
  const auto of_gray = [](std::uint8_t left, std::uint8_t right) {
    const std::uint8_t pixels[] = {left, right};
    return write(PNG_FORMAT_GRAY, 2, 1, pixels);
  };
  const std::uint8_t colours[] = {0, 0, 0, 255, 200, 0, 0, 255};
  struct Case {
    const char* what;
    std::string mask;
  };
  for (const Case& c : std::vector<Case>{
           {"opaque white", of_alpha(255, 255)},
           {"opaque black", of_alpha(0, 255)},
           {"nearly opaque", of_alpha(255, 254)},
           {"black", of_gray(0, 0)},
           {"nearly black", of_gray(0, 1)},
           {"a picture in colours", write(PNG_FORMAT_RGBA, 2, 1, colours)},
           {"a picture in colours without alpha", write(PNG_FORMAT_RGB, 2, 1, colours)},
       }) {
    CAPTURE(c.what);
    for (const MaskConvention to :
         {MaskConvention::white, MaskConvention::black, MaskConvention::alpha}) {
      const auto converted = PngMasks().convert(c.mask, to, nullptr);
      REQUIRE_FALSE(converted.has_value());
      CHECK(converted.error().kind == ErrorKind::invalid_mask);
      CHECK(converted.error().field == "mask");
      CHECK(converted.error().message.find("leaves nothing to change") != std::string::npos);
    }
  }
  // Without an alpha channel white all over can only mean: change everything.
  CHECK(convert(of_gray(255, 255), MaskConvention::white) == Rows{"WW"});
}

TEST_CASE("a mask painted on nearly opaque ground is read as it was painted") {
  const std::uint8_t pixels[] = {0, 254, 255, 255, 0, 254};
  CHECK(convert(write(PNG_FORMAT_GA, 3, 1, pixels), MaskConvention::white) == Rows{"BWB"});
  // And beside what is transparent it stays.
  const std::uint8_t erased[] = {0, 254, 0, 0, 0, 255};
  CHECK(convert(write(PNG_FORMAT_GA, 3, 1, erased), MaskConvention::white) == Rows{"BWB"});
}

TEST_CASE("a converted mask is turned as the mask was") {
  std::string mask = with_alpha({"BBB", "B B"});
  mask.insert(33, media::without_metadata(
                      {nullptr, tests::png_head(1, 1) + tests::png_chunk("eXIf", tests::tiff(6))})
                      ->str()
                      .substr(33));
  REQUIRE(media::dimensions(mask) == media::Dimensions{2, 3});
  for (const auto to : {MaskConvention::white, MaskConvention::black, MaskConvention::alpha}) {
    const auto converted = PngMasks().convert(mask, to, nullptr);
    REQUIRE(converted.has_value());
    CHECK(media::dimensions(**converted) == media::Dimensions{2, 3});
    look(**converted);
  }
}

TEST_CASE("the hole of a picture is its mask, and nothing in it counts as painted (D5)") {
  const PngMasks masks;
  const auto hole = masks.from_hole(with_alpha({"GW G", "GBoG"}), MaskConvention::white, nullptr);
  REQUIRE(hole.has_value());
  CHECK(look(**hole) == Rows{"BBWB", "BBGB"});
  for (const std::string& opaque : {with_alpha({"WWBB"}), without_alpha({"WWBB"})}) {
    for (const auto to : {MaskConvention::white, MaskConvention::alpha}) {
      const auto refused = masks.from_hole(opaque, to, nullptr);
      REQUIRE_FALSE(refused.has_value());
      CHECK(refused.error().kind == ErrorKind::invalid_mask);
      CHECK(refused.error().message.find("no pixel of the picture is transparent") !=
            std::string::npos);
    }
    CHECK(masks.convert(opaque, MaskConvention::white, nullptr).has_value());
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
    const auto converted = PngMasks().convert(bytes, MaskConvention::white, nullptr);
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

TEST_CASE("every kind of PNG is read alike, interlaced or not") {
  for (const int interlace : {PNG_INTERLACE_NONE, PNG_INTERLACE_ADAM7}) {
    struct Kind {
      int bits, color_type;
    };
    for (const Kind& kind : std::vector<Kind>{
             {1, PNG_COLOR_TYPE_GRAY},
             {2, PNG_COLOR_TYPE_GRAY},
             {4, PNG_COLOR_TYPE_GRAY},
             {8, PNG_COLOR_TYPE_GRAY},
             {16, PNG_COLOR_TYPE_GRAY},
             {8, PNG_COLOR_TYPE_RGB},
             {16, PNG_COLOR_TYPE_RGB},
         }) {
      CAPTURE(interlace);
      CAPTURE(kind.bits);
      CAPTURE(kind.color_type);
      const std::string white = large(9, 5, kind.bits, kind.color_type, interlace, 0xff);
      CHECK(convert(white, MaskConvention::white) == Rows(5, "WWWWWWWWW"));
      CHECK(convert(white, MaskConvention::black) == Rows(5, "BBBBBBBBB"));
      CHECK(convert(white, MaskConvention::alpha) == Rows(5, "         "));
    }
    for (const int bits : {8, 16}) {
      for (const int color_type : {PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB_ALPHA}) {
        CAPTURE(interlace);
        CAPTURE(bits);
        CAPTURE(color_type);
        const std::string clear = large(9, 5, bits, color_type, interlace, 0);
        CHECK(convert(clear, MaskConvention::white) == Rows(5, "WWWWWWWWW"));
      }
    }
  }
}

TEST_CASE("gray of 16 bits means what gray of 8 bits means") {
  const auto converted =
      PngMasks().convert(large(1, 1, 16, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE, 0x80),
                         MaskConvention::white, nullptr);
  REQUIRE(converted.has_value());
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  REQUIRE(png_image_begin_read_from_memory(&image, (*converted)->data(), (*converted)->size()) !=
          0);
  image.format = PNG_FORMAT_GRAY;
  std::uint8_t pixel = 0;
  REQUIRE(png_image_finish_read(&image, nullptr, &pixel, 0, nullptr) != 0);
  CHECK(pixel == 0x80);
}

TEST_CASE("a mask as large as any camera's needs little memory, and what it needs counts") {
  MemoryBudget budget(2u << 20);
  for (const auto& [width, height] :
       std::vector<std::pair<png_uint_32, png_uint_32>>{{6300, 6300}, {8000, 6000}}) {
    for (const MaskConvention to :
         {MaskConvention::white, MaskConvention::black, MaskConvention::alpha}) {
      const std::string mask =
          large(width, height, 1, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE, 0xff);
      const auto converted = PngMasks().convert(mask, to, &budget);
      REQUIRE(converted.has_value());
      CHECK(budget.used() >= (*converted)->size());
      CHECK(budget.used() < 1u << 20);
    }
  }
  CHECK(budget.used() == 0);
}

TEST_CASE("a mask for which there is no memory is told so, and takes none") {
  const auto overloaded = [](const std::string& mask, std::size_t limit) {
    MemoryBudget budget(limit);
    bool refused = false;
    {
      const auto converted = PngMasks().convert(mask, MaskConvention::white, &budget);
      refused = !converted.has_value() && converted.error().kind == ErrorKind::overloaded;
    }
    CHECK(budget.used() == 0);
    return refused;
  };
  const std::string small = with_alpha({"B B"});
  CHECK(overloaded(small, 100'000));
  CHECK_FALSE(overloaded(small, 1'000'000));
  // Interlaced, it is needed as a whole.
  const std::string interlaced =
      large(2000, 2000, 1, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_ADAM7, 0xff);
  CHECK(overloaded(interlaced, 8'000'000));
  CHECK_FALSE(overloaded(interlaced, 9'000'000));
  // The answer grows past what there is.
  std::string noise;
  std::uint32_t state = 1;
  std::vector<std::uint8_t> pixels;
  for (int i = 0; i < 1000 * 1000; ++i) {
    state = state * 1664525 + 1013904223;
    pixels.push_back(static_cast<std::uint8_t>(state >> 24));
  }
  CHECK(overloaded(write(PNG_FORMAT_GRAY, 1000, 1000, pixels.data()), 800'000));
}

TEST_CASE("a mask that is too much work is refused before its pixels are read") {
  // A valid head, as zlib bombs have it.
  const auto refusal = [](std::uint32_t width, std::uint32_t height, char interlace) {
    const std::string small = with_alpha({"B"});
    std::string head = "\x89PNG\r\n\x1A\n" + tests::big_endian(13, 4);
    std::string ihdr = "IHDR" + tests::big_endian(width, 4) + tests::big_endian(height, 4) +
                       std::string("\x08\x06\0\0", 4) + interlace;
    std::uint32_t crc = 0xFFFFFFFFu;
    for (const char c : ihdr) {
      crc ^= static_cast<unsigned char>(c);
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
    }
    const std::string bomb =
        head + ihdr + tests::big_endian(~crc, 4) + small.substr(small.find("IDAT") - 4);
    const auto converted = PngMasks().convert(bomb, MaskConvention::white, nullptr);
    REQUIRE_FALSE(converted.has_value());
    CHECK(converted.error().kind == ErrorKind::invalid_mask);
    return converted.error().message;
  };
  CHECK(refusal(20'000, 20'000, 0).find("268 megapixels") != std::string::npos);
  CHECK(refusal(8000, 6000, 1).find("40 megapixels") != std::string::npos);
  CHECK(refusal(6300, 6300, 1).find("broken") != std::string::npos);
}
