#include "falproxy/secret.hpp"

#include <cstddef>

namespace falproxy {

bool Secret::matches(std::string_view candidate) const noexcept {
  // Every byte of the candidate is looked at, also where the lengths differ.
  unsigned difference = text_.size() == candidate.size() ? 0U : 1U;
  for (std::size_t i = 0; i < candidate.size(); ++i) {
    const char own = text_.empty() ? '\0' : text_[i % text_.size()];
    difference |= static_cast<unsigned char>(own) ^ static_cast<unsigned>(
                      static_cast<unsigned char>(candidate[i]));
  }
  return difference == 0 && !text_.empty();
}

std::string without_secret(std::string text, const Secret& secret) {
  const std::string_view key = secret.reveal();
  if (key.empty()) return text;
  constexpr std::string_view mask = "[key]";
  for (std::size_t at = text.find(key); at != std::string::npos; at = text.find(key, at + mask.size())) {
    text.replace(at, key.size(), mask);
  }
  return text;
}

}  // namespace falproxy
