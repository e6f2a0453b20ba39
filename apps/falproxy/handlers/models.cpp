#include "base/fmt.hpp"
#include "chat_models.hpp"
#include "handlers/handlers.hpp"

namespace falproxy::app {

using serving::Response;

namespace {

// Of who showed no key (PUBLIC_MODELS) nothing is known, and nothing kept.
bool may_see(const Call& call, std::string_view model) {
  return call.rules->access.may_use(call.caller.client, model);
}

}  // namespace

Response list_models(Call& call) {
  const std::shared_ptr<const ModelList> list = call.door.models();
  const KeyRules* const row = call.rules->access.rules_of(call.caller.client);
  if (row == nullptr || row->models.empty()) return json_answer(list->all());
  std::string text;
  call.door.parts().executor.run_blocking(
      [&] { text = list->some([&](std::string_view model) { return may_see(call, model); }); });
  return json_answer(std::move(text));
}

Response show_model(Call& call) {
  const std::string_view id = call.request.parameter("id");
  const bool seen = may_see(call, id);
  const std::shared_ptr<const ModelList> list = call.door.models();
  if (const Piece* model = list->find(id); seen && model != nullptr) return json_answer(*model);
  // A name that a pattern serves, or an endpoint's id (ALLOW_ANY_MODEL).
  if (const Result<CatalogModel> model = call.door.parts().catalog.find(id); seen && model)
    return json_answer(plain_model(*model, id, call.door.started()));
  if (seen && chat_model(call.rules->settings, id))
    return json_answer(plain_chat_model(id, call.door.started()));
  return call.fail(Error{.kind = ErrorKind::model_not_found,
                         .message = fmt::format("The model '{}' does not exist", id.substr(0, 200)),
                         .field = "model"});
}

}  // namespace falproxy::app
