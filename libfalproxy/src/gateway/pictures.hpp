// pictures.hpp: from what a job brought to what the client gets: an address as it is, or base64,
// fetched where need be.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "falproxy/http.hpp"
#include "falproxy/media.hpp"
#include "falproxy/result.hpp"
#include "falproxy/translate.hpp"
#include "gateway/driver.hpp"

namespace falproxy::gateway {

/// One picture for the answer.
struct Picture {
  Body content;                                                ///< an address, or raw base64
  std::optional<media::ImageType> type = std::nullopt;         ///< where the bytes were seen
  std::optional<media::Dimensions> dimensions = std::nullopt;  ///< where they were seen
};

/// The pictures of `images` in `format`, several side by side. Data URIs are passed on without a
/// copy. Images are fetched only from allowed hosts, without a key, and at most
/// `max_download_bytes` of each. Errors: upstream_untrusted_url, download_failed, timed_out,
/// cancelled, upstream_failed (a data URI that is none).
[[nodiscard]] Result<std::vector<Picture>> make_pictures(
    const World& world, const std::vector<translate::FalImage>& images, ResponseFormat format,
    const Patience& patience);

}  // namespace falproxy::gateway
