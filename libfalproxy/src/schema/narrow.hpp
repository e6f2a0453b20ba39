// narrow.hpp: the schema that holds where two hold.
#pragma once

#include "falproxy/schema.hpp"

namespace falproxy::inline v0::schema {

/// Makes `field` take only what `more` takes too. Of words, defaults and hints those of `more` win,
/// and of several patterns, items or sets of alternatives its own. null passes where either lets it
/// pass, since `{"nullable": true, "allOf": [...]}` is how OpenAPI 3.0 says "or null".
void narrow(Field& field, Field more);

/// What both take; where that is nothing, what `b` takes.
[[nodiscard]] Types common_types(const Types& a, const Types& b);

}  // namespace falproxy::inline v0::schema
