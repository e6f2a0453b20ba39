// quality_ladder.hpp: words for how much care a picture gets, on one ladder.
#pragma once

#include <optional>
#include <string_view>

namespace falproxy::inline v0::profile {

/// The step of OpenAI's words and of those of fal's enums, 0 to 5; nullopt: not such a word.
[[nodiscard]] std::optional<int> quality_step(std::string_view word) noexcept;
/// OpenAI's word for a step of the ladder.
[[nodiscard]] std::string_view quality_of_step(int step) noexcept;

}  // namespace falproxy::inline v0::profile
