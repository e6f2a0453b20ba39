// pictures.hpp: from what a job brought to what the client gets: an address as it is, or base64,
// fetched where need be.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/retry.hpp"
#include "falproxy/http.hpp"
#include "falproxy/media.hpp"
#include "falproxy/plan.hpp"
#include "falproxy/result.hpp"
#include "runs/driver.hpp"

namespace falproxy::inline v0::runs {

/// One picture for the answer.
struct Picture {
  Body content;  ///< an address, or raw base64; of fetch_picture() bytes
  std::optional<media::ImageType> type = std::nullopt;         ///< where the bytes were seen
  std::optional<media::Dimensions> dimensions = std::nullopt;  ///< where they were seen
  bool is_cut = false;  ///< the file ends before the picture does
};

/// The picture of each of `images` in `format`, several side by side. Data URIs are passed on
/// without a copy. Images are fetched only from allowed hosts, without a key, and at most
/// `max_download_bytes` of each; what is no whole picture is fetched again, as `retry` says.
/// Errors: upstream_untrusted_url, download_failed (its message has the address), cancelled,
/// upstream_failed (a data URI that is none).
[[nodiscard]] std::vector<Result<Picture>> make_pictures(
    const World& world, const std::vector<plan::ResultFile>& images, ResponseFormat format,
    const Patience& patience, const RetryPolicy& retry = retry_policies::download);

/// The file at `address`, as make_pictures() fetches it.
[[nodiscard]] Result<Picture> fetch_picture(const World& world, const std::string& address,
                                            const Patience& patience);

/// See Runner::pass_on().
[[nodiscard]] Result<Done> pass_on(const World& world, const std::string& address,
                                   std::string_view range, const CallContext& context,
                                   ResponseSink& sink);

}  // namespace falproxy::inline v0::runs
