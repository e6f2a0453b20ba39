#include "falproxy/suggest.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/text.hpp"

namespace falproxy::inline v0 {
namespace {

constexpr std::size_t max_length =
    64;  // longer texts are no slips of the keyboard, and the table is quadratic

// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours.
std::size_t slips(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = to_lower(a[i - 1]) == to_lower(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0U : 1U)});
      const bool swapped = i > 1 && j > 1 && to_lower(a[i - 1]) == to_lower(b[j - 2]) &&
                           to_lower(a[i - 2]) == to_lower(b[j - 1]);
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::string_view nearest(std::string_view text, std::span<const std::string_view> candidates) {
  if (text.size() > max_length) return {};
  std::string_view best;
  std::size_t fewest = max_length;
  for (const std::string_view candidate : candidates) {
    if (candidate.size() > max_length) continue;
    const std::size_t count = slips(text, candidate);
    if (count * 3 <= std::max(text.size(), candidate.size()) && count < fewest) {
      best = candidate;
      fewest = count;
    }
  }
  return best;
}

}  // namespace falproxy::inline v0
