// picture_encoder.hpp: the pictures of a FalDesk, and who makes files of them. Of
// falproxy::testing.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>

#include "falproxy/print.hpp"

namespace falproxy::inline v0::testing {

/// What fal's models write.
enum class PictureFormat { png, jpeg, webp };
/// As written above.
[[nodiscard]] std::string_view name_of(PictureFormat value) noexcept;

/// One picture, told rather than drawn.
struct Picture {
  std::uint32_t width = 1024;                 ///< in pixels, at least 1
  std::uint32_t height = 1024;                ///< in pixels, at least 1
  PictureFormat format = PictureFormat::png;  ///< of its file
  std::uint32_t variant = 0;                  ///< what there is to see
  bool transparent = false;                   ///< it has an alpha channel; never with jpeg
  bool black = false;                         ///< what fal gives if the content was flagged
  auto operator<=>(const Picture&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Picture& picture);

/// Thread-safe.
class PictureEncoder {
 public:
  virtual ~PictureEncoder() = default;
  /// False: a model that is asked for the format gives a PNG instead, and says so.
  [[nodiscard]] virtual bool makes(PictureFormat format) const = 0;
  /// A whole file of exactly the picture's size. Same picture, same bytes; pictures of different
  /// variants differ. Precondition: `makes(picture.format)`.
  [[nodiscard]] virtual std::string encode(const Picture& picture) const = 0;
};

/// Makes PNG files of one colour, which its variant chooses, and needs no library for it.
class PlainPngEncoder final : public PictureEncoder {
 public:
  [[nodiscard]] bool makes(PictureFormat format) const override;
  [[nodiscard]] std::string encode(const Picture& picture) const override;
};

/// The PNG file with a chunk that every reader skips, so that it has exactly `size` bytes. A file
/// that lacks less than the 12 bytes of such a chunk stays as it is.
[[nodiscard]] std::string pad_png(std::string file, std::size_t size);

}  // namespace falproxy::inline v0::testing
