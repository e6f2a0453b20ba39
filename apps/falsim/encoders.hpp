// encoders.hpp: pictures to look at, in the formats that fal's models write.
#pragma once

#include <string>

#include "falproxy/picture_encoder.hpp"

namespace falsim {

using falproxy::testing::Picture;
using falproxy::testing::PictureFormat;

/// By libpng, libjpeg-turbo and libwebp. Immutable.
class PaintingEncoder final : public falproxy::testing::PictureEncoder {
 public:
  [[nodiscard]] bool makes(PictureFormat) const override { return true; }
  [[nodiscard]] std::string encode(const Picture& picture) const override;
};

}  // namespace falsim
