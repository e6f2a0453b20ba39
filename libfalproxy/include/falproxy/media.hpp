// media.hpp: what kind of picture some bytes are, data URIs, and the conventions of masks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "falproxy/result.hpp"
#include "falproxy/vocabulary.hpp"

/// Kinds of pictures, told by their bytes; data URIs; masks.
namespace falproxy::media {

/// The kinds that OpenAI or fal send or take; sniff() tells them apart.
enum class ImageType { png, jpeg, webp, gif, svg, avif };

/// By the first bytes alone, whatever a header or a name says (32 bytes are enough, but for svg: 1
/// KiB).
[[nodiscard]] std::optional<ImageType> sniff(std::string_view bytes) noexcept;
[[nodiscard]] std::string_view mime_type(ImageType type) noexcept;  ///< "image/png"
/// OpenAI's word, as in `output_format`: "png", "jpeg", ...
[[nodiscard]] std::string_view name_of(ImageType type) noexcept;
/// By a content type with or without parameters, in any case; "image/jpg" counts as jpeg.
[[nodiscard]] std::optional<ImageType> from_mime(std::string_view content_type) noexcept;
/// By a name such as "jpg", "jpeg", "PNG" or a path's ending.
[[nodiscard]] std::optional<ImageType> from_name(std::string_view name) noexcept;

/// Of a picture, in pixels; never 0 where dimensions() found it.
struct Dimensions {
  std::uint32_t width = 0;   ///< pixels
  std::uint32_t height = 0;  ///< pixels
  bool operator==(const Dimensions&) const = default;
};
/// Read from the header of a png, jpeg, webp or gif; none where it is not there or broken.
[[nodiscard]] std::optional<Dimensions> dimensions(std::string_view bytes) noexcept;

/// `data:<mime>[;charset=..];base64,<data>` taken apart; the views point into the argument.
struct DataUri {
  std::string_view mime;    ///< "text/plain" where the URI names none
  std::string_view base64;  ///< not checked: Codecs::decode_base64() says whether it is
};
/// None where it is no data URI in base64 (RFC 2397); percent-encoded ones are not taken.
[[nodiscard]] std::optional<DataUri> parse_data_uri(std::string_view text) noexcept;

/// Decodes and writes pictures of masks. `PngMasks` of falproxy::png is the one that falproxy
/// brings. Thread-safe.
class MaskConverter {
 public:
  virtual ~MaskConverter() = default;
  /// From OpenAI's convention (transparent = change here) to `to`, as a PNG of the same size; half
  /// transparent becomes gray. A mask in which nothing is transparent, for want of an alpha channel
  /// or of its use, is taken to be white = change here already. Errors: invalid_mask (not a PNG,
  /// broken, more than 40 megapixels).
  [[nodiscard]] virtual Result<std::string> convert(std::string_view png,
                                                    MaskConvention to) const = 0;
};

}  // namespace falproxy::media
