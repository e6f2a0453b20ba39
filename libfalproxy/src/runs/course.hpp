// course.hpp: the whole way of one request, from parsed to answered, with its Receipt.
#pragma once

#include <memory>

#include "falproxy/wish.hpp"
#include "runs/driver.hpp"
#include "runs/ledger.hpp"
#include "runs/recorder.hpp"

namespace falproxy::inline v0::runs {

/// Serves `request` with the model it names, else with that model's fallbacks. With what `earlier`
/// brought, if that is not null, it makes the answer, and of its jobs it runs only those that are
/// open; see Harvest. The receipt is filled however it ends. `recorder` is told of each step.
[[nodiscard]] Served serve(const World& world, Wish& request,
                           std::shared_ptr<const Harvest> earlier, const Patience& patience,
                           Progress* progress, Recorder& recorder);

}  // namespace falproxy::inline v0::runs
