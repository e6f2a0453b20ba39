// encoders.hpp: a picture as a file, in the formats that fal's models write.
#pragma once

#include <cstddef>
#include <string>

#include "pictures.hpp"

namespace falsim {

/// RGB, or RGBA for a transparent picture. A file smaller than `least_bytes` is padded to exactly
/// that by a chunk that every reader skips.
[[nodiscard]] std::string encode_png(const Picture& picture, std::size_t least_bytes);

/// Baseline, 4:4:4. There is no transparency.
[[nodiscard]] std::string encode_jpeg(const Picture& picture);

/// Lossless, without compression: three or four bytes a pixel.
[[nodiscard]] std::string encode_webp(const Picture& picture);

}  // namespace falsim
