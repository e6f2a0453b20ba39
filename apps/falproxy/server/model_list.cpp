#include "server/model_list.hpp"

#include <chrono>
#include <utility>

#include "falproxy/openai.hpp"
#include "falproxy/schema.hpp"

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

openai::ModelEntry entry_of(const CatalogModel& model, WallTime created) {
  const std::string_view app = model.endpoint.app();
  return {.id = model.name,
          .created = std::chrono::floor<Seconds>(created.time_since_epoch()).count(),
          .owned_by = std::string(app.substr(0, app.find('/')))};
}

}  // namespace

ModelList::Source ModelList::source_of(const Catalog& catalog) {
  Source source;
  for (const CatalogModel& model : catalog.models()) {
    source.emplace_back(model.name, catalog.cached(model.endpoint, model.name));
  }
  return source;
}

bool ModelList::is_outdated(const Catalog& catalog) const { return source_of(catalog) != source_; }

std::shared_ptr<const ModelList> ModelList::make(const Catalog& catalog, WallTime created) {
  auto list = std::make_shared<ModelList>();
  std::vector<openai::ModelEntry> entries;
  for (const CatalogModel& model : catalog.models()) {
    openai::ModelEntry entry = entry_of(model, created);
    const std::shared_ptr<const schema::ModelSchema> schema =
        catalog.cached(model.endpoint, model.name);
    list->source_.emplace_back(model.name, schema);
    Members details = {{"endpoint", Json::string(model.endpoint.str())}};
    if (schema != nullptr) {
      ++list->usable_;
      details = members_of(schema::to_json(schema::describe(*schema)));
    }
    if (model.edit_endpoint)
      details.emplace_back("edit_endpoint", Json::string(model.edit_endpoint->str()));
    entry.details = Json::object(details);
    entries.push_back(entry);
    if (schema != nullptr) details.emplace_back("inputs", schema::inputs_to_json(*schema));
    entry.details = Json::object(details);
    list->each_.emplace(model.name, piece(openai::write_model(entry)));
  }
  list->all_ = piece(openai::write_models(entries));
  return list;
}

const Piece* ModelList::find(std::string_view id) const {
  const auto found = each_.find(id);
  return found == each_.end() ? nullptr : &found->second;
}

Piece plain_model(const CatalogModel& model, WallTime created) {
  openai::ModelEntry entry = entry_of(model, created);
  entry.details = Json::object({{"endpoint", Json::string(model.endpoint.str())}});
  return piece(openai::write_model(entry));
}

}  // namespace falproxy::app
