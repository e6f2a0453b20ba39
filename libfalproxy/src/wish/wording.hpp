// wording.hpp: errors about a field, in OpenAI's own words where they are recorded.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/json.hpp"
#include "falproxy/result.hpp"

namespace falproxy::inline v0::wording {

/// "Missing required parameter: 'prompt'."
[[nodiscard]] Error missing_parameter(std::string_view field);
/// "Invalid type for 'n': expected an integer, but got a string instead." `expected` comes with its
/// article.
[[nodiscard]] Error invalid_type(std::string_view field, std::string_view expected,
                                 const Json& got);
/// "Invalid value: 'banana'. Supported values are: 'url' and 'b64_json'."
[[nodiscard]] Error unsupported_value(std::string_view field, std::string_view got,
                                      const std::vector<std::string>& supported);
/// Of `size`; `own` are the model's words: "'square', 'square_hd'"; empty: none are known.
[[nodiscard]] Error unsupported_size(std::string_view got, std::string_view own = {});
/// "Invalid 'n': integer above maximum value. Expected a value <= 10, but got 11 instead."
[[nodiscard]] Error out_of_range(std::string_view field, std::int64_t minimum, std::int64_t maximum,
                                 const Json& got);
/// "Invalid file 'image': unsupported mimetype ('application/octet-stream'). Supported file formats
/// are ..."
[[nodiscard]] Error unsupported_file(std::string_view field, std::string_view got);

/// `text` for a message: cut() after 100 bytes.
[[nodiscard]] std::string shown(std::string_view text);
/// A field's name for a message, whatever its bytes.
[[nodiscard]] std::string shown_name(std::string_view name);

}  // namespace falproxy::inline v0::wording
