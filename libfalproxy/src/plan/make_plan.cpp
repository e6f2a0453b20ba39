#include <algorithm>

#include "base/fmt.hpp"
#include "base/name_pattern.hpp"
#include "falproxy/media.hpp"
#include "plan/draft.hpp"
#include "plan/size_solver.hpp"
#include "plan/sound.hpp"
#include "profile/sizes.hpp"
#include "profile/vocabulary.hpp"

namespace falproxy::inline v0::plan {

using namespace profile;
namespace {

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
    if (draft.profile.sizes->has(*entry.field)) taken.push_back(entry.field);
  }
  return taken;
}

// What a value of an input means among the others.
SizeTerm term_of(const SizeControls& controls, const Field& field, const Json& value) {
  for (const WordControl& control : controls.words) {
    if (control.field != &field) continue;
    const auto word = std::ranges::find_if(
        control.words, [&](const WordControl::Word& one) { return *one.value == value; });
    if (word != control.words.end()) return word->term;
  }
  return read_size_term(value);
}

// What becomes of a shape and a tier, sent or by default; none: one of them is not known.
std::optional<Pixels> pixels_of_video(const Draft& draft) {
  std::optional<double> aspect;
  std::optional<double> lines;
  for (const Field& field : draft.schema.inputs) {
    if (!draft.profile.sizes->has(field)) continue;
    const Draft::Entry* entry = draft.find(&field);
    if (entry == nullptr && !field.default_value) continue;
    const SizeTerm term = term_of(*draft.profile.sizes, field,
                                  entry != nullptr ? entry->value : *field.default_value);
    if (term.automatic || term.vague) return std::nullopt;
    if (term.pixels) return term.pixels;
    if (term.aspect) aspect = term.aspect;
    if (term.lines) lines = term.lines;
  }
  return aspect && lines ? std::optional(pixels_of_lines(*lines, *aspect)) : std::nullopt;
}

// Where the request or the operator set a size input by its own name, that is the size, and not
// what was mapped.
void tell_size(Draft& draft) {
  if (draft.request.makes == Medium::video) {
    if (const std::optional<Pixels> pixels = pixels_of_video(draft))
      draft.plan.size = to_text(*pixels);
    return;
  }
  bool any = false;
  std::optional<Pixels> known;
  Json width;
  Json height;
  for (const Draft::Entry& entry : draft.entries) {
    const bool mapped = entry.source == Source::openai || entry.source == Source::document;
    if (mapped || !draft.profile.sizes->has(*entry.field)) continue;
    any = true;
    for (const PixelControl& control : draft.profile.sizes->pixels) {
      if (control.shape != PixelControl::Shape::two_inputs) continue;
      if (entry.field == control.field) width = entry.value;
      if (entry.field == control.height) height = entry.value;
    }
    if (const SizeTerm term = read_size_term(entry.value); term.pixels) known = term.pixels;
  }
  if (!any) return;
  if (!known) known = read_size_term(Json::array({width, height})).pixels;
  draft.plan.size = known ? std::optional(to_text(*known)) : std::nullopt;
}

bool requires_size(const Draft& draft) {
  return std::ranges::any_of(draft.schema.inputs, [&](const Field& field) {
    return field.required && draft.profile.sizes->has(field);
  });
}

// If the operator has a default for the size, that is what "auto" becomes.
bool has_default_size(const Draft& draft) {
  return !asks_for_a_size(draft) &&
         std::ranges::any_of(draft.settings.defaults, [&](const auto& field) {
           const Field* input = draft.schema.input(field.first);
           return input != nullptr && draft.profile.sizes->has(*input);
         });
}

// Of the picture that is worked on, if it came as bytes.
std::optional<Pixels> size_of_source(const Draft& draft) {
  if (!draft.plan.source) return std::nullopt;
  const auto known = media::dimensions(draft.request.picture(*draft.plan.source).bytes);
  return known ? std::optional(Pixels{known->width, known->height}) : std::nullopt;
}

ResponseFormat response_format_of(const Draft& draft) {
  // Nothing else goes into an answer as text.
  if (draft.request.makes != Medium::image) return ResponseFormat::url;
  if (draft.request.stream) return ResponseFormat::b64_json;  // stream events have no url
  if (draft.request.response_format) return *draft.request.response_format;
  if (draft.settings.response_format) return *draft.settings.response_format;
  const std::string_view name =
      draft.request.model ? std::string_view(*draft.request.model) : std::string_view();
  for (const ResponseFormatRule& rule : draft.options.default_response_format) {
    if (matches_pattern(rule.pattern, name)) return rule.format;
  }
  // Many clients edit with whatever name, say nothing, and need base64; which of pictures that are
  // not public cannot be made.
  const bool edits =
      draft.request.intent == Intent::edit &&
      draft.settings.fal.output_access.value_or(OutputAccess::allow) == OutputAccess::allow;
  const bool as_base64 = has_openai_name(draft.request) || (edits && !name.starts_with("dall-e"));
  return as_base64 ? ResponseFormat::b64_json : ResponseFormat::url;
}

