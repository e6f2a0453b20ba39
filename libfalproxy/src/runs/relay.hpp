// relay.hpp: a file of an answer, handed on as it comes.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "falproxy/result.hpp"
#include "runs/driver.hpp"

namespace falproxy::inline v0::runs {

/// See Runner::relay().
[[nodiscard]] Result<Done> relay(const World& world, const std::string& address,
                                 const Patience& patience,
                                 const std::function<bool(std::string_view)>& take);

}  // namespace falproxy::inline v0::runs
