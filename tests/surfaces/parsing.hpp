#pragma once

#include <string>
#include <string_view>

#include "falproxy/openai.hpp"
#include "falproxy/openssl_codecs.hpp"

namespace falproxy::tests {

inline const OpensslCodecs codecs;

/// The field of that name among those that OpenAI does not know; null: there is none.
inline const Json* native(const Wish& request, std::string_view name) {
  for (const auto& [field, value] : request.native) {
    if (field == name) return &value;
  }
  return nullptr;
}

inline Result<Wish> parse(std::string_view body, Intent intent = Intent::generation,
                          const RequestLimits& limits = {}) {
  return openai::parse_json(intent, body, limits, codecs);
}
/// A generation with a prompt and these members more.
inline Result<Wish> parse_with(const std::string& members) {
  return parse(R"({"prompt":"p",)" + members + "}");
}

}  // namespace falproxy::tests
