// model_choice.hpp: which of a model's endpoints serves a request, and what its document makes of
// it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "falproxy/catalog.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/translate.hpp"
#include "gateway/driver.hpp"

namespace falproxy::gateway {

/// The model that a request names, else `default_model`, else the first configured; and behind it
/// those to fall back on, as far as they are configured. Errors: unknown_model.
[[nodiscard]] Result<std::vector<CatalogModel>> find_models(const Catalog& catalog,
                                                            const openai::ImageRequest& request,
                                                            const std::string& default_model);

/// What a client is told where `other` serves.
[[nodiscard]] translate::Note took_its_place(const CatalogModel& model, const CatalogModel& other);

/// Edits, variations and generations that carry images go to the model's edit endpoint, where it
/// has one.
[[nodiscard]] const fal::EndpointId& endpoint_for(const CatalogModel& model,
                                                  const openai::ImageRequest& request);

/// The endpoints that fal's naming suggests for editing with the model that `endpoint` generates
/// with.
[[nodiscard]] std::vector<std::string> likely_edit_siblings(const fal::EndpointId& endpoint);

struct PlannedRequest {
  fal::EndpointId endpoint;
  translate::FalPlan plan;
};

/// Fetches the document where need be and maps the request onto it; nothing is paid for.
/// Errors: those of Catalog::schema() and translate::to_fal(); edit_unsupported names the models
/// that do edit.
[[nodiscard]] Result<PlannedRequest> plan_request(const World& world, const CatalogModel& model,
                                                  const openai::ImageRequest& request,
                                                  TimePoint deadline, const std::stop_token& stop);

}  // namespace falproxy::gateway
