// hmac.hpp: HMAC-SHA256 (RFC 2104).
#pragma once

#include <string_view>

#include "falproxy/codecs.hpp"

namespace falproxy::inline v0 {

[[nodiscard]] Digest hmac_sha256(const Codecs& codecs, std::string_view key, std::string_view text);

}  // namespace falproxy::inline v0
