// uploads.hpp: gives the pictures of a request addresses that fal can read: storage upload, data
// URI, or as they came.
#pragma once

#include <vector>

#include "falproxy/http.hpp"
#include "falproxy/plan.hpp"
#include "falproxy/result.hpp"
#include "falproxy/wish.hpp"
#include "runs/driver.hpp"

namespace falproxy::inline v0::runs {

struct ImageAddresses {
  std::vector<Body> images;  ///< one for each of the request's, then for those attached to its
                             ///< native fields; empty where no job uses it
  Body mask;
};

/// Nothing is paid for this. Masks become what the model takes, and lose their metadata as pictures
/// do. Addresses are passed on untouched; only a mask that must be converted is fetched, and only
/// from hosts that pictures may be fetched from. Errors: invalid_value and invalid_mask (of the
/// image or mask), upstream_failed, upstream_unreachable, upstream_untrusted_url, timed_out,
/// cancelled, and those of the key ring.
[[nodiscard]] Result<ImageAddresses> address_images(const World& world, const Wish& request,
                                                    const plan::Plan& plan,
                                                    const Patience& patience,
                                                    std::vector<plan::Note>& notes);

}  // namespace falproxy::inline v0::runs
