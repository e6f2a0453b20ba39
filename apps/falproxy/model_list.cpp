#include "model_list.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "falproxy/fal.hpp"
#include "falproxy/plan.hpp"
#include "falproxy/profile.hpp"

namespace falproxy::app {
namespace {

Piece piece(std::string text) {
  auto owner = std::make_shared<const std::string>(std::move(text));
  const std::string_view bytes = *owner;
  return {std::move(owner), bytes};
}

using Members = std::vector<std::pair<std::string, Json>>;

Members members_of(const Json& object) {
  Members members;
  for (const std::string_view key : object.keys()) members.emplace_back(key, *object.find(key));
  return members;
}

// Of the plainest request there is: what is not known is left out.
void add_price(Members& details, const CatalogModel& model, const profile::Profile& profile,
               const Budgets& budgets, const PriceTable& prices) {
  if (const auto price = prices.find(model.endpoint.str()); price != prices.end()) {
    details.emplace_back("unit_price_usd", price->second.unit_price.to_string());
    details.emplace_back("unit", price->second.unit);
  }
  Wish plain;
  plain.makes = profile.makes.value_or(Medium::image);
  plain.model = model.name;
  plain.prompt = "a lighthouse at dusk";
  const Result<plan::Plan> plan = plan::make_plan(plain, profile, model.settings, {});
  // A request without a picture or a sound may be none.
  const std::optional<Usd> estimate = plan ? estimate_of(*plan, model.endpoint.str(), budgets)
                                           : budgets.estimate(model.endpoint.str(), {});
  if (estimate) details.emplace_back("estimate_usd", estimate->to_string());
}

// Only what may be fetched is offered.
void add_thumbnail(Members& details, const profile::Profile& profile,
                   const fal::MediaHosts& hosts) {
  const std::string& address = profile.schema->thumbnail;
  const std::optional<Url> url = Url::parse(address);
  if (url && hosts.allow(*url)) details.emplace_back("thumbnail", Json::string(address));
}

openai::ModelEntry entry_of(const CatalogModel& model, WallTime created) {
  const std::string_view app = model.endpoint.app();
  return {.id = model.name,
          .created = std::chrono::floor<Seconds>(created.time_since_epoch()).count(),
          .owned_by = std::string(app.substr(0, app.find('/')))};
}

openai::ModelEntry chat_entry(std::string_view name, WallTime created) {
  return {.id = std::string(name),
          .created = std::chrono::floor<Seconds>(created.time_since_epoch()).count(),
          .owned_by = "openrouter",
          .is_chat = true};
}

}  // namespace

std::optional<Usd> estimate_of(const plan::Plan& plan, std::string_view endpoint,
                               const Budgets& budgets) {
  std::optional<Usd> sum;
  for (const plan::JobInput& job : plan.jobs) {
    const std::optional<Usd> one = budgets.estimate(endpoint, plan::expected_of(plan, job));
    if (!one) return std::nullopt;
    sum = sum.value_or(Usd{}) + *one;
  }
  return sum;
}

Json explanation_of(const plan::Plan& plan, const Budgets& budgets) {
  std::vector<std::pair<std::string, Json>> members;
  for (const auto& [name, value] : plan::explain(plan).members()) members.emplace_back(name, value);
  const std::optional<Usd> estimate = estimate_of(plan, plan.endpoint, budgets);
  members.emplace_back("estimate_usd", estimate ? Json(estimate->to_string()) : Json());
  return Json::object(members);
}

ModelList::Source ModelList::source_of(const Catalog& catalog) {
  Source source;
  for (const CatalogModel& model : catalog.models()) {
    source.emplace_back(model.name, catalog.cached(model.endpoint, model.name));
  }
  return source;
}

bool ModelList::is_outdated(const Catalog& catalog, const Budgets& budgets,
                            const Settings& settings) const {
  return budgets.prices() != prices_ || source_of(catalog) != source_ ||
         chats_ != settings.chat_models || media_hosts_ != settings.fal_media_hosts;
}

std::shared_ptr<const ModelList> ModelList::make(const Catalog& catalog, const Budgets& budgets,
                                                 const Settings& settings, WallTime created) {
  auto list = std::make_shared<ModelList>();
  list->prices_ = budgets.prices();
  const Result<fal::MediaHosts> hosts = fal::MediaHosts::parse(settings.fal_media_hosts);
  for (const CatalogModel& model : catalog.models()) {
    openai::ModelEntry entry = entry_of(model, created);
    const std::shared_ptr<const profile::Profile> profile =
        catalog.cached(model.endpoint, model.name);
    list->source_.emplace_back(model.name, profile);
    Members details = {{"endpoint", Json::string(model.endpoint.str())}};
    if (profile != nullptr) ++list->usable_;
    if (model.is_pattern()) continue;
    if (profile != nullptr) {
      details = members_of(profile::to_json(profile::describe(*profile)));
      if (profile->makes) details.emplace_back("makes", Json::string(name_of(*profile->makes)));
      add_price(details, model, *profile, budgets, *list->prices_);
      if (hosts) add_thumbnail(details, *profile, *hosts);
    }
    if (model.edit_endpoint)
      details.emplace_back("edit_endpoint", Json::string(model.edit_endpoint->str()));
    entry.details = Json::object(details);
    list->entries_.push_back(entry);
    if (profile != nullptr) details.emplace_back("inputs", profile::inputs_to_json(*profile));
    entry.details = Json::object(details);
    list->each_.emplace(model.name, piece(openai::write_model(entry)));
  }
  list->media_hosts_ = settings.fal_media_hosts;
  list->chats_ = settings.chat_models;
  for (const ChatRoute& chat : list->chats_) {
    if (chat.name.find('*') != std::string::npos) continue;
    list->entries_.push_back(chat_entry(chat.name, created));
    list->each_.emplace(chat.name, piece(openai::write_model(list->entries_.back())));
  }
  list->all_ = piece(openai::write_models(list->entries_));
  return list;
}

std::string ModelList::some(const std::function<bool(std::string_view)>& may_use) const {
  std::vector<openai::ModelEntry> shown;
  std::ranges::copy_if(entries_, std::back_inserter(shown),
                       [&](const openai::ModelEntry& entry) { return may_use(entry.id); });
  return openai::write_models(shown);
}

const Piece* ModelList::find(std::string_view id) const {
  const auto found = each_.find(id);
  return found == each_.end() ? nullptr : &found->second;
}

Piece plain_model(const CatalogModel& model, std::string_view id, WallTime created) {
  openai::ModelEntry entry = entry_of(model, created);
  entry.id = id;
  entry.details = Json::object({{"endpoint", Json::string(model.endpoint.str())}});
  return piece(openai::write_model(entry));
}

Piece plain_chat_model(std::string_view id, WallTime created) {
  return piece(openai::write_model(chat_entry(id, created)));
}

}  // namespace falproxy::app
