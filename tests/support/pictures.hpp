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

/// With nothing between its head and its end.
inline std::string whole_png(std::uint32_t width, std::uint32_t height) {
  return png_head(width, height) + big_endian(0, 4) + "IENDcrc!";
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

inline std::string whole_gif(std::uint32_t width, std::uint32_t height) {
  return gif_head(width, height) + ";";
}

/// The extended form: a canvas.
inline std::string webp_head(std::uint32_t width, std::uint32_t height) {
  return "RIFF" + little_endian(30, 4) + "WEBPVP8X" + little_endian(10, 4) + std::string(4, '\0') +
         little_endian(width - 1, 3) + little_endian(height - 1, 3);
}

inline std::string whole_webp(std::uint32_t width, std::uint32_t height) {
  return webp_head(width, height) + "12345678";
}

/// What EXIF data is: a directory with two tags, of which the second is the orientation.
inline std::string tiff(std::uint32_t orientation, bool little = false) {
  const auto number = little ? little_endian : big_endian;
  const auto tag = [&](std::uint32_t name, std::uint32_t value) {
    return number(name, 2) + number(3, 2) + number(1, 4) + number(value, 2) + std::string(2, '\0');
  };
  return (little ? "II" : "MM") + number(42, 2) + number(8, 4) + number(2, 2) + tag(0x0100, 77) +
         tag(0x0112, orientation) + number(0, 4) + "GPS: at home";
}
inline std::string exif_segment(std::uint32_t orientation, bool little = false) {
  const std::string exif = std::string("Exif\0\0", 6) + tiff(orientation, little);
  return "\xFF\xE1" + big_endian(static_cast<std::uint32_t>(exif.size() + 2), 2) + exif;
}
inline std::string png_chunk(const std::string& kind, const std::string& data) {
  return big_endian(static_cast<std::uint32_t>(data.size()), 4) + kind + data + "crc!";
}
inline std::string riff_chunk(const std::string& kind, const std::string& data) {
  return kind + little_endian(static_cast<std::uint32_t>(data.size()), 4) + data +
         std::string(data.size() % 2, '\0');
}
/// With pixels, and metadata behind them.
inline std::string webp_with(std::uint32_t width, std::uint32_t height, std::uint32_t orientation) {
  const std::string rest = riff_chunk("VP8 ", "pixel") + riff_chunk("EXIF", tiff(orientation)) +
                           riff_chunk("XMP ", "GPS: at home");
  std::string head = webp_head(width, height);
  head[20] = '\x2C';  // alpha, EXIF and XMP
  head.replace(4, 4, little_endian(static_cast<std::uint32_t>(head.size() + rest.size() - 8), 4));
  return head + rest;
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
