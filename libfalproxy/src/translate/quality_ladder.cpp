#include "translate/quality_ladder.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

#include "translate/inputs.hpp"

namespace falproxy::translate {
namespace {

struct Level {
  std::string_view word;
  int step;
};
constexpr std::array levels = {
    Level{"lowest", 0},   Level{"draft", 0},       Level{"lightning", 0}, Level{"extreme speed", 0},
    Level{"low", 1},      Level{"turbo", 1},       Level{"fast", 1},      Level{"speed", 1},
    Level{"express", 1},  Level{"performance", 1}, Level{"medium", 2},    Level{"normal", 2},
    Level{"balanced", 2}, Level{"standard", 2},    Level{"default", 2},   Level{"regular", 2},
    Level{"high", 3},     Level{"hd", 3},          Level{"quality", 3},   Level{"premium", 3},
    Level{"best", 4},     Level{"ultra", 4},       Level{"xhigh", 4},     Level{"very high", 4},
    Level{"max", 5},      Level{"maximum", 5},     Level{"highest", 5},
};
constexpr std::array<std::string_view, 6> step_names = {"low",  "low",   "medium",
                                                        "high", "xhigh", "max"};

}  // namespace

std::optional<int> quality_step(std::string_view word) noexcept {
  const auto found =
      std::ranges::find_if(levels, [&](const Level& level) { return same_word(level.word, word); });
  return found == levels.end() ? std::nullopt : std::optional(found->step);
}

std::string_view quality_of_step(int step) noexcept {
  return step_names[static_cast<std::size_t>(step)];
}

}  // namespace falproxy::translate
