// parts.hpp: the files of pictures, cut up as their formats are built.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "falproxy/media.hpp"

namespace falproxy::inline v0::media {

/// A chunk of a PNG or a WebP, or a segment of a JPEG with the pixels that follow it.
struct Part {
  std::string_view kind;   ///< "IHDR", "VP8X"; of a JPEG the one byte of its marker
  std::string_view whole;  ///< its head included; cut off if the file ends before it does
  std::string_view data;   ///< without the head, and without the pixels of a JPEG
};

/// One part after the other; of other files, none.
class Parts {
 public:
  Parts(ImageType type, std::string_view bytes) noexcept;
  /// None at the end, and where the format's rules are broken.
  [[nodiscard]] std::optional<Part> next() noexcept;
  /// Where the next part would begin.
  [[nodiscard]] std::size_t at() const noexcept { return at_; }

 private:
  [[nodiscard]] std::optional<Part> next_segment() noexcept;
  [[nodiscard]] Part take(std::size_t kind, std::size_t kind_size, std::size_t data,
                          std::uint64_t data_size, std::uint64_t behind) noexcept;

  const ImageType type_;
  std::string_view bytes_;
  std::size_t at_;
};

/// What a JPEG's parts are called.
namespace jpeg {
inline constexpr std::string_view start_of_scan = "\xDA", end_of_image = "\xD9", app0 = "\xE0",
                                  app1 = "\xE1", app2 = "\xE2", app14 = "\xEE", app15 = "\xEF",
                                  comment = "\xFE";
}  // namespace jpeg

/// How the picture is to be turned before it is shown (Exif 2.32, tag Orientation): 1 to 8, of
/// which 5 and more lay it on its side; 1 if the file does not say.
[[nodiscard]] std::uint32_t orientation(ImageType type, std::string_view bytes) noexcept;

}  // namespace falproxy::inline v0::media
