// bytes.hpp: numbers in the headers of pictures. `at` must be inside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace falproxy::inline v0::media {

inline std::uint32_t byte(std::string_view bytes, std::size_t at) noexcept {
  return static_cast<unsigned char>(bytes[at]);
}
inline std::uint32_t big16(std::string_view bytes, std::size_t at) noexcept {
  return byte(bytes, at) << 8 | byte(bytes, at + 1);
}
inline std::uint32_t big32(std::string_view bytes, std::size_t at) noexcept {
  return big16(bytes, at) << 16 | big16(bytes, at + 2);
}
inline std::uint32_t little16(std::string_view bytes, std::size_t at) noexcept {
  return byte(bytes, at) | byte(bytes, at + 1) << 8;
}
inline std::uint32_t little24(std::string_view bytes, std::size_t at) noexcept {
  return little16(bytes, at) | byte(bytes, at + 2) << 16;
}
inline std::uint32_t little32(std::string_view bytes, std::size_t at) noexcept {
  return little24(bytes, at) | byte(bytes, at + 3) << 24;
}

// GIF89a, 18 and 20: the bytes of the table of colours that the packed byte announces.
inline std::size_t gif_colours(std::uint32_t packed) noexcept {
  return (packed & 0x80) != 0 ? std::size_t{3} << ((packed & 7) + 1) : 0;
}

}  // namespace falproxy::inline v0::media
