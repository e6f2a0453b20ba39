#include "falproxy/secret.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace falproxy::inline v0 {
namespace {

// The whole of it, then its halves; empty where there is none, or it is too short to tell anything.
std::array<std::string_view, 3> telling_parts(const Secret& secret) noexcept {
  // A shorter one may be a word of a result, such as a part of a picture's address.
  constexpr std::size_t shortest_half = 8;
  const std::string_view key = secret.reveal();
  const std::size_t colon = key.find(':');
  if (colon == std::string_view::npos) return {key, {}, {}};
  const std::string_view id = key.substr(0, colon);
  const std::string_view rest = key.substr(colon + 1);
  return {key, id.size() < shortest_half ? std::string_view() : id,
          rest.size() < shortest_half ? std::string_view() : rest};
}

}  // namespace

bool Secret::matches(std::string_view candidate) const noexcept {
  // Every byte of the candidate is looked at, also where the lengths differ.
  unsigned difference = text_.size() == candidate.size() ? 0U : 1U;
  for (std::size_t i = 0; i < candidate.size(); ++i) {
    const char own = text_.empty() ? '\0' : text_[i % text_.size()];
    difference |= static_cast<unsigned char>(own) ^
                  static_cast<unsigned>(static_cast<unsigned char>(candidate[i]));
  }
  return difference == 0 && !text_.empty();
}

bool shows_secret(std::string_view text, const Secret& secret) noexcept {
  return std::ranges::any_of(telling_parts(secret), [&](std::string_view part) {
    return !part.empty() && text.find(part) != std::string_view::npos;
  });
}

std::string without_secret(std::string text, const Secret& secret) {
  constexpr std::string_view mask = "[key]";
  for (const std::string_view part : telling_parts(secret)) {
    if (part.empty()) continue;
    for (std::size_t at = text.find(part); at != std::string::npos;
         at = text.find(part, at + mask.size())) {
      text.replace(at, part.size(), mask);
    }
  }
  return text;
}

}  // namespace falproxy::inline v0
