#include "server/routes.hpp"

#include <algorithm>

#include "falproxy/http.hpp"

namespace falproxy::app {
namespace {

bool is_open_ended(const Route& route) noexcept {
  return route.path.size() > 1 && route.path.ends_with('/');
}

bool has_path(const Route& route, std::string_view path) noexcept {
  return is_open_ended(route) ? path.starts_with(route.path) : path == route.path;
}

bool has_method(const Route& route, std::string_view method) noexcept {
  return route.method == method || (route.method == "GET" && method == "HEAD");
}

}  // namespace

std::string normal_path(std::string_view path) {
  std::string decoded;
  if (path.find('%') != std::string_view::npos) {
    // What cannot be decoded is an address that nobody has.
    decoded = percent_decode(path).value_or("/%");
    path = decoded;
  }
  std::string normal;
  normal.reserve(path.size());
  for (const char c : path) {
    if (c != '/' || !normal.ends_with('/')) normal += c;
  }
  if (normal.size() > 1 && normal.ends_with('/')) normal.pop_back();
  if (normal == "/v1") return "/";
  if (normal.starts_with("/v1/")) normal.erase(0, 3);
  return normal;
}

RouteMatch find_route(std::string_view method, std::string_view path) {
  RouteMatch match;
  for (const Route& route : routes) {
    if (!has_path(route, path)) continue;
    match.path_known = true;
    if (!has_method(route, method)) continue;
    match.route = &route;
    if (is_open_ended(route)) match.rest = path.substr(route.path.size());
    break;
  }
  return match;
}

std::string allowed_methods(std::string_view path) {
  std::string methods;
  for (const Route& route : routes) {
    if (has_path(route, path))
      methods.append(route.method).append(route.method == "GET" ? ", HEAD, " : ", ");
  }
  return methods + "OPTIONS";
}

std::string_view route_name(RouteId id) noexcept {
  const auto* route = std::ranges::find(routes, id, &Route::id);
  return route == routes.end() ? std::string_view("other") : route->name;
}

}  // namespace falproxy::app
