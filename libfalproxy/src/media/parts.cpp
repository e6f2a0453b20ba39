#include "media/parts.hpp"

#include <algorithm>

#include "media/bytes.hpp"

namespace falproxy::inline v0::media {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t webp_head = 12;

std::size_t first_part(ImageType type) noexcept {
  return type == ImageType::jpeg ? 2 : type == ImageType::png ? 8 : webp_head;
}

// RFC 9649, 2.3: what stands behind the container is no part of the picture.
std::size_t webp_end(std::string_view bytes) noexcept {
  if (bytes.size() < webp_head) return 0;
  return static_cast<std::size_t>(
      std::min<std::uint64_t>(std::uint64_t{little32(bytes, 4)} + 8, bytes.size()));
}

bool stands_alone(std::uint32_t marker) noexcept {
  return marker <= 0x01 || (marker >= 0xD0 && marker <= 0xD9);
}

// Behind the pixels that begin at `at`: the next marker that is neither a pixel's own 0xFF nor a
// restart.
std::size_t end_of_pixels(std::string_view bytes, std::size_t at) noexcept {
  while (true) {
    at = bytes.find('\xFF', at);
    if (at == std::string_view::npos || at + 1 >= bytes.size()) return bytes.size();
    const std::uint32_t code = byte(bytes, at + 1);
    if (code != 0 && (code < 0xD0 || code > 0xD7)) return at;
    at += 2;
  }
}

// The TIFF file that Exif data is.
std::optional<std::string_view> exif_in(ImageType type, const Part& part) noexcept {
  constexpr std::string_view name = "Exif\0\0"sv;
  const bool named = part.data.starts_with(name);
  const std::string_view tiff = part.data.substr(named ? name.size() : 0);
  if (type == ImageType::jpeg && part.kind == jpeg::app1 && named) return tiff;
  if (type == ImageType::png && part.kind == "eXIf") return tiff;
  if (type == ImageType::webp && part.kind == "EXIF") return tiff;
  return std::nullopt;
}

// Exif 2.32, 4.6: the first directory holds it.
std::uint32_t orientation_in(std::string_view tiff) noexcept {
  const bool little = tiff.starts_with("II*\0"sv);
  if (tiff.size() < 8 || (!little && !tiff.starts_with("MM\0*"sv))) return 1;
  const auto two = [&](std::size_t at) { return little ? little16(tiff, at) : big16(tiff, at); };
  const auto four = [&](std::size_t at) { return little ? little32(tiff, at) : big32(tiff, at); };
  const std::size_t directory = four(4);
  if (directory + 2 > tiff.size()) return 1;
  const std::size_t entries = two(directory);
  for (std::size_t i = 0; i < entries; ++i) {
    constexpr std::uint32_t orientation_tag = 0x0112, whole_of_four_bytes = 4;
    const std::size_t entry = directory + 2 + 12 * i;
    if (entry + 12 > tiff.size()) return 1;
    if (two(entry) != orientation_tag) continue;
    const std::uint32_t value =
        two(entry + 2) == whole_of_four_bytes ? four(entry + 8) : two(entry + 8);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

}  // namespace

Parts::Parts(ImageType type, std::string_view bytes) noexcept
    : type_(type), bytes_(bytes), at_(first_part(type)) {
  if (type == ImageType::webp) bytes_ = bytes.substr(0, webp_end(bytes));
}

// `kind` and `data` count from the part's begin; `behind`: bytes that follow the data.
Part Parts::take(std::size_t kind, std::size_t kind_size, std::size_t data, std::uint64_t data_size,
                 std::uint64_t behind) noexcept {
  const std::string_view rest = bytes_.substr(at_);
  const auto whole =
      static_cast<std::size_t>(std::min<std::uint64_t>(data + data_size + behind, rest.size()));
  at_ += whole;
  return {rest.substr(kind, kind_size), rest.substr(0, whole),
          rest.substr(0, whole).substr(data).substr(0, static_cast<std::size_t>(data_size))};
}

std::optional<Part> Parts::next() noexcept {
  if (type_ == ImageType::jpeg) return next_segment();
  if ((type_ != ImageType::png && type_ != ImageType::webp) || at_ + 8 > bytes_.size())
    return std::nullopt;
  if (type_ == ImageType::png) return take(4, 4, 8, big32(bytes_, at_), 4);
  const std::uint32_t size = little32(bytes_, at_ + 4);
  return take(0, 4, 8, size, size % 2);
}

// ITU T.81, B.1.1. Each step goes forward, so this ends.
std::optional<Part> Parts::next_segment() noexcept {
  const std::size_t marker = bytes_.find('\xFF', std::min(at_, bytes_.size()));
  if (marker == std::string_view::npos) return std::nullopt;
  at_ = bytes_.find_first_not_of('\xFF', marker);
  if (at_ == std::string_view::npos) {
    at_ = bytes_.size();
    return std::nullopt;
  }
  const std::size_t code = at_;
  at_ = code - 1;
  if (stands_alone(byte(bytes_, code))) return take(1, 1, 2, 0, 0);
  if (at_ + 4 > bytes_.size() || big16(bytes_, at_ + 2) < 2) return std::nullopt;
  const std::uint64_t size = big16(bytes_, at_ + 2) - 2U;
  const bool scan = bytes_.substr(code, 1) == jpeg::start_of_scan;
  const std::size_t end = at_ + 4 + static_cast<std::size_t>(size);
  const std::size_t pixels = scan && end < bytes_.size() ? end_of_pixels(bytes_, end) - end : 0;
  return take(1, 1, 4, size, pixels);
}

std::uint32_t orientation(ImageType type, std::string_view bytes) noexcept {
  Parts parts(type, bytes);
  while (const std::optional<Part> part = parts.next()) {
    if (const auto tiff = exif_in(type, *part)) return orientation_in(*tiff);
    if (type == ImageType::jpeg && part->kind == jpeg::start_of_scan) break;
    if (type == ImageType::png && part->kind == "IEND") break;
  }
  return 1;
}

}  // namespace falproxy::inline v0::media
