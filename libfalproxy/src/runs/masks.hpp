// masks.hpp: the mask of a request, as its model takes masks.
#pragma once

#include <optional>
#include <vector>

#include "falproxy/http.hpp"
#include "falproxy/plan.hpp"
#include "falproxy/result.hpp"
#include "falproxy/wish.hpp"
#include "runs/driver.hpp"

namespace falproxy::inline v0::runs {

/// A file, or an address that fal can read.
struct ReadyMask {
  std::optional<Piece> bytes = std::nullopt;
  Body address = {};
};

/// The request must have a mask, or the plan one of its pictures for it. A mask whose bytes are
/// there is as large as its picture, as far as those are there, too. Errors: as address_images().
[[nodiscard]] Result<ReadyMask> ready_mask(const World& world, const Wish& request,
                                           const plan::Plan& plan, const Patience& patience,
                                           std::vector<plan::Note>& notes);

}  // namespace falproxy::inline v0::runs
