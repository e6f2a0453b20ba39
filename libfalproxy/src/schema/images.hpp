// images.hpp: finds the inputs that take pictures.
#pragma once

#include <vector>

#include "falproxy/schema.hpp"

namespace falproxy::schema {

/// Required ones first, then sources before masks before the rest, then in display order.
[[nodiscard]] std::vector<ImageField> find_image_fields(const std::vector<Field>& inputs);

}  // namespace falproxy::schema
