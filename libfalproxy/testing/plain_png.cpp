#include <algorithm>
#include <array>
#include <string_view>

#include "falproxy/picture_encoder.hpp"

namespace falproxy::inline v0::testing {
namespace {

constexpr std::string_view signature("\x89PNG\r\n\x1a\n", 8);
constexpr std::size_t chunk_frame = 12;  // length, type and checksum

void append_number(std::string& out, std::uint32_t number) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(number >> shift & 0xFF);
}

std::uint32_t crc32(std::string_view bytes) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> made{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      made[i] = i;
      for (int bit = 0; bit < 8; ++bit)
        made[i] = (made[i] & 1) != 0 ? 0xEDB88320u ^ made[i] >> 1 : made[i] >> 1;
    }
    return made;
  }();
  std::uint32_t sum = ~0u;
  for (const char c : bytes) sum = table[(sum ^ static_cast<unsigned char>(c)) & 0xFF] ^ sum >> 8;
  return ~sum;
}

std::string chunk(std::string_view type, std::string_view data) {
  std::string out;
  append_number(out, static_cast<std::uint32_t>(data.size()));
  out.append(type).append(data);
  append_number(out, crc32(std::string_view(out).substr(4)));
  return out;
}

/// So many zeros in the format of zlib, uncompressed.
std::string stored_zeros(std::size_t count) {
  constexpr std::size_t most = 65535;
  std::string out("\x78\x01", 2);
  for (std::size_t left = count; left > 0;) {
    const std::size_t size = std::min(left, most);
    left -= size;
    out += left == 0 ? '\1' : '\0';
    for (const std::size_t number : {size, ~size}) {
      out += static_cast<char>(number & 0xFF);
      out += static_cast<char>(number >> 8 & 0xFF);
    }
    out.append(size, '\0');
  }
  append_number(out, static_cast<std::uint32_t>(count % 65521 << 16 | 1));  // Adler-32
  return out;
}

}  // namespace

bool PlainPngEncoder::makes(PictureFormat format) const { return format == PictureFormat::png; }

// One bit a pixel, and one entry in the palette.
std::string PlainPngEncoder::encode(const Picture& picture) const {
  std::string header;
  append_number(header, picture.width);
  append_number(header, picture.height);
  header.append("\x01\x03\x00\x00\x00", 5);
  std::string colour;
  append_number(colour, picture.black ? 0 : (picture.variant + 1) * 0x9E3779B1u);
  colour.resize(3);
  const std::size_t row = 1 + (std::size_t{picture.width} + 7) / 8;
  std::string file(signature);
  file += chunk("IHDR", header) + chunk("PLTE", colour);
  if (picture.transparent) file += chunk("tRNS", std::string(1, '\0'));
  return file + chunk("IDAT", stored_zeros(row * picture.height)) + chunk("IEND", {});
}

std::string pad_png(std::string file, std::size_t size) {
  constexpr std::size_t header_end = signature.size() + chunk_frame + 13;
  if (size < file.size() + chunk_frame) return file;
  file.insert(header_end, chunk("faLs", std::string(size - file.size() - chunk_frame, '\x55')));
  return file;
}

}  // namespace falproxy::inline v0::testing
