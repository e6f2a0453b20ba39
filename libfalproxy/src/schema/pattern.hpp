// pattern.hpp: the `pattern` keyword, as far as it can be checked in bounded time and stack.
#pragma once

#include <string_view>

namespace falproxy::schema {

/// Does the ECMAScript expression `pattern` match somewhere in `text` (UTF-8, by code points)?
/// True, too, where that is not worth finding out: see check() in schema.hpp.
[[nodiscard]] bool matches_pattern(std::string_view pattern, std::string_view text);

}  // namespace falproxy::schema
