#include "base/hmac.hpp"

#include <string>

namespace falproxy::inline v0 {
namespace {

std::string_view view_of(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

}  // namespace

Digest hmac_sha256(const Codecs& codecs, std::string_view key, std::string_view text) {
  constexpr std::size_t block_size = 64;
  std::string block(key);
  if (block.size() > block_size) block = view_of(codecs.sha256(key));
  block.resize(block_size, '\0');
  std::string inner = block, outer = block;
  for (std::size_t i = 0; i < block_size; ++i) {
    inner[i] = static_cast<char>(inner[i] ^ 0x36);
    outer[i] = static_cast<char>(outer[i] ^ 0x5c);
  }
  return codecs.sha256(outer.append(view_of(codecs.sha256(inner.append(text)))));
}

}  // namespace falproxy::inline v0