Error missing(const Draft& draft, const Field& field) {
  const bool sound = draft.request.makes == Medium::audio;
  if (const RoleInput* text = draft.profile.find(Role::text);
      text != nullptr && text->path.substr(0, text->path.find_first_of(".[")) == field.name) {
    const std::string_view name = sound ? "input" : "prompt";
    return {ErrorKind::missing_parameter, fmt::format("Missing required parameter: '{}'.", name),
            std::string(name)};
  }
  const std::size_t sent = draft.request.images.size();
  const bool edits = draft.request.intent != Intent::generation;
  std::string mend;
  std::string name = field.name;
  const MediaInput* file = draft.profile.file(field.name);
  if (file != nullptr && draft.request.makes == Medium::text && file->medium == Medium::audio) {
    mend = "Send it as 'file'.";
    name = "file";
  } else if (file != nullptr && file->medium == Medium::image) {
    if (draft.request.makes == Medium::video) {
      mend = fmt::format("Send {}its address in '{}'.",
                         sent == 0 ? "a picture as 'input_reference', or " : "", field.name);
    } else if (edits && file->part == Part::mask) {
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
    mend = fmt::format("Send it as a field of its own beside '{}'.", sound ? "input" : "prompt");
  }
  return {ErrorKind::missing_parameter,
          fmt::format("Missing required parameter: this model requires '{}'. {}", field.name, mend),
          std::move(name)};
}

}  // namespace

bool has_openai_name(const Wish& request) {
  const std::string_view model = request.model ? std::string_view(*request.model) : "";
  return model.starts_with("gpt-image") || model.starts_with("chatgpt-image");
}

std::optional<Error> send_prompt(Draft& draft) {
  if (draft.request.makes == Medium::audio) return send_speech(draft);
  const Field* input = draft.profile[Role::text];
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
    if (draft.request.intent != Intent::variation || !input->required) return std::nullopt;
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
  const AskedSize& asked = draft.asked;
  const SizeControls& controls = *draft.profile.sizes;
  SizeChoice choice;
  const std::optional<Pixels> picture = size_of_source(draft);
  // Of a picture of a style or a face the shape is nothing to keep.
  const bool edits = draft.request.intent == Intent::edit && source_input(draft) != nullptr;
  if (edits && picture && !asks_for_a_size(draft) && !has_default_size(draft) &&
      !requires_size(draft))
    choice = keep_shape(*picture, controls, taken);
  if (!asked.word.empty() && taken.empty()) choice = listed_size(asked.word, controls);
  if (choice.values.empty())
    choice = choose_size(asked.wish, controls, taken, asked.area, asked.text());
  // A model's own field that the model has is no wish that was dropped.
  const bool is_own_wish = asked.field != "size" && draft.has(draft.schema.input(asked.field));
  if (choice.values.empty() && (is_own_wish || has_default_size(draft))) choice.note.clear();
  if (choice.values.empty() && !is_own_wish && !asked.text().empty()) {
    const std::string& why = choice.note.empty() ? choice.why : choice.note;
    draft.plan.mappings.push_back({std::string(asked.field), {}, Json::string(asked.text()), why});
  }
  send_choice(draft, std::move(choice), Source::openai, asked.field);
}

