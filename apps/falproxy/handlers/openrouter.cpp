// OpenRouter's images API.

#include "falproxy/openrouter.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/fmt.hpp"
#include "falproxy/profile.hpp"
#include "handlers/handlers.hpp"
#include "handlers/run_call.hpp"

namespace falproxy::app {

using nlohmann::ordered_json;
using serving::Response;

namespace {

class OpenRouterCall final : public RunCall {
 public:
  OpenRouterCall(Call& call, Door::Admission admission, bool dry_run)
      : RunCall(call, Medium::image, std::move(admission), dry_run) {
    repeats_are_dear_ = true;
  }
  Response answer() override;

 private:
  [[nodiscard]] Feed::Write event_writer() const override {
    return [](const Product& product, std::optional<int> preview, std::optional<Usd> cost) {
      return openrouter::write_image_event(product, preview, cost);
    };
  }
  Body last_events(Feed& feed, const Facts& facts) override {
    return end_of_files(feed, facts, false);
  }
  Response answer_to(Outcome outcome) override;
};

Response OpenRouterCall::answer() {
  Result<std::string> text = read_text();
  if (!text) return failure(std::move(text).error());
  Result<Wish> wish = run_by_size(parts_.executor, text->size(), [&] {
    return openrouter::parse_images(*text, rules_->limits, parts_.codecs, &parts_.memory);
  });
  static_cast<void>(memory_->resize(memory_->bytes() - text->size()));
  *text = {};
  if (wish) {
    if (auto fault = settle_model(*wish)) wish = *std::move(fault);
  }
  if (!wish) return failure(std::move(wish).error());
  record_.model = wish->model.value_or("");
  if (auto explained = take_up(*wish)) return *std::move(explained);
  if (const auto fault = fault_of_callback()) return failure(*fault);
  const bool events = wish->stream;
  return answer_by_run(*std::move(wish), events);
}

Response OpenRouterCall::answer_to(Outcome outcome) {
  record_.receipt = std::move(outcome.receipt);
  if (!outcome.response)
    return failure(openrouter::references_error(std::move(outcome.response).error()));
  Response response{.body = openrouter::write_images(*outcome.response, cost_of(record_.receipt)),
                    .undelivered = std::move(outcome.undelivered)};
  append_facts(response.fields, facts());
  record_.answer_bytes = response.body.size();
  done(response.status, outcome.shortfall ? &*outcome.shortfall : nullptr);
  return response;
}

ordered_json choice_of(const std::vector<std::string>& values) {
  return {{"type", "enum"}, {"values", values}};
}

ordered_json range_of(int least, int most) {
  return {{"type", "range"}, {"min", least}, {"max", most}};
}

// What follows from the document; what is absent is not supported.
ordered_json parameters_of(const profile::Profile& profile, bool edits) {
  const profile::Summary summary = profile::describe(profile);
  const auto has = [&](profile::Role role) { return profile[role] != nullptr; };
  constexpr int most_images = 10;
  constexpr int percent = 100;
  ordered_json parameters;
  parameters["n"] = range_of(1, most_images);
  if (!summary.ratios.empty()) parameters["aspect_ratio"] = choice_of(summary.ratios);
  if (!summary.resolutions.empty()) parameters["resolution"] = choice_of(summary.resolutions);
  if (!summary.sizes.empty()) parameters["size"] = choice_of(summary.sizes);
  if (!summary.formats.empty()) parameters["output_format"] = choice_of(summary.formats);
  if (has(profile::Role::quality)) parameters["quality"] = choice_of({"low", "medium", "high"});
  if (has(profile::Role::background))
    parameters["background"] = choice_of({"transparent", "opaque", "auto"});
  if (has(profile::Role::compression)) parameters["output_compression"] = range_of(0, percent);
  if (has(profile::Role::seed)) parameters["seed"] = {{"type", "boolean"}};
  if (edits) parameters["input_references"] = {{"type", "boolean"}};
  return parameters;
}

}  // namespace

Response make_openrouter_images(Call& call) {
  return answer_wish(call, BodyKind::json, [&](Door::Admission admission, bool dry_run) {
    return std::make_shared<OpenRouterCall>(call, std::move(admission), dry_run);
  });
}

Response list_openrouter_models(Call& call) {
  const Catalog& catalog = call.door.parts().catalog;
  ordered_json models = ordered_json::array();
  for (const CatalogModel& model : catalog.models()) {
    if (model.is_pattern() || !call.rules->access.may_use(call.caller.client, model.name)) continue;
    const auto profile = catalog.cached(model.endpoint, model.name);
    if (profile == nullptr || profile->makes != Medium::image) continue;
    const profile::Summary summary = profile::describe(*profile);
    const bool edits = summary.takes_images || model.edit_endpoint.has_value();
    ordered_json inputs = {"text"};
    if (edits) inputs.push_back("image");
    models.push_back(
        {{"id", model.name},
         {"name", model.name},
         {"description", summary.category},
         {"created", std::chrono::floor<Seconds>(call.door.started().time_since_epoch()).count()},
         {"endpoints", fmt::format("/api/v1/images/models/{}/endpoints", model.name)},
         {"architecture", {{"input_modalities", inputs}, {"output_modalities", {"image"}}}},
         {"supported_parameters", parameters_of(*profile, edits)},
         {"supports_streaming", true}});
  }
  return json_answer(ordered_json{{"data", std::move(models)}}.dump(
      -1, ' ', false, ordered_json::error_handler_t::replace));
}

}  // namespace falproxy::app
