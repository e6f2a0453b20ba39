#include <algorithm>

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

constexpr Seconds longest_thumbnail{15};

// The address of its sample picture; empty: it has none, or its document is not there.
std::string thumbnail_of(const Call& call, std::string_view id) {
  const Catalog& catalog = call.door.parts().catalog;
  const Result<CatalogModel> model = catalog.find(id);
  if (!may_see(call, id) || !model) return {};
  const auto profile = catalog.cached(model->endpoint, model->name);
  return profile == nullptr ? std::string() : profile->schema->thumbnail;
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

// The bytes say what it is. Opened by itself it can run nothing, whatever a browser makes of it.
Response show_thumbnail(Call& call) {
  const std::string_view id = call.request.parameter("id");
  const std::string url = thumbnail_of(call, id);
  if (url.empty()) {
    return call.fail(
        {.kind = ErrorKind::model_not_found,
         .message = fmt::format("There is no sample picture of a model '{}'.", id.substr(0, 200)),
         .field = "model"});
  }
  const TimePoint deadline = std::min(call.request.began() + longest_thumbnail,
                                      call.request.began() + call.rules->settings.request_timeout);
  const Result<Thumbnail> picture =
      call.door.thumbnails().get(url, {.deadline = deadline, .stop = call.request.stop()});
  if (!picture) return call.fail(picture.error());
  Response response{.content_type = std::string(media::mime_type(picture->type)),
                    .fields =
                        "Cache-Control: private, max-age=86400\r\n"
                        "Content-Security-Policy: default-src 'none'; sandbox\r\n"
                        "X-Content-Type-Options: nosniff\r\n"};
  response.body.append(Piece{picture->bytes, *picture->bytes});
  return response;
}

}  // namespace falproxy::app
