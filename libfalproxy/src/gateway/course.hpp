// course.hpp: the whole way of one request, from parsed to answered, with its Receipt.
#pragma once

#include "falproxy/openai.hpp"
#include "gateway/driver.hpp"

namespace falproxy::gateway {

/// Serves `request` with the model it names, else with that model's fallbacks. The receipt is
/// filled however it ends.
[[nodiscard]] Outcome serve(const World& world, openai::ImageRequest request,
                            const Patience& patience, Progress* progress);

}  // namespace falproxy::gateway
