#include <algorithm>

#include "base/fmt.hpp"
#include "falproxy/media.hpp"
#include "translate/draft.hpp"
#include "translate/size_controls.hpp"
#include "translate/size_solver.hpp"

namespace falproxy::translate {
namespace {

using openai::ImageOperation;
using openai::SizeWish;
using schema::Field;

constexpr std::string_view variation_prompt = "A variation of this image.";

void send_choice(Draft& draft, SizeChoice choice, Source source, std::string_view from) {
  for (auto& [field, value] : choice.values) {
    if (!draft.has(field)) draft.send(*field, std::move(value), source, from, choice.why);
  }
  if (choice.pixels) draft.plan.size = to_text(*choice.pixels);
  if (!choice.note.empty()) draft.note(from.empty() ? "size" : from, std::move(choice.note));
}

std::vector<const Field*> size_inputs_with_values(const Draft& draft) {
  std::vector<const Field*> taken;
  for (const Draft::Entry& entry : draft.entries) {
    if (is_size_name(entry.field->name)) taken.push_back(entry.field);
  }
  return taken;
}

// Where the request or the operator set a size input by its own name, that is the size, and not
// what was mapped.
void tell_size(Draft& draft) {
  bool any = false;
  std::optional<Pixels> known;
  Json width;
  Json height;
  for (const Draft::Entry& entry : draft.entries) {
    const bool mapped = entry.source == Source::openai || entry.source == Source::document;
    if (mapped || !is_size_name(entry.field->name)) continue;
    any = true;
    if (entry.field->name.ends_with("width")) width = entry.value;
    if (entry.field->name.ends_with("height")) height = entry.value;
    if (const SizeTerm term = read_size_term(entry.value); term.pixels) known = term.pixels;
  }
  if (!any) return;
  if (!known) known = read_size_term(Json::array({width, height})).pixels;
  draft.plan.size = known ? std::optional(to_text(*known)) : std::nullopt;
}

// Where the operator has a default for the size, that is what "auto" becomes.
bool has_default_size(const Draft& draft) {
  return draft.request.size.kind == SizeWish::Kind::automatic &&
         std::ranges::any_of(draft.settings.defaults, [&](const auto& field) {
           return is_size_name(field.first) && draft.schema.input(field.first) != nullptr;
         });
}

// For a size that the document requires and nobody gave: that of the first picture, else OpenAI's
// own default.
SizeWish size_of_first_picture(const openai::ImageRequest& request) {
  if (!request.images.empty()) {
    if (const auto known = media::dimensions(request.images.front().bytes)) {
      return {SizeWish::Kind::pixels, known->width, known->height};
    }
  }
  return {SizeWish::Kind::pixels, 1024, 1024};
}

ResponseFormat response_format_of(const Draft& draft) {
  if (draft.request.stream) return ResponseFormat::b64_json;  // stream events have no url
  if (draft.request.response_format) return *draft.request.response_format;
  if (draft.settings.response_format) return *draft.settings.response_format;
  if (draft.options.default_response_format) return *draft.options.default_response_format;
  const std::string_view model =
      draft.request.model ? std::string_view(*draft.request.model) : std::string_view();
  const bool gpt_image = model.starts_with("gpt-image") || model.starts_with("chatgpt-image");
  return gpt_image ? ResponseFormat::b64_json : ResponseFormat::url;
}

bool is_picture(const Draft& draft, const Field& field) {
  return std::ranges::find(draft.schema.image_fields, field.name, &schema::ImageField::name) !=
         draft.schema.image_fields.end();
}

Error missing(const Draft& draft, const Field& field) {
  if (&field == draft.inputs[Role::prompt]) {
    return {ErrorKind::missing_parameter, "Missing required parameter: 'prompt'.", "prompt"};
  }
  const std::size_t sent = draft.request.images.size();
  const bool edits = draft.request.operation != ImageOperation::generation;
  std::string mend;
  std::string name = field.name;
  if (is_picture(draft, field)) {
    const auto image_field =
        std::ranges::find(draft.schema.image_fields, field.name, &schema::ImageField::name);
    if (edits && image_field->role == schema::ImageRole::mask) {
      mend = "Send a 'mask'.";
      name = "mask";
    } else if (edits) {
      mend =
          fmt::format("Send one more picture ({} came), or its address in '{}'.", sent, field.name);
    } else {
      mend = "Send the address of a picture (https or a data URI), or use /v1/images/edits.";
    }
  } else if (const std::string values = list_values(field); !values.empty()) {
    mend = fmt::format("Its values are: {}.", values);
  } else {
    mend = "Send it as a field of its own beside 'prompt'.";
  }
  return {ErrorKind::missing_parameter,
          fmt::format("Missing required parameter: this model requires '{}'. {}", field.name, mend),
          std::move(name)};
}

}  // namespace

std::optional<Error> send_prompt(Draft& draft) {
  const Field* input = draft.inputs[Role::prompt];
  const std::optional<std::string>& prompt = draft.request.prompt;
  if (input == nullptr) {
    if (prompt) draft.drop("prompt", Json::string(*prompt), "dropped: the model takes no prompt");
    return std::nullopt;
  }
  if (draft.has(input)) {
    if (prompt)
      draft.drop("prompt", Json::string(*prompt),
                 fmt::format("dropped: '{}' has a value already", input->name));
    return std::nullopt;
  }
  if (!prompt) {
    if (draft.request.operation != ImageOperation::variation || !input->required)
      return std::nullopt;
    draft.note("prompt", fmt::format("the model requires one: '{}' was sent", variation_prompt));
    draft.send(*input, Json::string(variation_prompt), Source::document, "prompt", "a variation");
    return std::nullopt;
  }
  Json value = Json::string(*prompt);
  if (!input->types.string && input->types.array) value = Json::array({value});
  if (std::optional<Error> error = schema::check(*input, value, "prompt")) {
    error->field = "prompt";
    return error;
  }
  if (input->name != "prompt") draft.note("prompt", fmt::format("sent as '{}'", input->name));
  draft.send(*input, std::move(value), Source::openai, "prompt", {});
  return std::nullopt;
}

void send_size(Draft& draft) {
  const std::vector<const Field*> taken = size_inputs_with_values(draft);
  const std::string_view from = size_field(draft.request);
  SizeChoice choice = choose_size(draft.request.size, draft.schema, taken);
  // A model's own field that the model has is no wish that was dropped.
  const bool is_own_wish = from != "size" && draft.schema.input(from) != nullptr;
  if (choice.values.empty() && (is_own_wish || has_default_size(draft))) choice.note.clear();
  if (choice.values.empty() && !is_own_wish && draft.request.size.kind != SizeWish::Kind::none) {
    const std::string& why = choice.note.empty() ? choice.why : choice.note;
    draft.plan.mappings.push_back(
        {std::string(from), {}, Json::string(to_text(draft.request.size)), why});
  }
  send_choice(draft, std::move(choice), Source::openai, from);
}

void choose_response_format(Draft& draft) {
  FalPlan& plan = draft.plan;
  plan.response_format = response_format_of(draft);
  const Field* sync = draft.inputs[Role::sync];
  if (sync == nullptr) return;
  if (const Draft::Entry* entry = draft.find(sync)) {
    plan.uses_sync_mode = entry->value.as_boolean() == true;
    return;
  }
  const bool usual = sync->default_value && sync->default_value->as_boolean() == true;
  const auto fits = [&](bool value) {
    return !schema::check(*sync, Json::boolean(value), sync->name);
  };
  plan.uses_sync_mode =
      plan.response_format == ResponseFormat::b64_json && draft.options.data_uris && fits(true);
  if (!plan.uses_sync_mode && !fits(false)) return;
  if (plan.uses_sync_mode || usual) {
    draft.send(
        *sync, Json::boolean(plan.uses_sync_mode), Source::openai, "response_format",
        plan.uses_sync_mode ? "pictures come as data in the result" : "pictures come as addresses");
  }
}

// What was mapped and does not fit after all (a 'user' of 65 characters) is left out.
void drop_misfits(Draft& draft) {
  std::erase_if(draft.entries, [&](const Draft::Entry& entry) {
    const std::string& name = entry.field->name;
    if (entry.source != Source::openai && entry.source != Source::document) return false;
    if (std::ranges::find(draft.slots, name, &ImageSlot::property) != draft.slots.end())
      return false;  // placeholders stand there
    const std::optional<Error> error = schema::check(*entry.field, entry.value, name);
    if (!error) return false;
    const std::string why = "dropped: " + error->message;
    for (Mapping& mapping : draft.plan.mappings) {
      if (mapping.property != name) continue;
      mapping.property.clear();
      mapping.why = why;
      draft.note(mapping.field, why);
    }
    return true;
  });
}

// A value for what the model requires and nobody gave, as far as its document tells one.
std::optional<Json> required_value(const Field& field) {
  const auto fits = [&](const Json& value) { return !schema::check(field, value, field.name); };
  if (field.default_value && fits(*field.default_value)) return field.default_value;
  const std::vector<Json> listed = schema::choices(field);
  if (listed.size() == 1 && fits(listed.front())) return listed.front();
  return field.nullable ? std::optional(Json()) : std::nullopt;
}

// A size input that is required and was not reached by the size of the request.
void send_size_of_its_own(Draft& draft, const Field& field) {
  const SizeWish own = size_of_first_picture(draft.request);
  SizeChoice choice = choose_size(own, draft.schema, {});
  const bool reached =
      std::ranges::any_of(choice.values, [&](const auto& sent) { return sent.first == &field; });
  if (!reached) return;
  draft.note(field.name, fmt::format("required, and not given: {} was meant{}{}", to_text(own),
                                     choice.note.empty() ? "" : "; ", choice.note));
  choice.note.clear();
  // The size of the request has been told already.
  if (draft.plan.size) choice.pixels.reset();
  send_choice(draft, std::move(choice), Source::document, {});
}

std::optional<Error> fill_required(Draft& draft) {
  for (const Field& field : draft.schema.inputs) {
    if (!field.required || draft.has(&field)) continue;
    if (&field == draft.inputs[Role::count] || &field == draft.inputs[Role::per_run]) continue;
    if (is_size_name(field.name)) {
      const std::size_t before = draft.entries.size();
      send_choice(draft, choose_size({SizeWish::Kind::automatic, 0, 0}, draft.schema, {}),
                  Source::document, {});
      if (!draft.has(&field)) {
        send_size_of_its_own(draft, field);
      }
      if (draft.entries.size() > before && draft.has(&field)) continue;
    }
    std::optional<Json> only = required_value(field);
    if (!only) return missing(draft, field);
    draft.note(field.name, fmt::format("required, and not given: {} was sent", only->dump()));
    draft.send(field, *std::move(only), Source::document, {}, "required");
  }
  return std::nullopt;
}

Result<FalPlan> to_fal(const openai::ImageRequest& request, const schema::ModelSchema& schema,
                       const ModelSettings& settings, const Options& options) {
  Draft draft(request, schema, settings, options);
  draft.plan.operation = request.operation;
  for (const auto step : {send_overrides, send_native_fields, send_prompt, place_images}) {
    if (std::optional<Error> error = step(draft)) return *std::move(error);
  }
  send_size(draft);
  if (std::optional<Error> error = send_looks(draft)) return *std::move(error);
  if (std::optional<Error> error = send_defaults(draft)) return *std::move(error);
  drop_misfits(draft);
  choose_response_format(draft);
  for (const auto step : {fill_required, make_jobs}) {
    if (std::optional<Error> error = step(draft)) return *std::move(error);
  }
  tell_size(draft);
  tell_looks(draft);
  draft.plan.mappings.shrink_to_fit();  // a plan lives as long as its jobs
  return std::move(draft.plan);
}

}  // namespace falproxy::translate
