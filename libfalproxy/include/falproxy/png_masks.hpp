// png_masks.hpp: libpng as a MaskConverter.
#pragma once

#include "falproxy/media.hpp"

namespace falproxy {

/// Thread-safe and stateless.
class PngMasks final : public media::MaskConverter {
 public:
  [[nodiscard]] Result<std::string> convert(std::string_view png, MaskConvention to) const override;
};

}  // namespace falproxy
