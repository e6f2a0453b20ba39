// The model's own fields: of the request, and of the operator's settings.

#include <algorithm>
#include <array>

#include "base/fmt.hpp"
#include "plan/draft.hpp"
#include "profile/names.hpp"
#include "profile/sizes.hpp"
#include "profile/vocabulary.hpp"

namespace falproxy::inline v0::plan {

using namespace profile;
namespace {

using schema::Field;

// Fields of OpenAI's that fal has nothing for in any model, or that OpenAI has for pictures alone.
// They are known, so STRICT_PARAMETERS lets them pass.
constexpr std::array<std::string_view, 22> openai_only = {
    "background",
    "chunking_strategy",
    "complexity",
    "frame_count",
    "frame_duration_ms",
    "include",
    "input_fidelity",
    "keywords",
    "known_speaker_names",
    "known_speaker_references",
    "languages",
    "markup",
    "moderation",
    "output_compression",
    "output_format",
    "partial_images",
    "quality",
    "resolution",
    "response_format",
    "safety_identifier",
    "style",
    "svg",
};

// What the client means by its field: of a form's `2024` the document tells whether it is a number.
Result<Json> meant_by(const Wish& request, std::string_view name, const Field& field,
                      const Json& value) {
  std::optional<Error> fault = schema::check(field, value, name);
  if (!fault) return value;
  const auto& texts = request.native_texts;
  const auto text = std::ranges::find(texts, name, &std::pair<std::string, std::string>::first);
  if (text != texts.end()) {
    Json as_text = Json::string(text->second);
    if (!schema::check(field, as_text, name)) return as_text;
  }
  return *std::move(fault);
}

// An operator's field that does not fit is the operator's to mend: the client gets no 400 for it.
Error operator_error(Error error, std::string_view where, std::string_view name) {
  error.kind = ErrorKind::invalid_settings;
  error.message = fmt::format("The operator's setting {}.{} does not fit this model: {}", where,
                              name, error.message);
  error.field = fmt::format("{}.{}", where, name);
  return error;
}

std::optional<Error> send_settings(Draft& draft,
                                   const std::vector<std::pair<std::string, Json>>& fields,
                                   Source source) {
  const std::string_view where = source == Source::operator_override ? "overrides" : "defaults";
  for (const auto& [name, value] : fields) {
    const Field* field = draft.schema.input(name);
    if (field == nullptr) {
      if (draft.options.strict_parameters) {
        return operator_error({ErrorKind::unknown_parameter, "the model has no such input."}, where,
                              name);
      }
      draft.drop(name, value,
                 fmt::format("dropped from the operator's {}: the model has no such input", where));
      continue;
    }
    const bool n_is_given = draft.request.n && field == draft.profile[Role::count];
    if (draft.has(field) || (n_is_given && source == Source::operator_default)) continue;
    if (std::optional<Error> error = schema::check(*field, value, name)) {
      return operator_error(*std::move(error), where, name);
    }
    draft.send(*field, value, source, {}, fmt::format("the operator's {}", where));
  }
  return std::nullopt;
}

// The pictures that came in a native field get an address like the others.
void place_attached(Draft& draft, std::string_view field) {
  for (std::size_t i = 0; i < draft.request.attached.size(); ++i) {
    const AttachedFile& one = draft.request.attached[i];
    if (one.field == field)
      draft.slots.push_back({draft.request.images.size() + i, one.field, one.path});
  }
}

// The input that the model has under another spelling, or another of the usual names.
const Field* input_meant(const Draft& draft, std::string_view name) {
  const std::string plain = snake_case(name);
  const auto named = [&](std::string_view other) -> const Field* {
    const Field* input = draft.schema.input(other);
    const bool free = input != nullptr && input != draft.profile[Role::text] && !draft.has(input);
    return free ? input : nullptr;
  };
  if (const Field* input = named(plain)) return input;
  for (const std::string_view list : {"steps", "guidance"}) {
    const Words& names = words("inputs", list);
    if (!names.has(plain)) continue;
    for (const Word& other : names) {
      if (const Field* input = named(other.text)) return input;
    }
  }
  return nullptr;
}

std::optional<Error> send_field(Draft& draft, const std::string& name, const Json& value,
                                const Field& field) {
  if (draft.has(&field)) {
    draft.drop(name, value, "dropped: the operator's overrides decide it");
    return std::nullopt;
  }
  const bool counts =
      &field == draft.profile[Role::count] || &field == draft.profile[Role::per_run];
  if (counts && draft.request.makes_one && value.as_integer() != 1) {
    draft.drop(name, value, "dropped: the answer has room for one");
    return std::nullopt;
  }
  if (&field == draft.profile[Role::seed] && value.as_integer() == -1) {
    draft.drop(name, value, "-1 is a random one, which the model chooses");
    return std::nullopt;
  }
  Result<Json> meant = meant_by(draft.request, name, field, value);
  if (!meant) return std::move(meant).error();
  draft.send(field, *std::move(meant), Source::native, name, "the model's own field");
  place_attached(draft, name);
  return std::nullopt;
}

// A field that the model does not have, by that name at least.
std::optional<Error> send_unknown_field(Draft& draft, const std::string& name, const Json& value) {
  if (const MediaInput* input = pictures_meant(draft, name))
    return send_pictures(draft, name, value, *input);
  // Who sends a picture does not want what is made without it.
  const bool is_given = !value.as_string().value_or("").empty() || value.size() > 0;
  const bool takes_pictures = std::ranges::find(draft.profile.media, Medium::image,
                                                &MediaInput::medium) != draft.profile.media.end();
  if (is_given && !takes_pictures && names_pictures(name))
    return Error{ErrorKind::edit_unsupported, "This model takes no images.", name};
  if (means_length(draft, name)) return send_length(draft, name, value);
  if (const Field* input = input_meant(draft, name)) {
    draft.note(name, fmt::format("sent as '{}'", input->name));
    return send_field(draft, name, value, *input);
  }
  const bool known = name == "aspect_ratio" || name == "width" || name == "height" ||
                     std::ranges::find(openai_only, name) != openai_only.end();
  if (draft.options.strict_parameters && !known) {
    return Error{
        ErrorKind::unknown_parameter,
        fmt::format("Unknown parameter: '{}'. Neither OpenAI's API nor this model has it.", name),
        name};
  }
  draft.drop(name, value, "dropped: the model has no such input");
  return std::nullopt;
}

}  // namespace

std::optional<Error> send_overrides(Draft& draft) {
  return send_settings(draft, draft.settings.overrides, Source::operator_override);
}

std::optional<Error> send_native_fields(Draft& draft) {
  // What the model has by that very name comes first.
  for (const bool own : {true, false}) {
    for (const auto& [name, value] : draft.request.native) {
      const Field* field = draft.schema.input(name);
      if ((field != nullptr) != own || draft.asked.said_by(name)) continue;
      if (std::optional<Error> error =
              own ? send_field(draft, name, value, *field) : send_unknown_field(draft, name, value))
        return error;
    }
  }
  return std::nullopt;
}

std::optional<Error> send_defaults(Draft& draft) {
  if (!asks_for_a_size(draft))
    return send_settings(draft, draft.settings.defaults, Source::operator_default);
  // The request's size has been mapped; a default for another size control would contradict it.
  std::vector<std::pair<std::string, Json>> fields = draft.settings.defaults;
  std::erase_if(fields, [&](const auto& field) {
    const Field* input = draft.schema.input(field.first);
    return input != nullptr && draft.profile.sizes->has(*input);
  });
  return send_settings(draft, fields, Source::operator_default);
}

}  // namespace falproxy::inline v0::plan
