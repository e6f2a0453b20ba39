// fields.hpp: the members of a request that are no pictures, alike for JSON and for forms.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "falproxy/openai.hpp"

namespace falproxy::inline v0::openai {

/// Moves what stands in `members`, an object, into `request`: OpenAI's fields with their types and
/// ranges checked, all others as native fields. Members that are null count as absent.
[[nodiscard]] std::optional<Error> read_fields(nlohmann::json& members, const RequestLimits& limits,
                                               Wish& request);

/// How the text of a form field is to be read.
enum class FieldForm { text, integer, boolean, native };
[[nodiscard]] FieldForm form_of(std::string_view field) noexcept;

}  // namespace falproxy::inline v0::openai
