// plain_codecs.hpp: base64 and SHA-256 that need no other library.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "falproxy/codecs.hpp"

namespace falproxy::inline v0 {

/// Thread-safe and stateless. For tests, and for programs that only map requests; it takes and
/// refuses what OpensslCodecs does.
class PlainCodecs final : public Codecs {
 public:
  void encode_base64(std::string_view bytes, std::string& out) const override;
  [[nodiscard]] std::optional<std::string> decode_base64(std::string_view text) const override;
  /// FIPS 180-4.
  [[nodiscard]] Digest sha256(std::string_view bytes) const override;
};

}  // namespace falproxy::inline v0
