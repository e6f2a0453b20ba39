// fmt.hpp: fmt, for falproxy's own sources; include it instead of <fmt/format.h>.
#pragma once

#include <fmt/format.h>

// Header-only fmt compiles its formatter in every file that formats: up to half of a file's time.
// Here that is done once, in fmt.cpp. Other versions spell it differently, and only build slower.
#if FMT_VERSION >= 90000 && FMT_VERSION < 100000
#define FALPROXY_FMT_COMPILED_ONCE
FMT_BEGIN_NAMESPACE
namespace detail {
extern template void vformat_to<char>(buffer<char>&, basic_string_view<char>,
                                      basic_format_args<buffer_context<char>>, locale_ref);
}
FMT_END_NAMESPACE
#endif
