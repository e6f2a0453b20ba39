#include "profile/quality_ladder.hpp"

#include <array>
#include <cstddef>

#include "base/fmt.hpp"
#include "profile/vocabulary.hpp"

namespace falproxy::inline v0::profile {
namespace {

constexpr std::array<std::string_view, 6> step_names = {"low",  "low",   "medium",
                                                        "high", "xhigh", "max"};

const auto& steps() {
  static const auto all = [] {
    std::array<const Words*, step_names.size()> lists{};
    for (std::size_t step = 0; step < lists.size(); ++step)
      lists[step] = &words("values", fmt::format("quality.{}", step));
    return lists;
  }();
  return all;
}

}  // namespace

std::optional<int> quality_step(std::string_view word) noexcept {
  for (std::size_t step = 0; step < steps().size(); ++step) {
    if (says(*steps()[step], word)) return static_cast<int>(step);
  }
  return std::nullopt;
}

std::string_view quality_of_step(int step) noexcept {
  return step_names[static_cast<std::size_t>(step)];
}

}  // namespace falproxy::inline v0::profile
