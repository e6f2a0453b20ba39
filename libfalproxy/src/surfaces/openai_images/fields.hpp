// fields.hpp: the members of a request that are no pictures, alike for JSON and for forms.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "falproxy/openai.hpp"

namespace falproxy::inline v0::openai {

/// Moves what stands in `members`, an object, into `request`: OpenAI's fields with their types and
/// ranges checked, all others as native fields; if `request` makes no picture, those that only
/// pictures have, too. Members that are null count as absent.
[[nodiscard]] std::optional<Error> read_fields(nlohmann::json& members, const RequestLimits& limits,
                                               Wish& request);

/// How the text of a form field is to be read, in a request for what `makes` says.
enum class FieldForm { text, integer, boolean, native };
[[nodiscard]] FieldForm form_of(std::string_view field, Medium makes) noexcept;

}  // namespace falproxy::inline v0::openai
