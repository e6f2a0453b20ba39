// size.hpp: how the words for a size are read.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "falproxy/wish.hpp"

namespace falproxy::inline v0 {

/// Beyond it no model of fal's goes (ImageSize ends at 14142).
inline constexpr std::uint32_t max_edge = 16384;

/// "16:9", "19.5:9".
[[nodiscard]] std::optional<SizeWish> parse_ratio(std::string_view text) noexcept;
/// "auto", "1024x768", "16:9".
[[nodiscard]] std::optional<SizeWish> parse_size(std::string_view text) noexcept;

}  // namespace falproxy::inline v0
