// What a file tells besides its picture, cut out without a copy of the rest.

#include <algorithm>
#include <utility>

#include "falproxy/media.hpp"
#include "media/bytes.hpp"
#include "media/parts.hpp"

namespace falproxy::inline v0::media {
namespace {

using namespace std::string_view_literals;

// What a decoder needs of a JPEG's application data: JFIF, the colour profile, the kind of colours.
bool is_needed(const Part& part) noexcept {
  return (part.kind == jpeg::app0 && part.data.starts_with("JFIF\0"sv)) ||
         (part.kind == jpeg::app2 && part.data.starts_with("ICC_PROFILE\0"sv)) ||
         (part.kind == jpeg::app14 && part.data.starts_with("Adobe"));
}

// What a decoder needs of a PNG (PNG 3, 11 and 13) or a WebP (RFC 9649, 2.7): the picture, its
// colours, its frames, the shape of its pixels.
constexpr std::string_view needed_chunks[] = {
    "IHDR", "PLTE", "IDAT", "IEND", "tRNS", "cHRM", "gAMA", "iCCP", "sBIT", "sRGB", "cICP",
    "mDCV", "mDCv", "cLLI", "cLLi", "bKGD", "hIST", "pHYs", "sPLT", "acTL", "fcTL", "fdAT",
};
constexpr std::string_view needed_riff_chunks[] = {"VP8X", "VP8 ", "VP8L", "ALPH",
                                                   "ANIM", "ANMF", "ICCP"};

bool is_metadata(ImageType type, const Part& part) noexcept {
  switch (type) {
    case ImageType::png:
      return std::ranges::find(needed_chunks, part.kind) == std::end(needed_chunks);
    case ImageType::webp:
      return std::ranges::find(needed_riff_chunks, part.kind) == std::end(needed_riff_chunks);
    default: {
      const bool application = part.kind >= jpeg::app0 && part.kind <= jpeg::app15;
      return part.kind == jpeg::comment || (application && !is_needed(part));
    }
  }
}

bool is_last(ImageType type, const Part& part) noexcept {
  return (type == ImageType::jpeg && part.kind == jpeg::end_of_image) ||
         (type == ImageType::png && part.kind == "IEND");
}

std::string little(std::uint32_t value) {
  std::string text;
  for (int shift = 0; shift < 32; shift += 8) text += static_cast<char>(value >> shift & 0xFF);
  return text;
}

// RFC 2083, 15.
std::string crc_of(std::string_view bytes) {
  std::uint32_t crc = 0xFFFFFFFF;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xEDB88320U : 0U);
  }
  std::string text = little(~crc);
  std::ranges::reverse(text);
  return text;
}

std::string exif_of(std::uint32_t orientation) {
  std::string tiff("MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0"sv);
  tiff[19] = static_cast<char>(orientation);
  return tiff;
}

// A part that tells the orientation and nothing else.
std::string orientation_part(ImageType type, std::uint32_t orientation) {
  const std::string tiff = exif_of(orientation);
  if (type == ImageType::jpeg)
    return std::string("\xFF\xE1\0\x22"sv) + std::string("Exif\0\0"sv) + tiff;
  if (type == ImageType::webp)
    return "EXIF" + little(static_cast<std::uint32_t>(tiff.size())) + tiff;
  const std::string chunk = "eXIf" + tiff;
  return std::string("\0\0\0\x1A"sv) + chunk + crc_of(chunk);
}

// RFC 9649, 2.7: the head of an extended WebP tells whether there is metadata.
std::string told_webp_head(const Part& part, bool with_exif) {
  constexpr std::uint32_t exif = 0x08, xmp = 0x04;
  std::string head(part.whole);
  const std::uint32_t flags = byte(head, 8) & ~(exif | xmp);
  head[8] = static_cast<char>(with_exif ? flags | exif : flags);
  return head;
}

}  // namespace

std::string orientation_exif(std::string_view file) {
  const std::optional<ImageType> type = sniff(file);
  const std::uint32_t turned = type ? orientation(*type, file) : 1;
  return turned == 1 ? std::string() : exif_of(turned);
}

std::optional<Body> without_metadata(const Piece& file) {
  constexpr std::size_t most_places = 1000;
  Body body;
  const std::optional<ImageType> type = sniff(file.bytes);
  if (!type || !Parts(*type, file.bytes).next()) {
    body.append(file);
    return body;
  }
  const bool webp = type == ImageType::webp;
  const std::uint32_t turned = orientation(*type, file.bytes);
  Parts parts(*type, file.bytes);
  std::size_t kept = webp ? parts.at() : 0;  // all before it is in `body`, or cut
  const auto keep_to = [&](std::size_t end) {
    body.append(Piece{file.owner, file.bytes.substr(kept, end - kept)});
    kept = end;
  };
  bool told = turned == 1;
  bool ended = false;
  while (!ended) {
    const std::optional<Part> part = parts.next();
    if (!part.has_value()) break;
    if (body.pieces().size() > most_places) return std::nullopt;
    const std::size_t end = parts.at();
    if (is_metadata(*type, *part)) {
      keep_to(end - part->whole.size());
      if (!std::exchange(told, true)) body.append(orientation_part(*type, turned));
      kept = end;
    } else if (webp && part->kind == "VP8X" && part->whole.size() > 8) {
      keep_to(end - part->whole.size());
      body.append(told_webp_head(*part, turned != 1));
      kept = end;
    }
    ended = is_last(*type, *part);
  }
  // Behind the end may stand a second picture with tags of its own, or a film.
  keep_to(ended || webp ? parts.at() : file.bytes.size());
  if (!webp) return body;
  Body whole("RIFF" + little(static_cast<std::uint32_t>(body.size() + 4)) + "WEBP");
  whole.append(body);
  return whole;
}

}  // namespace falproxy::inline v0::media
