#include <algorithm>

#include "base/text.hpp"
#include "falproxy/fal.hpp"

namespace falproxy::fal {
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
    const std::size_t scheme_end = entry.find("://");
    const bool has_scheme = scheme_end != std::string_view::npos;
    const bool subdomains = !has_scheme && entry.starts_with("*.");
    const std::string_view authority = entry.substr(has_scheme   ? scheme_end + 3
                                                    : subdomains ? 2
                                                                 : 0);
    const std::string_view scheme = has_scheme ? entry.substr(0, scheme_end) : "https";
    const std::optional<Url> url = Url::parse(std::string(scheme) + "://" + std::string(authority));
    if (!url.has_value() || url->host.starts_with('.')) {
      fault = bad_entry(entry, "is not a host");
    } else if (authority.find_first_of("/?") != std::string_view::npos) {
      fault = bad_entry(entry, "has a path, but only whole hosts can be allowed");
    } else {
      hosts.rules_.push_back({url->scheme, url->host, url->port, subdomains});
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

bool same_origin(std::string_view url, std::string_view base) {
  const std::optional<Url> a = Url::parse(url);
  const std::optional<Url> b = Url::parse(base);
  return a.has_value() && b.has_value() && a->scheme == b->scheme && a->host == b->host &&
         a->port == b->port;
}

}  // namespace falproxy::fal
