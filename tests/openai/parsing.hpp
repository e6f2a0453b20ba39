#pragma once

#include <string_view>

#include "falproxy/openai.hpp"
#include "falproxy/openssl_codecs.hpp"

namespace falproxy::tests {

inline const OpensslCodecs codecs;

/// The field of that name among those that OpenAI does not know; null: there is none.
inline const Json* native(const openai::ImageRequest& request, std::string_view name) {
  for (const auto& [field, value] : request.native) {
    if (field == name) return &value;
  }
  return nullptr;
}

}  // namespace falproxy::tests
