// picture_end.hpp: whether the bytes of a picture reach to its end, told while they arrive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace falproxy::inline v0::media {

/// Walks over a png, jpeg, gif or webp as its format is built, without looking at the pixels, so
/// that a thumbnail inside it or bytes behind it do not mislead. Of any other file, and of one that
/// breaks its format's rules, nothing is known: its end counts as reached.
class PictureEnd {
 public:
  /// The next bytes of the file, in pieces of any size.
  void feed(std::string_view bytes);
  /// Nothing that belongs to the picture is missing.
  [[nodiscard]] bool reached() const noexcept { return next_ == Next::nothing && skip_ == 0; }
  /// All that misses is the mark that ends a png or a gif: its pixels are there, as far as its
  /// parts tell.
  [[nodiscard]] bool lacks_its_mark() const noexcept;

 private:
  // What stands behind the bytes that are skipped.
  enum class Next {
    signature,
    png_chunk,
    jpeg_marker,
    jpeg_code,
    jpeg_length,
    gif_screen,
    gif_block,
    gif_image,
    gif_data,
    webp_size,
    nothing,
  };
  void expect(Next next, std::size_t bytes, std::uint64_t skip = 0) noexcept;
  void read(std::string_view bytes);
  void read_signature(std::string_view bytes);
  void read_jpeg_code(unsigned char code);
  void read_gif_block(unsigned char kind);

  Next next_ = Next::signature;
  std::size_t needed_ = 3;  // bytes to look at together
  std::uint64_t skip_ = 0;  // before them
  std::string gathered_;    // of those that are needed
  bool has_pixels_ = false;
};

}  // namespace falproxy::inline v0::media
