// catalog_models.hpp: models, and what the catalogue asks of fal for them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "falproxy/catalog.hpp"

namespace falproxy {

inline constexpr const char* flux = "fal-ai/flux/dev";

inline fal::EndpointId id(std::string_view text) { return *fal::EndpointId::parse(text); }

inline CatalogModel model(std::string name, std::string_view endpoint) {
  return {std::move(name), id(endpoint), std::nullopt, {}};
}

/// The endpoint that a request for a document names.
inline std::string endpoint_of(const HttpRequest& request) {
  return request.url.substr(request.url.find("endpoint_id=") + 12);
}

}  // namespace falproxy
