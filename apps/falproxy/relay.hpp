// relay.hpp: a file of fal's CDN on its way to a client, as it comes.
#pragma once

#include <functional>
#include <string>

#include "door.hpp"

namespace falproxy::app {

/// The answer that is the file at `url`; to a GET or HEAD the range of it that is asked for. At
/// most a few hundred kilobytes are held. `content_type`: as it is known; empty: it is not. `ended`
/// hears, once the answer is out, whether it is whole; it may be empty. Errors: result_expired,
/// download_failed, upstream_untrusted_url, overloaded.
[[nodiscard]] Result<serving::Response> relay_file(Call& call, const std::string& url,
                                                   const std::string& content_type,
                                                   std::function<void(bool whole)> ended = {});

}  // namespace falproxy::app
