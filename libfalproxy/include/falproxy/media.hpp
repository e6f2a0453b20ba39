// media.hpp: what kind of picture some bytes are, data URIs, and the conventions of masks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "falproxy/http.hpp"
#include "falproxy/memory_budget.hpp"
#include "falproxy/print.hpp"
#include "falproxy/result.hpp"
#include "falproxy/vocabulary.hpp"

/// Kinds of pictures, told by their bytes; data URIs; masks.
namespace falproxy::inline v0::media {

/// The kinds that OpenAI or fal send or take; sniff() tells them apart.
enum class ImageType { png, jpeg, webp, gif, svg, avif };

/// By the first bytes alone, whatever a header or a name says (256 bytes are enough, but for svg: 4
/// KiB).
[[nodiscard]] std::optional<ImageType> sniff(std::string_view bytes) noexcept;
[[nodiscard]] std::string_view mime_type(ImageType type) noexcept;  ///< "image/png"
/// Of any file, by its first bytes: also "image/heic", "image/tiff" and "image/bmp", which nobody
/// here takes, and those of sounds; "application/octet-stream" if it is nothing known.
[[nodiscard]] std::string_view mime_type(std::string_view bytes) noexcept;
/// OpenAI's word, as in `output_format`: "png", "jpeg", ...
[[nodiscard]] std::string_view name_of(ImageType type) noexcept;
/// By a content type with or without parameters, in any case; "image/jpg" counts as jpeg.
[[nodiscard]] std::optional<ImageType> from_mime(std::string_view content_type) noexcept;
/// By a name such as "jpg", "jpeg", "PNG" or a path's ending.
[[nodiscard]] std::optional<ImageType> from_name(std::string_view name) noexcept;

/// The kinds of sound that fal or OpenAI's clients send or take; of those that may hold a video,
/// too, the sound counts.
enum class SoundType { mp3, wav, flac, opus, ogg, aac, mp4, webm };
/// By the first bytes alone (64 are enough); `opus` is an Ogg file with Opus in it.
[[nodiscard]] std::optional<SoundType> sniff_sound(std::string_view bytes) noexcept;
[[nodiscard]] std::string_view mime_type(SoundType type) noexcept;  ///< "audio/mpeg"
/// OpenAI's word, as in `response_format`: "mp3", "wav", ...
[[nodiscard]] std::string_view name_of(SoundType type) noexcept;
/// By a name such as "mp3" or "x/y.wav?z", or a content type such as "audio/mpeg".
[[nodiscard]] std::optional<SoundType> sound_from_name(std::string_view name) noexcept;
/// How long a sound plays, in seconds. `beginning`: of its bytes, all of them if `whole` is null,
/// of which a few pieces are read. Exact for WAV, FLAC, Ogg (Opus, Vorbis), MP4, and mp3 with a
/// table of its frames; of another mp3 an estimate by its first frames. None: it does not tell
/// (webm, AAC, what is still being recorded), or is no such sound.
[[nodiscard]] std::optional<double> sound_seconds(std::string_view beginning,
                                                  const BodySource* whole = nullptr);

/// Of a picture, in pixels; never 0 if dimensions() found it.
struct Dimensions {
  std::uint32_t width = 0;   ///< pixels
  std::uint32_t height = 0;  ///< pixels
  bool operator==(const Dimensions&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Dimensions& dimensions);
/// As it is shown, turned as its metadata (EXIF) says; read from the header of a png, jpeg, webp,
/// gif or avif, and from what is there of the rest; none if the header is missing or broken.
[[nodiscard]] std::optional<Dimensions> dimensions(std::string_view bytes) noexcept;
/// A picture that has dimensions and reaches to its end, as decoders see it: a JPEG may lack its
/// last bytes, and a PNG or a GIF the mark that ends it.
[[nodiscard]] bool is_whole(std::string_view bytes);
/// A PNG that can be transparent somewhere.
[[nodiscard]] bool has_alpha(std::string_view png) noexcept;

/// The file without what tells of a camera, a place, a person or a prompt: what a decoder needs
/// stays, and the orientation; all else goes, such as EXIF, XMP, C2PA, texts, times, and whatever
/// stands behind the end. Pixels and colour profiles stay as they are, and are not copied. A file
/// that is no png, jpeg or webp comes back whole. None: it has such things in more than 1,000
/// places, as no program writes them.
[[nodiscard]] std::optional<Body> without_metadata(const Piece& file);

/// Exif data, as the chunk eXIf of a PNG holds it, that tell how a png, jpeg or webp is to be
/// turned before it is shown, and nothing else; empty if it is shown as it stands.
[[nodiscard]] std::string orientation_exif(std::string_view file);

/// `data:<mime>[;charset=..];base64,<data>` taken apart; the views point into the argument.
struct DataUri {
  std::string_view mime;    ///< "text/plain" if the URI names none
  std::string_view base64;  ///< not checked: Codecs::decode_base64() says whether it is
  bool operator==(const DataUri&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const DataUri& uri);
/// None if it is no data URI in base64 (RFC 2397); percent-encoded ones are not taken.
[[nodiscard]] std::optional<DataUri> parse_data_uri(std::string_view text) noexcept;

/// Decodes and writes pictures of masks. `PngMasks` of falproxy::png is the one that falproxy
/// brings. Thread-safe.
class MaskConverter {
 public:
  virtual ~MaskConverter() = default;
  /// From OpenAI's convention (transparent = change here) to `to`, as a PNG of the same size and
  /// turned alike; half transparent becomes gray. A mask in which nothing is transparent (less than
  /// 254 of 255 opaque), for want of an alpha channel or of its use, must be painted: it is taken
  /// to be white = change here already. What it works with is taken from `memory`, and so is the
  /// answer, as long as anybody has it; null: without a limit. Errors: invalid_mask (not a PNG,
  /// broken, too many pixels, nothing to change), overloaded.
  [[nodiscard]] virtual Result<std::shared_ptr<const std::string>> convert(
      std::string_view png, MaskConvention to, MemoryBudget* memory) const = 0;
  /// As convert(), of a picture whose own transparency is the mask; nothing in it counts as
  /// painted.
  [[nodiscard]] virtual Result<std::shared_ptr<const std::string>> from_hole(
      std::string_view picture, MaskConvention to, MemoryBudget* memory) const = 0;
};

}  // namespace falproxy::inline v0::media
