// openssl_codecs.hpp: OpenSSL's base64 and SHA-256.
#pragma once

#include "falproxy/codecs.hpp"

namespace falproxy::inline v0 {

/// Thread-safe and stateless.
class OpensslCodecs final : public Codecs {
 public:
  void encode_base64(std::string_view bytes, std::string& out) const override;
  [[nodiscard]] std::optional<std::string> decode_base64(std::string_view text) const override;
  /// FIPS 180-4, by EVP_Digest.
  [[nodiscard]] Digest sha256(std::string_view bytes) const override;
};

}  // namespace falproxy::inline v0
