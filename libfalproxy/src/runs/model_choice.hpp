// model_choice.hpp: which of a model's endpoints serves a request, and what its document makes of
// it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/catalog.hpp"
#include "falproxy/plan.hpp"
#include "falproxy/wish.hpp"
#include "runs/driver.hpp"

namespace falproxy::inline v0::runs {

/// The model that a request names, else `default_model`, else the first configured; and behind it
/// those to fall back on, as far as they are configured and the client may have them. Errors:
/// unknown_model.
[[nodiscard]] Result<std::vector<CatalogModel>> find_models(
    const Catalog& catalog, const Wish& request, const std::string& default_model,
    const std::function<bool(std::string_view)>& may_use);

/// Why the client may not have the model that find_models() would find first; none: it may.
[[nodiscard]] std::optional<Error> refusal_of_model(
    const Catalog& catalog, const Wish& request, const std::string& default_model,
    const std::function<bool(std::string_view)>& may_use);

/// What `request` names, or asks for by naming none, of the models that find_models() gave.
[[nodiscard]] std::string asked_name(const Wish& request, const std::vector<CatalogModel>& models,
                                     const std::string& default_model);

/// What a client is told where `other` serves.
[[nodiscard]] plan::Note took_its_place(const CatalogModel& model, const CatalogModel& other);

/// Edits, variations and generations that carry images go to the model's edit endpoint, where it
/// has one.
[[nodiscard]] const fal::EndpointId& endpoint_for(const CatalogModel& model, const Wish& request);

struct PlannedRequest {
  fal::EndpointId endpoint;
  plan::Plan plan;
};

/// Fetches the document where need be and maps the request onto it; nothing is paid for.
/// Errors: those of Catalog::profile() and plan::make_plan(); edit_unsupported names the models
/// that do edit.
[[nodiscard]] Result<PlannedRequest> plan_request(const World& world, const CatalogModel& model,
                                                  const Wish& request, std::optional<double> chance,
                                                  TimePoint deadline, const std::stop_token& stop);
/// A new one, for plan_request(); none: the runner was given no random numbers.
[[nodiscard]] std::optional<double> draw(const World& world);

}  // namespace falproxy::inline v0::runs
