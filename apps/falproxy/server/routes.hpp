// routes.hpp: the table of what the server answers to, and how an address finds its row.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace falproxy::app {

enum class RouteId {
  page,
  health,
  ready,
  models,
  model,
  generations,
  edits,
  variations,
  metrics,
  status,
  unknown
};
inline constexpr std::size_t route_count = static_cast<std::size_t>(RouteId::unknown) + 1;

struct Route {
  RouteId id;
  std::string_view method;  ///< GET also answers HEAD
  std::string_view path;    ///< without /v1; one that ends in a slash has something after it
  bool needs_key;
  std::string_view name;  ///< for logs and metrics
};

inline constexpr std::array<Route, 12> routes = {{
    {RouteId::health, "GET", "/health", false, "/health"},
    {RouteId::ready, "GET", "/ready", false, "/ready"},
    {RouteId::models, "GET", "/models", true, "/v1/models"},
    {RouteId::model, "GET", "/models/", true, "/v1/models/{id}"},
    {RouteId::generations, "POST", "/images/generations", true, "/v1/images/generations"},
    {RouteId::edits, "POST", "/images/edits", true, "/v1/images/edits"},
    {RouteId::variations, "POST", "/images/variations", true, "/v1/images/variations"},
    {RouteId::metrics, "GET", "/metrics", true, "/metrics"},
    {RouteId::status, "GET", "/falproxy/status", true, "/v1/falproxy/status"},
    {RouteId::page, "GET", "/", false, "/"},
    {RouteId::page, "GET", "/playground", false, "/"},
    {RouteId::page, "GET", "/playground/", false, "/"},
}};

struct RouteMatch {
  const Route* route = nullptr;
  bool path_known = false;  ///< a route has this path, if perhaps for another method
  std::string rest = {};    ///< what stands after a route's path that ends in a slash
};

/// The path as the table has it: decoded, without doubled slashes, the one at the end, and a
/// leading /v1.
[[nodiscard]] std::string normal_path(std::string_view path);

/// `path`: in normal form.
[[nodiscard]] RouteMatch find_route(std::string_view method, std::string_view path);

/// For the header `Allow`: "GET, HEAD, OPTIONS".
[[nodiscard]] std::string allowed_methods(std::string_view path);

[[nodiscard]] std::string_view route_name(RouteId id) noexcept;

}  // namespace falproxy::app
