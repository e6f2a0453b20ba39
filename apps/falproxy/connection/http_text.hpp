// http_text.hpp: the lines of a response's head.
#pragma once

#include <ctime>
#include <string>
#include <string_view>

namespace falproxy::app {

/// "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" (RFC 9110, 5.6.7)
void append_date(std::string& out, std::time_t now);
void append_field(std::string& out, std::string_view name, std::string_view value);
/// One chunk of a chunked body (RFC 9112, 7.1).
[[nodiscard]] std::string chunk(std::string_view bytes);

}  // namespace falproxy::app
