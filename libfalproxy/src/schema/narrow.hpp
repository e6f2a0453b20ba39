// narrow.hpp: the schema that holds where two hold.
#pragma once

#include "falproxy/schema.hpp"

namespace falproxy::schema {

/// Makes `field` take only what `more` takes too. The words, default and hints of `more` win; null
/// passes where either lets it pass, since `{"nullable": true, "allOf": [...]}` is how OpenAPI 3.0
/// says "or null".
void narrow(Field& field, Field more);

/// As narrow() with a field that is nothing but these alternatives (two or more).
void narrow_to_one_of(Field& field, const std::vector<Field>& alternatives);

/// What both take; where that is nothing, what `b` takes.
[[nodiscard]] Types common_types(const Types& a, const Types& b);

}  // namespace falproxy::schema
