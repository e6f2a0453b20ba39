// request_digest.hpp: what makes two requests the same request.
#pragma once

#include "falproxy/codecs.hpp"
#include "falproxy/openai.hpp"

namespace falproxy::gateway {

/// Equal for requests whose parsed fields and pictures' bytes are equal.
[[nodiscard]] Digest digest_of(const openai::ImageRequest& request, const Codecs& codecs);

}  // namespace falproxy::gateway
