#include <algorithm>
#include <array>

#include "base/host_rule.hpp"
#include "base/text.hpp"
#include "falproxy/fal.hpp"

namespace falproxy::inline v0::fal {
namespace {

Error bad_entry(std::string_view entry, std::string_view why) {
  return Error{ErrorKind::invalid_value,
               "'" + std::string(entry) + "' " + std::string(why) +
                   "; write host, *.host or http://host:port, separated by commas"};
}

}  // namespace

Result<MediaHosts> MediaHosts::parse(std::string_view text) {
  MediaHosts hosts;
  std::optional<Error> fault;
  for_each_part(text, ',', [&](std::string_view part) {
    const std::string_view entry = trim(part);
    if (fault.has_value() || entry.empty()) return;
    HostRule rule = read_host_rule(entry);
    if (!rule.fault.empty()) {
      fault = bad_entry(entry, rule.fault);
    } else {
      hosts.rules_.push_back(
          {std::move(rule.scheme), std::move(rule.host), rule.port, rule.subdomains});
    }
  });
  if (fault.has_value()) return std::move(*fault);
  return hosts;
}

bool MediaHosts::allow(const Url& url) const noexcept {
  return std::ranges::any_of(rules_, [&](const Rule& rule) {
    if (url.scheme != rule.scheme || url.port != rule.port) return false;
    if (!rule.subdomains) return url.host == rule.host;
    const std::string_view host = url.host;
    return host.size() > rule.host.size() + 1 && host.ends_with(rule.host) &&
           host[host.size() - rule.host.size() - 1] == '.';
  });
}

bool same_origin(std::string_view url, const Url& base) {
  const std::optional<Url> parsed = Url::parse(url);
  return parsed.has_value() && parsed->scheme == base.scheme && parsed->host == base.host &&
         parsed->port == base.port;
}

bool is_of_queue(std::string_view url, const Url& base) {
  if (same_origin(url, base)) return true;
  constexpr std::array<std::string_view, 3> hosts{"https://queue.fal.run",
                                                  "https://queue.falrun.com", "https://falrun.com"};
  const std::string origin = base.origin();
  return (origin == hosts[0] || origin == hosts[1]) &&
         std::ranges::any_of(hosts, [&](std::string_view host) { return same_origin(url, host); });
}

bool same_origin(std::string_view url, std::string_view base) {
  const std::optional<Url> parsed = Url::parse(base);
  return parsed.has_value() && same_origin(url, *parsed);
}

}  // namespace falproxy::inline v0::fal
