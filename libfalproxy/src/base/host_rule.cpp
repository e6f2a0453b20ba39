#include "base/host_rule.hpp"

#include <optional>

#include "falproxy/http.hpp"

namespace falproxy::inline v0 {

HostRule read_host_rule(std::string_view entry) {
  const bool has_scheme = entry.find("://") != std::string_view::npos;
  HostRule rule;
  rule.subdomains = !has_scheme && entry.starts_with("*.");
  if (rule.subdomains) entry.remove_prefix(2);
  const std::optional<Url> url =
      Url::parse(has_scheme ? std::string(entry) : "https://" + std::string(entry));
  if (!url.has_value() || url->host.starts_with('.')) return {.fault = "is not a host"};
  const std::size_t authority = has_scheme ? entry.find("://") + 3 : 0;
  if (entry.find_first_of("/?", authority) != std::string_view::npos) {
    return {.fault = "has a path, but only whole hosts can be allowed"};
  }
  rule.scheme = url->scheme;
  rule.host = url->host;
  rule.port = url->port;
  return rule;
}

}  // namespace falproxy::inline v0
