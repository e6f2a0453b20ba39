// pictures.hpp: the first bytes of pictures, as much as sniffing and dimensions look at.
#pragma once

#include <cstdint>
#include <string>

#include "falproxy/openssl_codecs.hpp"

namespace falproxy::tests {

inline std::string big_endian(std::uint32_t value, int bytes) {
  std::string text;
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8)
    text += static_cast<char>(value >> shift & 0xFF);
  return text;
}
inline std::string little_endian(std::uint32_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xFF);
  return text;
}

/// Signature and IHDR, with nothing behind them.
inline std::string png_head(std::uint32_t width, std::uint32_t height) {
  return "\x89PNG\r\n\x1A\n" + big_endian(13, 4) + "IHDR" + big_endian(width, 4) +
         big_endian(height, 4) + std::string("\x08\x06\0\0\0crc!", 9);
}

/// Start of image, an APP1 segment of `filler` bytes, and a start of frame.
inline std::string jpeg_head(std::uint32_t width, std::uint32_t height, std::uint32_t filler = 10) {
  return "\xFF\xD8\xFF\xE1" + big_endian(filler + 2, 2) + std::string(filler, 'e') + "\xFF\xC2" +
         big_endian(17, 2) + "\x08" + big_endian(height, 2) + big_endian(width, 2) +
         std::string("\3\1\x22\0\2\x11\1\3\x11\1", 10);
}

inline std::string gif_head(std::uint32_t width, std::uint32_t height) {
  return "GIF89a" + little_endian(width, 2) + little_endian(height, 2) + std::string(3, '\0');
}

/// The extended form: a canvas.
inline std::string webp_head(std::uint32_t width, std::uint32_t height) {
  return "RIFF" + little_endian(30, 4) + "WEBPVP8X" + little_endian(10, 4) + std::string(4, '\0') +
         little_endian(width - 1, 3) + little_endian(height - 1, 3);
}

inline std::string base64(std::string_view bytes) {
  std::string text;
  OpensslCodecs().encode_base64(bytes, text);
  return text;
}

inline std::string data_url(std::string_view bytes, std::string_view mime = "image/png") {
  return "data:" + std::string(mime) + ";base64," + base64(bytes);
}

}  // namespace falproxy::tests
