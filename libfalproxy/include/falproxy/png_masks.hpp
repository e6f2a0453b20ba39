// png_masks.hpp: libpng as a MaskConverter.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "falproxy/media.hpp"
#include "falproxy/memory_budget.hpp"
#include "falproxy/result.hpp"

namespace falproxy::inline v0 {

/// Thread-safe and stateless. A picture goes through it row by row: it needs some hundred
/// kilobytes, whatever the picture's size. Only an interlaced one is held whole, and may have 40
/// megapixels.
class PngMasks final : public media::MaskConverter {
 public:
  [[nodiscard]] Result<std::shared_ptr<const std::string>> convert(
      std::string_view png, MaskConvention to, MemoryBudget* memory) const override;
  [[nodiscard]] Result<std::shared_ptr<const std::string>> from_hole(
      std::string_view picture, MaskConvention to, MemoryBudget* memory) const override;
};

}  // namespace falproxy::inline v0
