// host_rule.hpp: one entry of FAL_MEDIA_HOSTS; settings checks it, fal uses it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace falproxy::inline v0 {

/// Hosts over one scheme and port: `host` and `*.host` mean https; `http://host:port` is for
/// stand-ins.
struct HostRule {
  std::string scheme = {};
  std::string host = {};
  std::uint16_t port = 0;
  bool subdomains = false;  ///< those of `host`, not `host` itself
  std::string fault =
      {};  ///< "is not a host": continues a sentence that names the entry; empty: none
  bool operator==(const HostRule&) const = default;
};

[[nodiscard]] HostRule read_host_rule(std::string_view entry);

}  // namespace falproxy::inline v0
