// field_parameters.hpp: the parameters of a header field's value, "a; name=value; name=\"value\"".
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace falproxy::inline v0 {

/// Calls `f(name, value)` for each parameter, in order; names are in lower case, quotes are taken
/// off. In quotes a backslash escapes a quote and itself only, so that Windows' paths stay whole.
/// `text` is what comes after the value itself, its first semicolon included. False: the parameters
/// cannot be read, or `f` says so.
[[nodiscard]] bool for_each_parameter(
    std::string_view text, const std::function<bool(const std::string&, std::string)>& f);

/// What "utf-8''a%20b.png" stands for (RFC 8187). None: another charset, or broken.
[[nodiscard]] std::optional<std::string> extended_value(std::string_view text);

}  // namespace falproxy::inline v0