void choose_response_format(Draft& draft) {
  Plan& plan = draft.plan;
  plan.response_format = response_format_of(draft);
  const Field* sync = draft.profile[Role::delivery];
  if (sync == nullptr) return;
  // "url" or "hex": what stands in a result as text would have to be decoded.
  if (const Json* address = find_listed(*sync, "url")) {
    if (draft.find(sync) == nullptr && sync->default_value != *address)
      draft.send(*sync, *address, Source::document, {}, "files come as addresses");
    return;
  }
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

// Files that are not public open by links alone that fal signs, which are asked for with
// MEDIA_STORE only.
std::optional<Error> tell_access(Draft& draft) {
  Plan& plan = draft.plan;
  plan.preferences = draft.settings.fal;
  if (!plan.preferences.output_access) plan.preferences.output_access = draft.options.output_access;
  const OutputAccess access = plan.preferences.output_access.value_or(OutputAccess::allow);
  if (access == OutputAccess::allow || plan.uses_sync_mode || draft.options.opens_files)
    return std::nullopt;
  if (plan.response_format == ResponseFormat::b64_json) {
    return Error{ErrorKind::unsupported_parameter,
                 "This model's pictures are not public ('output_access' in MODELS_FILE), so that "
                 "they cannot be fetched for an answer in base64. Send 'response_format': 'url' "
                 "without 'stream'.",
                 draft.request.stream ? "stream" : "response_format"};
  }
  draft.note("response_format",
             "the address opens only with a signed link of the operator's fal account");
  return std::nullopt;
}

// What was mapped and does not fit after all (a 'user' of 65 characters) is left out.
void drop_misfits(Draft& draft) {
  std::erase_if(draft.entries, [&](const Draft::Entry& entry) {
    const std::string& name = entry.field->name;
    if (entry.source != Source::openai && entry.source != Source::document) return false;
    if (std::ranges::find(draft.slots, name, &FileSlot::property) != draft.slots.end())
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
std::optional<Json> required_value(const Field& field, bool takes_example) {
  const auto fits = [&](const Json& value) { return !schema::check(field, value, field.name); };
  if (field.default_value && fits(*field.default_value)) return field.default_value;
  const std::vector<Json> listed = schema::choices(field);
  if (listed.size() == 1 && fits(listed.front())) return listed.front();
  if (takes_example && takes_number(field) && !field.examples.empty() &&
      fits(field.examples.front()))
    return field.examples.front();
  // What is not to be seen: nothing.
  if (words("words", "unwanted").any_in(field.name) && fits(Json::string("")))
    return Json::string("");
  return field.nullable ? std::optional(Json()) : std::nullopt;
}

// A size input that is required and was not reached by the size of the request: the picture's, else
// OpenAI's own default.
void send_size_of_its_own(Draft& draft, const Field& field) {
  const SizeControls& controls = *draft.profile.sizes;
  const bool video = draft.request.makes == Medium::video;
  if (video && controls.is_tier(field)) {
    SizeChoice cheapest = smallest_tier(controls, field);
    if (!cheapest.values.empty())
      return send_choice(draft, std::move(cheapest), Source::document, field.name);
  }
  const Pixels size = size_of_source(draft).value_or(Pixels{1024, 1024});
  const SizeWish own{SizeWish::Kind::pixels, size.width, size.height};
  // How large a video becomes is not told by the way: it costs.
  std::vector<const Field*> tiers;
  for (const Field& other : draft.schema.inputs) {
    if (video && &other != &field && controls.is_tier(other)) tiers.push_back(&other);
  }
  SizeChoice choice = choose_size(own, controls, tiers);
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
    if (&field == draft.profile[Role::count] || &field == draft.profile[Role::per_run]) continue;
    if (&field == draft.profile[Role::seed] && needs_random_seed(draft)) continue;
    if (draft.profile.sizes->has(field)) {
      const std::size_t before = draft.entries.size();
      send_choice(draft, choose_size({SizeWish::Kind::automatic, 0, 0}, *draft.profile.sizes, {}),
                  Source::document, {});
      if (!draft.has(&field)) {
        send_size_of_its_own(draft, field);
      }
      if (draft.entries.size() > before && draft.has(&field)) continue;
    }
    // How long a thing is to be is paid for, and for the client to say.
    std::optional<Json> only = required_value(field, &field != draft.profile[Role::length]);
    const bool no_file = only && only->is_null() && draft.profile.file(field.name) != nullptr;
    if (!only || no_file) return missing(draft, field);
    draft.note(field.name, fmt::format("required, and not given: {} was sent", only->dump()));
    draft.send(field, *std::move(only), Source::document, {}, "required");
  }
  return std::nullopt;
}

Result<Plan> make_plan(const Wish& request, const profile::Profile& profile,
                       const ModelSettings& settings, const Options& options,
                       std::optional<double> chance) {
  Draft draft(request, profile, settings, options, chance);
  draft.plan.makes = request.makes;
  draft.plan.intent = request.intent;
  for (const Output& output : profile.outputs) {
    if (output.medium == request.makes) draft.plan.places.push_back(output.path);
  }
  if (std::optional<Error> error = check_medium(draft)) return *std::move(error);
  for (const auto step : {read_size, send_overrides, send_native_fields, send_seconds, send_prompt,
                          place_recording, place_images}) {
    if (std::optional<Error> error = step(draft)) return *std::move(error);
  }
  if (request.makes == Medium::text) {
    if (std::optional<Error> error = send_listening(draft)) return *std::move(error);
  }
  send_size(draft);
  if (std::optional<Error> error = send_looks(draft)) return *std::move(error);
  if (std::optional<Error> error = send_defaults(draft)) return *std::move(error);
  drop_misfits(draft);
  choose_response_format(draft);
  for (const auto step : {fill_required, make_jobs}) {
    if (std::optional<Error> error = step(draft)) return *std::move(error);
  }
  if (std::optional<Error> error = tell_access(draft)) return *std::move(error);
  tell_size(draft);
  tell_looks(draft);
  draft.plan.seconds = length_in_seconds(draft);
  tell_defaults(draft);
  tell_quantities(draft);
  draft.count_notes();
  draft.plan.mappings.shrink_to_fit();  // a plan lives as long as its jobs
  return std::move(draft.plan);
}

}  // namespace falproxy::inline v0::plan
