#include "encoders.hpp"

#include <jpeglib.h>
#include <png.h>
#include <webp/encode.h>

#include <cstdint>
#include <cstdio>  // which jpeglib.h needs before it
#include <cstdlib>
#include <functional>
#include <vector>

#include "painter.hpp"

namespace falsim {
namespace {

/// Hands on each row, of three bytes a pixel, or four with opacity.
void paint(const Picture& picture, const std::function<void(std::vector<std::uint8_t>&)>& take) {
  const Painter painter(picture);
  const std::size_t channels = picture.transparent ? 4 : 3;
  std::vector<Pixel> row(picture.width);
  std::vector<std::uint8_t> bytes(picture.width * channels);
  for (std::uint32_t y = 0; y < picture.height; ++y) {
    painter.paint(y, row);
    std::uint8_t* out = bytes.data();
    for (const Pixel pixel : row) {
      out[0] = red(pixel);
      out[1] = green(pixel);
      out[2] = blue(pixel);
      if (channels == 4) out[3] = opacity(pixel);
      out += channels;
    }
    take(bytes);
  }
}

// Nothing can go wrong but that there is no memory; the default error handlers would jump over
// destructors.
[[noreturn]] void fail_png(png_structp, png_const_charp) { std::abort(); }

std::string encode_png(const Picture& picture) {
  std::string file;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, fail_png, nullptr);
  png_infop info = png_create_info_struct(png);
  const auto append = [](png_structp writer, png_bytep bytes, std::size_t size) {
    auto* out = static_cast<std::string*>(png_get_io_ptr(writer));
    out->append(reinterpret_cast<const char*>(bytes), size);
  };
  png_set_write_fn(png, &file, append, nullptr);
  png_set_IHDR(png, info, picture.width, picture.height, 8,
               picture.transparent ? PNG_COLOR_TYPE_RGBA : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  // Fast, and good for what stays the same from row to row.
  png_set_compression_level(png, 1);
  png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_FILTER_UP);
  png_write_info(png, info);
  paint(picture, [png](std::vector<std::uint8_t>& row) { png_write_row(png, row.data()); });
  png_write_end(png, nullptr);
  png_destroy_write_struct(&png, &info);
  return file;
}

std::string encode_jpeg(const Picture& picture) {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &bytes, &size);
  jpeg.image_width = picture.width;
  jpeg.image_height = picture.height;
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  paint(picture, [&jpeg](std::vector<std::uint8_t>& row) {
    JSAMPROW rows[] = {row.data()};
    jpeg_write_scanlines(&jpeg, rows, 1);
  });
  jpeg_finish_compress(&jpeg);
  std::string file(reinterpret_cast<const char*>(bytes), size);
  jpeg_destroy_compress(&jpeg);
  std::free(bytes);
  return file;
}

std::string encode_webp(const Picture& picture) {
  std::vector<std::uint8_t> all;
  paint(picture, [&all](const std::vector<std::uint8_t>& row) {
    all.insert(all.end(), row.begin(), row.end());
  });
  const int width = static_cast<int>(picture.width);
  const int height = static_cast<int>(picture.height);
  constexpr float quality = 80;
  std::uint8_t* bytes = nullptr;
  const std::size_t size =
      picture.transparent ? WebPEncodeRGBA(all.data(), width, height, 4 * width, quality, &bytes)
                          : WebPEncodeRGB(all.data(), width, height, 3 * width, quality, &bytes);
  std::string file(reinterpret_cast<const char*>(bytes), size);
  WebPFree(bytes);
  return file;
}

}  // namespace

std::string PaintingEncoder::encode(const Picture& picture) const {
  switch (picture.format) {
    case PictureFormat::jpeg:
      return encode_jpeg(picture);
    case PictureFormat::webp:
      return encode_webp(picture);
    default:
      return encode_png(picture);
  }
}

}  // namespace falsim
