// pattern.hpp: the regular expressions of documents.
#pragma once

#include <optional>
#include <string_view>

namespace falproxy::inline v0::schema {

/// Whether `text` holds what the ECMAScript expression `pattern` describes; none where that is not
/// to be found out: see schema::check().
[[nodiscard]] std::optional<bool> matches_pattern(std::string_view pattern, std::string_view text);

}  // namespace falproxy::inline v0::schema
