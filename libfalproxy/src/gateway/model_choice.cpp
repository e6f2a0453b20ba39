#include "gateway/model_choice.hpp"

#include <algorithm>
#include <utility>

#include "base/fmt.hpp"

namespace falproxy::gateway {
namespace {

bool carries_images(const openai::ImageRequest& request) {
  return request.operation != openai::ImageOperation::generation || !request.images.empty();
}

bool takes_images(const schema::ModelSchema& schema) {
  return std::ranges::any_of(schema.image_fields, [](const schema::ImageField& field) {
    return field.role == schema::ImageRole::source || field.role == schema::ImageRole::reference;
  });
}

// By what is known without a fetch.
std::vector<std::string> models_that_edit(const Catalog& catalog) {
  std::vector<std::string> names;
  for (const CatalogModel& model : catalog.models()) {
    const auto schema = catalog.cached(model.endpoint, model.name);
    if (model.edit_endpoint.has_value() || (schema != nullptr && takes_images(*schema))) {
      names.push_back(model.name);
    }
  }
  return names;
}

Error edit_unsupported(const Catalog& catalog, const CatalogModel& model, Error error) {
  error.message = fmt::format("The model '{}' takes no images.", model.name);
  const std::vector<std::string> names = models_that_edit(catalog);
  if (!names.empty()) {
    error.message += fmt::format(" These do: {}.", fmt::join(names, ", "));
  }
  if (!model.edit_endpoint.has_value()) {
    const std::vector<std::string> siblings = likely_edit_siblings(model.endpoint);
    error.message += fmt::format(
        " At fal, editing is mostly a sibling endpoint, likely '{}': it is configured as "
        "'{}:{}+{}' in SUPPORTED_MODELS.",
        fmt::join(siblings, "' or '"), model.name, model.endpoint.str(), siblings.front());
  }
  return error;
}

Result<CatalogModel> find_model(const Catalog& catalog, const openai::ImageRequest& request,
                                const std::string& default_model) {
  if (request.model.has_value()) return catalog.find(*request.model);
  if (!default_model.empty()) return catalog.find(default_model);
  const std::vector<CatalogModel> models = catalog.models();
  if (models.empty()) {
    return Error{ErrorKind::unknown_model, "No model is configured.", "model"};
  }
  return models.front();
}

}  // namespace

Result<std::vector<CatalogModel>> find_models(const Catalog& catalog,
                                              const openai::ImageRequest& request,
                                              const std::string& default_model) {
  Result<CatalogModel> found = find_model(catalog, request, default_model);
  if (!found) return std::move(found).error();
  std::vector<CatalogModel> models{std::move(*found)};
  for (const std::string& name : std::vector<std::string>(models.front().settings.fallback)) {
    Result<CatalogModel> other = catalog.find(name);
    if (other) models.push_back(std::move(*other));
  }
  return models;
}

translate::Note took_its_place(const CatalogModel& model, const CatalogModel& other) {
  return {"model",
          fmt::format("'{}' is not available; '{}' took its place", model.name, other.name)};
}

const fal::EndpointId& endpoint_for(const CatalogModel& model,
                                    const openai::ImageRequest& request) {
  const bool to_the_sibling = carries_images(request) && model.edit_endpoint.has_value();
  return to_the_sibling ? *model.edit_endpoint : model.endpoint;
}

std::vector<std::string> likely_edit_siblings(const fal::EndpointId& endpoint) {
  constexpr std::string_view text_to_image = "/text-to-image";
  std::string base = endpoint.str();
  if (base.ends_with(text_to_image)) base.resize(base.size() - text_to_image.size());
  return {base + "/edit", base + "/image-to-image"};
}

Result<PlannedRequest> plan_request(const World& world, const CatalogModel& model,
                                    const openai::ImageRequest& request, TimePoint deadline,
                                    const std::stop_token& stop) {
  const fal::EndpointId& endpoint = endpoint_for(model, request);
  const Result<std::shared_ptr<const schema::ModelSchema>> schema =
      world.parts.catalog.schema(endpoint, model.name, deadline, stop);
  if (!schema) return schema.error();
  Result<translate::FalPlan> plan =
      translate::to_fal(request, **schema, model.settings, world.options.translate);
  if (plan) return PlannedRequest{endpoint, std::move(*plan)};
  if (plan.error().kind == ErrorKind::edit_unsupported) {
    return edit_unsupported(world.parts.catalog, model, std::move(plan).error());
  }
  return std::move(plan).error();
}

}  // namespace falproxy::gateway
