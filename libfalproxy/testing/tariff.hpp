// tariff.hpp: the prices that the desk invents, and what it bills by them: from the pictures that
// it has made.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pictures.hpp"

namespace falproxy::inline v0::testing {

struct Tariff {
  std::string_view unit;
  std::string_view price;  ///< US dollars for one, as JSON
  bool by_area;            ///< of each picture, in begun megapixels
};

/// By the family that an endpoint is of.
[[nodiscard]] inline Tariff tariff_of(std::string_view endpoint) {
  if (endpoint.find("flux") != std::string_view::npos) return {"megapixels", "0.025", true};
  return {"images", "0.04", false};
}

/// For the header x-fal-billable-units.
[[nodiscard]] inline std::string billed_units(std::string_view endpoint,
                                              const std::vector<Picture>& pictures) {
  if (!tariff_of(endpoint).by_area) return std::to_string(pictures.size());
  constexpr std::uint64_t megapixel = 1 << 20;
  std::uint64_t units = 0;
  for (const Picture& picture : pictures)
    units += (std::uint64_t{picture.width} * picture.height + megapixel - 1) / megapixel;
  return std::to_string(units);
}

}  // namespace falproxy::inline v0::testing
