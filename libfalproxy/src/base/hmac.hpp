// hmac.hpp: HMAC-SHA256 (RFC 2104).
#pragma once

#include <cstddef>
#include <string_view>

#include "falproxy/codecs.hpp"

namespace falproxy::inline v0 {

[[nodiscard]] Digest hmac_sha256(const Codecs& codecs, std::string_view key, std::string_view text);

/// Whether two digests, or two texts, are the same, in a time that does not tell where they differ.
template <class Bytes>
[[nodiscard]] bool is_same_secret(const Bytes& a, const Bytes& b) noexcept {
  if (a.size() != b.size()) return false;
  unsigned different = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    different |=
        static_cast<unsigned>(static_cast<unsigned char>(a[i])) ^ static_cast<unsigned char>(b[i]);
  return different == 0;
}

}  // namespace falproxy::inline v0
