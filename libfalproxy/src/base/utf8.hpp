// utf8.hpp: whether bytes are text.
#pragma once

#include <string_view>

namespace falproxy {

/// True where `bytes` are well-formed UTF-8 (Unicode, table 3-7): no overlong forms, no surrogates.
[[nodiscard]] bool is_utf8(std::string_view bytes) noexcept;

}  // namespace falproxy
