#include "falproxy/png_masks.hpp"

#include <png.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace falproxy {
namespace {

constexpr std::uint64_t max_pixels = 40'000'000;

Error broken(std::string_view why) {
  return {ErrorKind::invalid_mask, "Invalid mask image: " + std::string(why) + ".", "mask"};
}

// libpng's simplified interface: its longjmp never leaves libpng, so no C++ frame is jumped over.
class Image {
 public:
  Image() { image_.version = PNG_IMAGE_VERSION; }
  ~Image() { png_image_free(&image_); }
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  [[nodiscard]] bool open(std::string_view png) noexcept {
    return png_image_begin_read_from_memory(&image_, png.data(), png.size()) != 0;
  }
  [[nodiscard]] std::uint32_t width() const noexcept { return image_.width; }
  [[nodiscard]] std::uint32_t height() const noexcept { return image_.height; }
  [[nodiscard]] bool has_alpha() const noexcept {
    return (image_.format & PNG_FORMAT_FLAG_ALPHA) != 0;
  }

  /// All pixels with one byte a channel; empty where the file is broken.
  [[nodiscard]] std::vector<std::uint8_t> read(png_uint_32 format) {
    image_.format = format;
    std::vector<std::uint8_t> pixels(PNG_IMAGE_SIZE(image_));
    if (png_image_finish_read(&image_, nullptr, pixels.data(), 0, nullptr) == 0) pixels.clear();
    return pixels;
  }

 private:
  png_image image_{};
};

Result<std::string> write(std::uint32_t width, std::uint32_t height, png_uint_32 format,
                          const std::vector<std::uint8_t>& pixels) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = width;
  image.height = height;
  image.format = format;
  image.flags = PNG_IMAGE_FLAG_FAST;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string png(size, '\0');
  if (png_image_write_to_memory(&image, png.data(), &size, 0, pixels.data(), 0, nullptr) == 0) {
    return Error{ErrorKind::internal, "The mask could not be written as a PNG file."};
  }
  png.resize(size);
  return png;
}

// How much each pixel is to be changed, 0..255: its transparency, or its brightness where nothing
// is transparent.
std::vector<std::uint8_t> change_of(const std::vector<std::uint8_t>& gray_alpha, bool use_alpha) {
  std::vector<std::uint8_t> change(gray_alpha.size() / 2);
  for (std::size_t i = 0; i < change.size(); ++i) {
    change[i] =
        use_alpha ? static_cast<std::uint8_t>(255 - gray_alpha[2 * i + 1]) : gray_alpha[2 * i];
  }
  return change;
}

bool has_transparency(const std::vector<std::uint8_t>& gray_alpha) noexcept {
  for (std::size_t i = 1; i < gray_alpha.size(); i += 2) {
    if (gray_alpha[i] != 255) return true;
  }
  return false;
}

}  // namespace

Result<std::string> PngMasks::convert(std::string_view png, MaskConvention to) const {
  Image image;
  if (!image.open(png)) return broken("it must be a PNG file");
  const std::uint32_t width = image.width();
  const std::uint32_t height = image.height();
  if (std::uint64_t{width} * height > max_pixels) return broken("it has more than 40 megapixels");
  const bool alpha_channel = image.has_alpha();
  const std::vector<std::uint8_t> gray_alpha = image.read(PNG_FORMAT_GA);
  if (gray_alpha.empty()) return broken("the PNG file is broken");

  const bool use_alpha = alpha_channel && has_transparency(gray_alpha);
  if (use_alpha && to == MaskConvention::alpha) return std::string(png);
  std::vector<std::uint8_t> change = change_of(gray_alpha, use_alpha);
  switch (to) {
    case MaskConvention::white:
      return write(width, height, PNG_FORMAT_GRAY, change);
    case MaskConvention::black:
      std::ranges::transform(change, change.begin(),
                             [](std::uint8_t c) { return static_cast<std::uint8_t>(255 - c); });
      return write(width, height, PNG_FORMAT_GRAY, change);
    case MaskConvention::alpha:
      break;
  }
  std::vector<std::uint8_t> with_alpha(change.size() * 2, 0);
  for (std::size_t i = 0; i < change.size(); ++i)
    with_alpha[2 * i + 1] = static_cast<std::uint8_t>(255 - change[i]);
  return write(width, height, PNG_FORMAT_GA, with_alpha);
}

}  // namespace falproxy
