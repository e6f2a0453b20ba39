#include "falproxy/media.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace falproxy::media {
namespace {

using namespace std::string_view_literals;

// Numbers in headers; `at` must be inside.
std::uint32_t byte(std::string_view bytes, std::size_t at) noexcept {
  return static_cast<unsigned char>(bytes[at]);
}
std::uint32_t big16(std::string_view bytes, std::size_t at) noexcept {
  return byte(bytes, at) << 8 | byte(bytes, at + 1);
}
std::uint32_t big32(std::string_view bytes, std::size_t at) noexcept {
  return big16(bytes, at) << 16 | big16(bytes, at + 2);
}
std::uint32_t little16(std::string_view bytes, std::size_t at) noexcept {
  return byte(bytes, at) | byte(bytes, at + 1) << 8;
}
std::uint32_t little24(std::string_view bytes, std::size_t at) noexcept {
  return little16(bytes, at) | byte(bytes, at + 2) << 16;
}

bool looks_like_svg(std::string_view bytes) noexcept {
  bytes = bytes.substr(0, 1024);
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  bytes = trim(bytes);
  if (bytes.starts_with("<svg")) return true;
  const bool markup =
      bytes.starts_with("<?xml") || bytes.starts_with("<!--") || bytes.starts_with("<!DOCTYPE");
  return markup && bytes.find("<svg") != std::string_view::npos;
}

bool looks_like_avif(std::string_view bytes) noexcept {
  if (bytes.size() < 12 || bytes.substr(4, 4) != "ftyp") return false;
  const std::string_view brand = bytes.substr(8, 4);
  return brand == "avif" || brand == "avis";
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

// GIF89a, 18: the logical screen.
std::optional<Dimensions> gif_dimensions(std::string_view bytes) noexcept {
  if (bytes.size() < 10) return std::nullopt;
  return real(little16(bytes, 6), little16(bytes, 8));
}

bool is_start_of_frame(std::uint32_t marker) noexcept {
  constexpr std::uint32_t huffman_tables = 0xC4, extensions = 0xC8, arithmetic_conditioning = 0xCC;
  return marker >= 0xC0 && marker <= 0xCF && marker != huffman_tables && marker != extensions &&
         marker != arithmetic_conditioning;
}

// JPEG (ITU T.81, B.2): segments up to the first start of frame. Each step goes forward, so this
// ends.
std::optional<Dimensions> jpeg_dimensions(std::string_view bytes) noexcept {
  std::size_t at = 2;
  while (at + 4 <= bytes.size()) {
    if (byte(bytes, at) != 0xFF) return std::nullopt;
    const std::uint32_t marker = byte(bytes, at + 1);
    if (marker == 0xFF) {  // fill
      ++at;
      continue;
    }
    constexpr std::uint32_t start_of_scan = 0xDA, end_of_image = 0xD9;
    if (marker == start_of_scan || marker == end_of_image) return std::nullopt;
    const bool alone = marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8);
    if (alone) {
      at += 2;
      continue;
    }
    const std::uint32_t length = big16(bytes, at + 2);
    if (length < 2) return std::nullopt;
    if (is_start_of_frame(marker)) {
      if (at + 9 > bytes.size()) return std::nullopt;
      return real(big16(bytes, at + 7), big16(bytes, at + 5));
    }
    at += 2 + length;
  }
  return std::nullopt;
}

// WebP container (RFC 9649, 2): VP8X has the canvas, VP8 and VP8L their own headers.
std::optional<Dimensions> webp_dimensions(std::string_view bytes) noexcept {
  if (bytes.size() < 30) return std::nullopt;
  const std::string_view kind = bytes.substr(12, 4);
  if (kind == "VP8X") return real(little24(bytes, 24) + 1, little24(bytes, 27) + 1);
  if (kind == "VP8 ") {
    if (bytes.substr(23, 3) != "\x9D\x01\x2A"sv) return std::nullopt;
    return real(little16(bytes, 26) & 0x3FFF, little16(bytes, 28) & 0x3FFF);
  }
  if (kind == "VP8L") {
    if (byte(bytes, 20) != 0x2F) return std::nullopt;
    const std::uint32_t bits = little24(bytes, 21) | byte(bytes, 24) << 24;
    return real((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1);
  }
  return std::nullopt;
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
  switch (*type) {
    case ImageType::png:
      return png_dimensions(bytes);
    case ImageType::jpeg:
      return jpeg_dimensions(bytes);
    case ImageType::webp:
      return webp_dimensions(bytes);
    case ImageType::gif:
      return gif_dimensions(bytes);
    case ImageType::svg:
    case ImageType::avif:
      break;
  }
  return std::nullopt;
}

std::optional<DataUri> parse_data_uri(std::string_view text) noexcept {
  constexpr std::string_view scheme = "data:";
  if (!equal_ignoring_case(text.substr(0, scheme.size()), scheme)) return std::nullopt;
  text.remove_prefix(scheme.size());
  const std::size_t comma = text.find(',');
  if (comma == std::string_view::npos) return std::nullopt;
  const std::string_view head = text.substr(0, comma);
  constexpr std::string_view marker = ";base64";
  if (head.size() < marker.size() ||
      !equal_ignoring_case(head.substr(head.size() - marker.size()), marker)) {
    return std::nullopt;
  }
  const std::string_view mime = head.substr(0, head.find(';'));
  return DataUri{mime.empty() ? "text/plain" : mime, text.substr(comma + 1)};
}

}  // namespace falproxy::media
