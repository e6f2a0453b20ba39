// codecs.hpp: base64 and SHA-256. PlainCodecs of the pure library needs nothing else; OpensslCodecs
// of falproxy::http is faster, for who serves many pictures.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace falproxy::inline v0 {

/// 32 bytes.
using Digest = std::array<std::uint8_t, 32>;

/// Thread-safe and stateless.
class Codecs {
 public:
  virtual ~Codecs() = default;
  /// Appends the base64 (RFC 4648, 4: padded, no line breaks) of `bytes` to `out`.
  virtual void encode_base64(std::string_view bytes, std::string& out) const = 0;
  /// None if `text` is not base64; blanks and line breaks are not allowed.
  [[nodiscard]] virtual std::optional<std::string> decode_base64(std::string_view text) const = 0;
  /// FIPS 180-4.
  [[nodiscard]] virtual Digest sha256(std::string_view bytes) const = 0;
};

}  // namespace falproxy::inline v0
