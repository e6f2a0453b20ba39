#include "media/picture_end.hpp"

#include <algorithm>

#include "media/bytes.hpp"

namespace falproxy::inline v0::media {
namespace {

using namespace std::string_view_literals;

}  // namespace

void PictureEnd::expect(Next next, std::size_t bytes, std::uint64_t skip) noexcept {
  next_ = next;
  needed_ = bytes;
  skip_ = skip;
}

void PictureEnd::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    if (skip_ > 0) {
      const auto skipped = static_cast<std::size_t>(std::min<std::uint64_t>(skip_, bytes.size()));
      skip_ -= skipped;
      bytes.remove_prefix(skipped);
    } else if (next_ == Next::nothing) {
      return;
    } else if (next_ == Next::jpeg_marker) {  // behind a segment, or in the pixels
      const std::size_t marker = bytes.find('\xFF');
      if (marker == std::string_view::npos) return;
      bytes.remove_prefix(marker + 1);
      expect(Next::jpeg_code, 1);
    } else {
      const std::size_t taken = std::min(needed_ - gathered_.size(), bytes.size());
      gathered_.append(bytes.substr(0, taken));
      bytes.remove_prefix(taken);
      if (gathered_.size() < needed_) return;
      read(gathered_);
      gathered_.clear();
    }
  }
}

bool PictureEnd::lacks_its_mark() const noexcept {
  return has_pixels_ && skip_ == 0 && gathered_.empty() &&
         (next_ == Next::png_chunk || next_ == Next::gif_block);
}

void PictureEnd::read(std::string_view bytes) {
  switch (next_) {
    case Next::signature:
      return read_signature(bytes);
    case Next::png_chunk: {  // RFC 2083, 3.2: length, type, data, CRC
      const std::uint64_t rest = std::uint64_t{big32(bytes, 0)} + 4;
      has_pixels_ = has_pixels_ || bytes.ends_with("IDAT");
      return expect(bytes.ends_with("IEND") ? Next::nothing : Next::png_chunk, 8, rest);
    }
    case Next::jpeg_code:
      return read_jpeg_code(static_cast<unsigned char>(bytes[0]));
    case Next::jpeg_length: {
      const std::uint32_t length = big16(bytes, 0);
      return length < 2 ? expect(Next::nothing, 0) : expect(Next::jpeg_marker, 0, length - 2);
    }
    case Next::gif_screen:  // "89a", width, height, packed, background, aspect
      return expect(Next::gif_block, 1, gif_colours(byte(bytes, 7)));
    case Next::gif_block:
      return read_gif_block(static_cast<unsigned char>(bytes[0]));
    case Next::gif_image:  // left, top, width, height, packed; then a byte and the data
      return expect(Next::gif_data, 1, gif_colours(byte(bytes, 8)) + 1);
    case Next::gif_data: {
      const std::uint32_t size = byte(bytes, 0);
      return expect(size == 0 ? Next::gif_block : Next::gif_data, 1, size);
    }
    case Next::webp_size: {  // "F", size of what follows, "WEBP"
      const std::uint32_t size = little32(bytes, 1);
      return expect(Next::nothing, 0, bytes.ends_with("WEBP") && size > 4 ? size - 4 : 0);
    }
    case Next::jpeg_marker:
    case Next::nothing:
      return;
  }
}

void PictureEnd::read_signature(std::string_view bytes) {
  if (bytes == "\x89PN"sv) return expect(Next::png_chunk, 8, 5);
  if (bytes == "\xFF\xD8\xFF"sv) return expect(Next::jpeg_code, 1);
  if (bytes == "GIF"sv) return expect(Next::gif_screen, 10);
  if (bytes == "RIF"sv) return expect(Next::webp_size, 9);
  expect(Next::nothing, 0);
}

// ITU T.81, B.1.1: what follows a 0xFF.
void PictureEnd::read_jpeg_code(unsigned char code) {
  constexpr unsigned char fill = 0xFF, end_of_image = 0xD9;
  if (code == fill) return;
  if (code == end_of_image) return expect(Next::nothing, 0);
  const bool alone = code <= 0x01 || (code >= 0xD0 && code <= 0xD8);  // 0: a pixel's own 0xFF
  return alone ? expect(Next::jpeg_marker, 0) : expect(Next::jpeg_length, 2);
}

void PictureEnd::read_gif_block(unsigned char kind) {
  constexpr unsigned char image = 0x2C, extension = 0x21;
  has_pixels_ = has_pixels_ || kind == image;
  if (kind == image) return expect(Next::gif_image, 9);
  if (kind == extension) return expect(Next::gif_data, 1, 1);  // behind its label
  expect(Next::nothing, 0);
}

}  // namespace falproxy::inline v0::media
