// uploads.hpp: gives the pictures of a request addresses that fal can read: storage upload, data
// URI, or as they came.
#pragma once

#include <vector>

#include "falproxy/http.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/result.hpp"
#include "falproxy/translate.hpp"
#include "gateway/driver.hpp"

namespace falproxy::gateway {

struct ImageAddresses {
  std::vector<Body> images;  ///< one for each of the request's; empty where no job uses it
  Body mask;
};

/// Nothing is paid for this. Masks become what the model takes. https addresses are passed on
/// untouched and never fetched. Errors: invalid_value and invalid_mask (of the image or mask),
/// upstream_failed, upstream_unreachable, upstream_untrusted_url, timed_out, cancelled, and those
/// of the key ring.
[[nodiscard]] Result<ImageAddresses> address_images(const World& world,
                                                    const openai::ImageRequest& request,
                                                    const translate::FalPlan& plan,
                                                    const Patience& patience,
                                                    std::vector<translate::Note>& notes);

}  // namespace falproxy::gateway
