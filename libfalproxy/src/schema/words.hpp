// words.hpp: how schemas are put into words for people.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "falproxy/schema.hpp"
#include "schema/rule.hpp"

namespace falproxy::inline v0::schema {

/// Without a fraction where there is none: "20", "0.5".
[[nodiscard]] std::string number_text(double value);

/// "1 item", "3 items".
[[nodiscard]] std::string counted(std::size_t number, std::string_view noun);

/// Strings in single quotes, all else as JSON.
[[nodiscard]] std::string value_text(const Json& value);

/// What a value must be: "an integer", "one of 'a', 'b'", "one of 'square', 'auto', or an object
/// with 'width', 'height'".
[[nodiscard]] std::string expectation(const Rule& rule);

/// Whether the rule is a list of values, be it by way of a reference.
[[nodiscard]] bool lists_values(const Rule& rule);

/// "integer", "string or array"; "any" where there is no type.
[[nodiscard]] std::string type_names(const Types& types);

}  // namespace falproxy::inline v0::schema
