#include "falproxy/media.hpp"

#include <algorithm>
#include <utility>

#include "base/text.hpp"
#include "media/bytes.hpp"
#include "media/parts.hpp"
#include "media/picture_end.hpp"

namespace falproxy::inline v0::media {
namespace {

using namespace std::string_view_literals;

bool looks_like_svg(std::string_view bytes) noexcept {
  bytes = bytes.substr(0, 4096);
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  bytes = trim(bytes);
  if (bytes.starts_with("<svg")) return true;
  const bool markup =
      bytes.starts_with("<?xml") || bytes.starts_with("<!--") || bytes.starts_with("<!DOCTYPE");
  return markup && bytes.find("<svg") != std::string_view::npos;
}

// ISO/IEC 14496-12, 4.3: the major brand, a version, and the brands that fit as well.
bool looks_like_avif(std::string_view bytes) noexcept {
  if (bytes.size() < 12 || bytes.substr(4, 4) != "ftyp") return false;
  const std::size_t size = std::min<std::size_t>({big32(bytes, 0), bytes.size(), 256});
  for (std::size_t at = 8; at + 4 <= size; at += 4) {
    const std::string_view brand = bytes.substr(at, 4);
    if (brand == "avif" || brand == "avis") return true;
  }
  return false;
}

std::optional<Dimensions> real(std::uint32_t width, std::uint32_t height) noexcept {
  if (width == 0 || height == 0) return std::nullopt;
  return Dimensions{width, height};
}

// PNG (RFC 2083, 4.1.1): IHDR is the first chunk.
std::optional<Dimensions> png_dimensions(std::string_view bytes) noexcept {
  if (bytes.size() < 24 || bytes.substr(12, 4) != "IHDR") return std::nullopt;
  return real(big32(bytes, 16), big32(bytes, 20));
}

// GIF89a, 18: the logical screen; where it has no area, as browsers do it, the first picture.
std::optional<Dimensions> gif_dimensions(std::string_view bytes) noexcept {
  constexpr std::uint32_t image = 0x2C, extension = 0x21;
  if (bytes.size() < 10) return std::nullopt;
  if (const auto screen = real(little16(bytes, 6), little16(bytes, 8))) return screen;
  if (bytes.size() < 13) return std::nullopt;
  std::size_t at = 13 + gif_colours(byte(bytes, 10));
  while (at + 2 < bytes.size() && byte(bytes, at) == extension) {
    for (at += 2; at < bytes.size() && byte(bytes, at) != 0;) at += byte(bytes, at) + 1;
    ++at;
  }
  if (at + 9 > bytes.size() || byte(bytes, at) != image) return std::nullopt;
  return real(little16(bytes, at + 5), little16(bytes, at + 7));
}

bool is_start_of_frame(std::uint32_t marker) noexcept {
  constexpr std::uint32_t huffman_tables = 0xC4, extensions = 0xC8, arithmetic_conditioning = 0xCC;
  return marker >= 0xC0 && marker <= 0xCF && marker != huffman_tables && marker != extensions &&
         marker != arithmetic_conditioning;
}

// JPEG (ITU T.81, B.2): segments up to the first start of frame.
std::optional<Dimensions> jpeg_dimensions(std::string_view bytes) noexcept {
  Parts parts(ImageType::jpeg, bytes);
  while (const std::optional<Part> part = parts.next()) {
    if (part->kind == jpeg::start_of_scan || part->kind == jpeg::end_of_image) break;
    if (!is_start_of_frame(byte(part->kind, 0))) continue;
    if (part->data.size() < 5) break;
    return real(big16(part->data, 3), big16(part->data, 1));
  }
  return std::nullopt;
}

// WebP container (RFC 9649, 2): VP8X has the canvas, VP8 and VP8L their own headers.
std::optional<Dimensions> webp_dimensions(std::string_view bytes) noexcept {
  const std::optional<Part> first = Parts(ImageType::webp, bytes).next();
  if (!first.has_value()) return std::nullopt;
  const std::string_view data = first->data;
  if (first->kind == "VP8X" && data.size() >= 10)
    return real(little24(data, 4) + 1, little24(data, 7) + 1);
  if (first->kind == "VP8 " && data.size() >= 10 && data.substr(3, 3) == "\x9D\x01\x2A"sv)
    return real(little16(data, 6) & 0x3FFF, little16(data, 8) & 0x3FFF);
  if (first->kind == "VP8L" && data.size() >= 5 && byte(data, 0) == 0x2F) {
    const std::uint32_t bits = little32(data, 1);
    return real((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1);
  }
  return std::nullopt;
}

// ISO/IEC 23008-12, 6.5.3 and 6.5.10: of several pictures in one file the largest is the one; the
// others are its parts or show it smaller.
std::optional<Dimensions> avif_dimensions(std::string_view bytes) noexcept {
  bytes = bytes.substr(0, 64u << 10);
  Dimensions most;
  std::size_t at = bytes.find("ispe");
  for (; at != std::string_view::npos; at = bytes.find("ispe", at + 4)) {
    if (at + 16 > bytes.size()) break;
    const Dimensions found{big32(bytes, at + 8), big32(bytes, at + 12)};
    if (std::uint64_t{found.width} * found.height > std::uint64_t{most.width} * most.height)
      most = found;
  }
  const std::size_t turned = bytes.find("irot");
  if (turned < bytes.size() - 4 && (byte(bytes, turned + 4) & 1) != 0)
    std::swap(most.width, most.height);
  return real(most.width, most.height);
}

struct TypeRow {
  ImageType type;
  std::string_view name;
  std::string_view mime;
  std::string_view also;  // another name that is in use
};
constexpr TypeRow type_rows[] = {
    {ImageType::png, "png", "image/png", ""},     {ImageType::jpeg, "jpeg", "image/jpeg", "jpg"},
    {ImageType::webp, "webp", "image/webp", ""},  {ImageType::gif, "gif", "image/gif", ""},
    {ImageType::svg, "svg", "image/svg+xml", ""}, {ImageType::avif, "avif", "image/avif", ""},
};

const TypeRow& row_of(ImageType type) noexcept {
  return *std::ranges::find(type_rows, type, &TypeRow::type);
}

}  // namespace

std::optional<ImageType> sniff(std::string_view bytes) noexcept {
  if (bytes.starts_with("\x89PNG\r\n\x1A\n"sv)) return ImageType::png;
  if (bytes.starts_with("\xFF\xD8\xFF"sv)) return ImageType::jpeg;
  if (bytes.starts_with("GIF87a") || bytes.starts_with("GIF89a")) return ImageType::gif;
  if (bytes.size() >= 12 && bytes.starts_with("RIFF") && bytes.substr(8, 4) == "WEBP")
    return ImageType::webp;
  if (looks_like_avif(bytes)) return ImageType::avif;
  if (looks_like_svg(bytes)) return ImageType::svg;
  return std::nullopt;
}

std::string_view mime_type(std::string_view bytes) noexcept {
  if (const std::optional<ImageType> type = sniff(bytes)) return mime_type(*type);
  constexpr std::string_view heic_brands[] = {"heic", "heix", "heim", "heis",
                                              "hevc", "hevx", "mif1", "msf1"};
  if (bytes.size() >= 12 && bytes.substr(4, 4) == "ftyp" &&
      std::ranges::find(heic_brands, bytes.substr(8, 4)) != std::end(heic_brands)) {
    return "image/heic";
  }
  if (bytes.starts_with("II*\0"sv) || bytes.starts_with("MM\0*"sv)) return "image/tiff";
  if (bytes.starts_with("BM") && bytes.size() >= 26) return "image/bmp";
  const std::optional<SoundType> sound = sniff_sound(bytes);
  return sound.has_value() ? mime_type(*sound) : "application/octet-stream";
}
std::string_view mime_type(ImageType type) noexcept { return row_of(type).mime; }
std::string_view name_of(ImageType type) noexcept { return row_of(type).name; }

std::optional<ImageType> from_mime(std::string_view content_type) noexcept {
  const std::string_view mime = trim(content_type.substr(0, content_type.find(';')));
  if (equal_ignoring_case(mime, "image/jpg")) return ImageType::jpeg;
  for (const TypeRow& row : type_rows) {
    if (equal_ignoring_case(mime, row.mime)) return row.type;
  }
  return std::nullopt;
}

std::optional<ImageType> from_name(std::string_view name) noexcept {
  name = name.substr(0, name.find_first_of("?#"));
  if (const std::size_t dot = name.rfind('.'); dot != std::string_view::npos)
    name.remove_prefix(dot + 1);
  for (const TypeRow& row : type_rows) {
    if (equal_ignoring_case(name, row.name) ||
        (!row.also.empty() && equal_ignoring_case(name, row.also))) {
      return row.type;
    }
  }
  return std::nullopt;
}

std::optional<Dimensions> dimensions(std::string_view bytes) noexcept {
  const std::optional<ImageType> type = sniff(bytes);
  if (!type.has_value()) return std::nullopt;
  std::optional<Dimensions> found;
  switch (*type) {
    case ImageType::png:
      found = png_dimensions(bytes);
      break;
    case ImageType::jpeg:
      found = jpeg_dimensions(bytes);
      break;
    case ImageType::webp:
      found = webp_dimensions(bytes);
      break;
    case ImageType::gif:
      return gif_dimensions(bytes);
    case ImageType::avif:
      return avif_dimensions(bytes);
    case ImageType::svg:
      return std::nullopt;
  }
  constexpr std::uint32_t first_on_its_side = 5;
  if (found.has_value() && orientation(*type, bytes) >= first_on_its_side)
    std::swap(found->width, found->height);
  return found;
}

bool is_whole(std::string_view bytes) {
  if (!dimensions(bytes).has_value()) return false;
  PictureEnd end;
  end.feed(bytes);
  return end.reached() || end.lacks_its_mark() || sniff(bytes) == ImageType::jpeg;
}

bool has_alpha(std::string_view png) noexcept {
  if (!png_dimensions(png).has_value() || sniff(png) != ImageType::png || png.size() < 26)
    return false;
  constexpr std::uint32_t alpha = 4;
  if ((byte(png, 25) & alpha) != 0) return true;
  Parts parts(ImageType::png, png);
  while (const std::optional<Part> part = parts.next()) {
    if (part->kind == "tRNS") return true;
    if (part->kind == "IDAT") break;
  }
  return false;
}

std::optional<DataUri> parse_data_uri(std::string_view text) noexcept {
  constexpr std::string_view scheme = "data:";
  if (!equal_ignoring_case(text.substr(0, scheme.size()), scheme)) return std::nullopt;
  text.remove_prefix(scheme.size());
  const std::size_t comma = text.find(',');
  if (comma == std::string_view::npos) return std::nullopt;
  const std::string_view head = text.substr(0, comma);
  const std::size_t last = head.rfind(';');
  if (last == std::string_view::npos || !equal_ignoring_case(trim(head.substr(last + 1)), "base64"))
    return std::nullopt;
  const std::string_view mime = trim(head.substr(0, head.find(';')));
  return DataUri{mime.empty() ? "text/plain" : mime, text.substr(comma + 1)};
}

}  // namespace falproxy::inline v0::media
