#pragma once

#include <string_view>

#include "falproxy/fal.hpp"

namespace falproxy::inline v0::testing {

/// Of an id that is one.
inline fal::EndpointId endpoint(std::string_view id) { return *fal::EndpointId::parse(id); }

}  // namespace falproxy::inline v0::testing
