// WebP's lossless format (RFC 9649, 3) in its simplest form: no transforms, and prefix codes in
// which every byte has eight bits.
#include <array>
#include <cstdint>
#include <vector>

#include "encoders.hpp"
#include "painter.hpp"

namespace falsim {
namespace {

class BitWriter {
 public:
  void put(std::uint32_t value, int count) {
    pending_ |= static_cast<std::uint64_t>(value) << pending_count_;
    for (pending_count_ += count; pending_count_ >= 8; pending_count_ -= 8, pending_ >>= 8) {
      bytes_.push_back(static_cast<char>(pending_ & 0xFF));
    }
  }
  [[nodiscard]] std::string finish() {
    if (pending_count_ > 0) put(0, 8 - pending_count_);
    return std::move(bytes_);
  }

 private:
  std::string bytes_;
  std::uint64_t pending_ = 0;
  int pending_count_ = 0;
};

/// A code for 256 bytes of eight bits each, in an alphabet of `size`.
void put_byte_code(BitWriter& out, int size) {
  out.put(0, 1);  // not one of the simple codes
  // The lengths themselves are coded: one bit says 0 or 8. They stand third and twelfth in the
  // order of section 3.7.2.1.2.
  out.put(12 - 4, 4);
  for (int i = 0; i < 12; ++i) out.put(i == 2 || i == 11 ? 1 : 0, 3);
  out.put(0, 1);  // a length for every symbol of the alphabet
  for (int symbol = 0; symbol < size; ++symbol) out.put(symbol < 256 ? 1 : 0, 1);
}

/// A code of one symbol, which then takes no bits at all.
void put_constant_code(BitWriter& out, std::uint32_t symbol) {
  out.put(1, 1);  // simple
  out.put(0, 1);  // of one symbol
  out.put(1, 1);  // which has eight bits
  out.put(symbol, 8);
}

/// Prefix codes begin with their highest bit, everything else with its lowest.
std::array<std::uint8_t, 256> make_reversed() {
  std::array<std::uint8_t, 256> table{};
  for (unsigned value = 0; value < 256; ++value) {
    unsigned reversed = 0;
    for (unsigned bit = 0; bit < 8; ++bit) reversed |= (value >> bit & 1u) << (7 - bit);
    table[value] = static_cast<std::uint8_t>(reversed);
  }
  return table;
}

void append_little_endian(std::string& out, std::size_t number) {
  for (int shift = 0; shift < 32; shift += 8)
    out.push_back(static_cast<char>(number >> shift & 0xFF));
}

}  // namespace

std::string encode_webp(const Picture& picture) {
  BitWriter bits;
  bits.put(0x2F, 8);
  bits.put(picture.width - 1, 14);
  bits.put(picture.height - 1, 14);
  bits.put(picture.transparent ? 1 : 0, 1);
  bits.put(0, 3);                 // version
  bits.put(0, 1);                 // no transform
  bits.put(0, 1);                 // no colour cache
  bits.put(0, 1);                 // one set of codes for the whole picture
  put_byte_code(bits, 256 + 24);  // green, and the lengths of copies that never occur
  put_byte_code(bits, 256);       // red
  put_byte_code(bits, 256);       // blue
  if (picture.transparent) {
    put_byte_code(bits, 256);
  } else {
    put_constant_code(bits, 255);
  }
  put_constant_code(bits, 0);  // distances of copies

  const Painter painter(picture);
  const std::array<std::uint8_t, 256> reversed = make_reversed();
  std::vector<Pixel> row(picture.width);
  for (std::uint32_t y = 0; y < picture.height; ++y) {
    painter.paint(y, row);
    for (const Pixel pixel : row) {
      bits.put(reversed[green(pixel)], 8);
      bits.put(reversed[red(pixel)], 8);
      bits.put(reversed[blue(pixel)], 8);
      if (picture.transparent) bits.put(reversed[opacity(pixel)], 8);
    }
  }
  std::string data = bits.finish();
  const std::size_t size = data.size();
  if (size % 2 != 0) data.push_back('\0');
  std::string file = "RIFF";
  append_little_endian(file, 4 + 8 + data.size());
  file += "WEBPVP8L";
  append_little_endian(file, size);
  return file + data;
}

}  // namespace falsim
