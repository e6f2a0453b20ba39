// debug_text.hpp: what may be seen of a request's body with DEBUG_MODE.
#pragma once

#include <string>
#include <string_view>

namespace falproxy::app {

/// `text` with each long run of base64 replaced by its length, and cut off after `max_bytes`.
[[nodiscard]] std::string without_base64(std::string_view text, std::size_t max_bytes = 4096);

}  // namespace falproxy::app
