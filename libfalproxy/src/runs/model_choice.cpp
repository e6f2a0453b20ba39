#include "runs/model_choice.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "base/fmt.hpp"

namespace falproxy::inline v0::runs {
namespace {

bool carries_images(const Wish& request) {
  return request.intent != Intent::generation ||
         std::ranges::any_of(request.images,
                             [](const InputFile& file) { return file.medium == Medium::image; });
}

bool carries_a_video(const Wish& request) {
  return std::ranges::find(request.images, Medium::video, &InputFile::medium) !=
         request.images.end();
}

bool takes_images(const profile::Profile& profile) {
  return std::ranges::any_of(profile.media, [](const profile::MediaInput& input) {
    using profile::Part;
    const bool worked_on = input.part == Part::source || input.part == Part::reference;
    return input.medium == Medium::image && worked_on;
  });
}

// By what is known without a fetch.
std::vector<std::string> models_that_take_images(const Catalog& catalog, Medium makes) {
  std::vector<std::string> names;
  for (const CatalogModel& model : catalog.models()) {
    const auto profile = catalog.cached(model.endpoint, model.name);
    if (profile != nullptr && profile->makes && *profile->makes != makes) continue;
    if (model.edit_endpoint.has_value() || (profile != nullptr && takes_images(*profile))) {
      names.push_back(model.name);
    }
  }
  return names;
}

Error edit_unsupported(const Catalog& catalog, const CatalogModel& model, Medium makes,
                       Error error) {
  error.message = fmt::format("The model '{}' takes no images.", model.name);
  const std::vector<std::string> names = models_that_take_images(catalog, makes);
  if (!names.empty()) {
    error.message += fmt::format(" These do: {}.", fmt::join(names, ", "));
  }
  if (!model.edit_endpoint.has_value()) {
    // No name is guessed here: a guess that does not exist costs its reader an hour.
    const bool video = makes == Medium::video;
    error.message += fmt::format(
        " fal often {} at another endpoint: find it at https://fal.ai/models and add it in "
        "SUPPORTED_MODELS, as in '{}:{}+{}'.",
        video ? "makes videos of pictures" : "edits", model.name, model.endpoint.str(),
        video ? "IMAGE-TO-VIDEO-ENDPOINT" : "EDIT-ENDPOINT");
  }
  return error;
}

Result<CatalogModel> find_model(const Catalog& catalog, const Wish& request,
                                const std::string& default_model) {
  if (request.model.has_value()) return catalog.find(*request.model);
  const std::vector<CatalogModel> models = catalog.models();
  if (request.makes != Medium::image) {
    for (const CatalogModel& model : models) {
      const auto profile = catalog.cached(model.endpoint, model.name);
      if (profile != nullptr && profile->makes == request.makes) return model;
    }
  }
  if (!default_model.empty()) return catalog.find(default_model);
  if (models.empty()) {
    return Error{ErrorKind::unknown_model, "No model is configured.", "model"};
  }
  return models.front();
}

}  // namespace

Result<std::vector<CatalogModel>> find_models(
    const Catalog& catalog, const Wish& request, const std::string& default_model,
    const std::function<bool(std::string_view)>& may_use) {
  Result<CatalogModel> found = find_model(catalog, request, default_model);
  if (!found) return std::move(found).error();
  std::vector<CatalogModel> models{std::move(*found)};
  for (const std::string& name : std::vector<std::string>(models.front().settings.fallback)) {
    Result<CatalogModel> other = catalog.find(name);
    if (other && (!may_use || may_use(name))) models.push_back(std::move(*other));
  }
  return models;
}

std::optional<Error> refusal_of_model(const Catalog& catalog, const Wish& request,
                                      const std::string& default_model,
                                      const std::function<bool(std::string_view)>& may_use) {
  if (!may_use) return std::nullopt;
  std::string name = request.model.value_or("");
  if (name.empty()) {
    const Result<CatalogModel> found = find_model(catalog, request, default_model);
    if (!found) return std::nullopt;  // that is told elsewhere
    name = found->name;
  }
  if (may_use(name)) return std::nullopt;
  return Error{ErrorKind::model_not_allowed,
               fmt::format("This access key may not use the model '{}'.", name.substr(0, 200)),
               "model"};
}

std::string asked_name(const Wish& request, const std::vector<CatalogModel>& models,
                       const std::string& default_model) {
  if (request.model.has_value()) return *request.model;
  const bool is_default = !default_model.empty() && request.makes == Medium::image;
  return is_default ? default_model : models.front().name;
}

plan::Note took_its_place(const CatalogModel& model, const CatalogModel& other) {
  return {"model",
          fmt::format("'{}' is not available; '{}' took its place", model.name, other.name)};
}

const fal::EndpointId& endpoint_for(const CatalogModel& model, const Wish& request) {
  if (carries_a_video(request) && model.remix_endpoint.has_value()) return *model.remix_endpoint;
  const bool to_the_sibling = carries_images(request) && model.edit_endpoint.has_value();
  return to_the_sibling ? *model.edit_endpoint : model.endpoint;
}

std::optional<double> draw(const World& world) {
  return world.parts.random ? std::optional(world.parts.random()) : std::nullopt;
}

Result<PlannedRequest> plan_request(const World& world, const CatalogModel& model,
                                    const Wish& request, std::optional<double> chance,
                                    TimePoint deadline, const std::stop_token& stop) {
  const auto plan_at = [&](const fal::EndpointId& endpoint) -> Result<PlannedRequest> {
    const Result<std::shared_ptr<const profile::Profile>> profile =
        world.parts.catalog.profile(endpoint, model.name, deadline, stop);
    if (!profile) return profile.error();
    Result<plan::Plan> plan =
        plan::make_plan(request, **profile, model.settings, world.options.plan, chance);
    if (!plan) return std::move(plan).error();
    plan->endpoint = std::string(endpoint.str());
    return PlannedRequest{endpoint, std::move(*plan)};
  };
  const fal::EndpointId& endpoint = endpoint_for(model, request);
  Result<PlannedRequest> planned = plan_at(endpoint);
  const auto takes_no_images = [&] {
    return !planned && planned.error().kind == ErrorKind::edit_unsupported;
  };
  // Its picture came in a field that only the document could tell for one.
  if (takes_no_images() && model.edit_endpoint && endpoint != *model.edit_endpoint)
    planned = plan_at(*model.edit_endpoint);
  if (takes_no_images())
    return edit_unsupported(world.parts.catalog, model, request.makes, std::move(planned).error());
  return planned;
}

}  // namespace falproxy::inline v0::runs
