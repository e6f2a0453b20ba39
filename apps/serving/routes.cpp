#include <optional>

#include "base/text.hpp"
#include "falproxy/http.hpp"
#include "serving/request.hpp"

namespace falproxy::serving {
namespace {

using Segments = std::vector<std::string>;
using Parameters = decltype(Match::parameters);

std::vector<std::string_view> segments_in(std::string_view path) {
  std::vector<std::string_view> segments;
  for_each_part(path, '/', [&](std::string_view segment) {
    const bool prefix = segment == "api" || segment == "openai" || segment == "v1";
    if (!segment.empty() && !(prefix && segments.empty())) segments.push_back(segment);
  });
  return segments;
}

struct Address {
  Segments segments;
  std::string deployment;  // empty: it names none
};

// None: it cannot be decoded, so that nobody has this address.
std::optional<Address> decoded(std::string_view path) {
  Address address;
  Segments& segments = address.segments;
  for (const std::string_view segment : segments_in(path)) {
    std::optional<std::string> text = percent_decode(segment);
    if (!text) return std::nullopt;
    segments.push_back(std::move(*text));
  }
  if (segments.size() > 2 && segments.front() == "deployments") {
    address.deployment = std::move(segments[1]);
    segments.erase(segments.begin(), segments.begin() + 2);
  }
  return address;
}

// None: `path` is not of this pattern.
std::optional<Parameters> match(const std::vector<std::string_view>& pattern,
                                const Segments& path) {
  Parameters parameters;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (i == path.size()) return std::nullopt;
    const std::string_view name = pattern[i].substr(1);
    if (pattern[i].starts_with('*')) {
      std::string rest = path[i];
      while (++i < path.size()) rest.append("/").append(path[i]);
      parameters.emplace_back(name, std::move(rest));
      return parameters;
    }
    if (pattern[i].starts_with(':')) {
      parameters.emplace_back(name, path[i]);
    } else if (pattern[i] != path[i]) {
      return std::nullopt;
    }
  }
  return pattern.size() == path.size() ? std::optional(std::move(parameters)) : std::nullopt;
}

bool has_method(const Route& route, std::string_view method) noexcept {
  return route.method == method || (route.method == "GET" && method == "HEAD");
}

}  // namespace

Router::Router(std::vector<Route> routes) {
  for (Route& route : routes) {
    std::vector<std::string_view> segments = segments_in(route.pattern);
    rows_.push_back({std::move(route), std::move(segments)});
  }
}

Match Router::find(std::string_view method, std::string_view path) const {
  Match found;
  std::optional<Address> address = decoded(path);
  for (std::size_t i = 0; address && i < rows_.size(); ++i) {
    std::optional<Parameters> parameters = match(rows_[i].segments, address->segments);
    if (!parameters) continue;
    found.path_known = true;
    if (!has_method(rows_[i].route, method)) continue;
    found.route = &rows_[i].route;
    found.parameters = *std::move(parameters);
    if (!address->deployment.empty())
      found.parameters.emplace_back(deployment_parameter, std::move(address->deployment));
    break;
  }
  return found;
}

std::string Router::allowed_methods(std::string_view path) const {
  std::string methods;
  const std::optional<Address> address = decoded(path);
  for (const Row& row : rows_) {
    if (!address || !match(row.segments, address->segments)) continue;
    methods.append(row.route.method).append(row.route.method == "GET" ? ", HEAD, " : ", ");
  }
  return methods + "OPTIONS";
}

}  // namespace falproxy::serving
