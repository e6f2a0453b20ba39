// links.hpp: addresses of fal's files that open though the files are not public.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>

#include "runs/driver.hpp"

namespace falproxy::inline v0::runs {

/// Signs it with the keys of one account after the other. Errors: upstream_untrusted_url (it is on
/// no host of fal's), download_failed (no account may sign it, or fal does not answer), cancelled.
[[nodiscard]] Result<std::string> signed_link(const World& world, const std::string& address,
                                              std::chrono::seconds lifetime, TimePoint deadline,
                                              const std::stop_token& stop);

/// Where the file is to be fetched now: a signed link if files may not be public, else `address`.
/// Errors: those of signed_link(); the next attempt may have a link.
[[nodiscard]] Result<std::string> opened(const World& world, const std::string& address,
                                         TimePoint deadline, const std::stop_token& stop);

/// The address at which fal opens a file that came with one: of InputFile::is_own as opened(), or
/// as it came if there is no link.
[[nodiscard]] std::string address_for_fal(const World& world, const InputFile& file,
                                          const Patience& patience);

}  // namespace falproxy::inline v0::runs
