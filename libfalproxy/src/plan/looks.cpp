// How the picture is to look and to be stored: OpenAI's words onto whatever the model has for them.

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/media.hpp"
#include "plan/draft.hpp"
#include "plan/sound.hpp"
#include "profile/quality_ladder.hpp"
#include "profile/vocabulary.hpp"
#include "profile/whole_numbers.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0::plan {

using namespace profile;

namespace {

using schema::Field;
using Value = std::optional<Json>;

// ---- a word of the request as a value of an input

// The value of `input` that says `word`, whether the input takes it by itself or in an array.
Value listed_or_free(const Field& input, std::string_view word) {
  if (const Json* listed = find_listed(input, word)) return *listed;
  Value value;
  for_each_shape(input, [&](const Field& shape) {
    if (value || !shape.types.array || shape.items == nullptr) return;
    if (const Json* listed = find_listed(*shape.items, word)) value = Json::array({*listed});
  });
  if (!value && takes_any_text(input)) value = Json::string(word);
  return value;
}

Value listed(const Field& input, std::string_view word) {
  const Json* value = find_listed(input, word);
  return value == nullptr ? std::nullopt : Value(*value);
}

Value free(const Field& input, std::string_view word) {
  return takes_any_text(input) ? Value(Json::string(word)) : std::nullopt;
}

// A free text named background describes a scene; OpenAI's words are none.
Value scene(const Field& input, std::string_view word) {
  const bool openai = word == "auto" || word == "transparent" || word == "opaque";
  return openai ? listed(input, word) : listed_or_free(input, word);
}

// ---- a word of OpenAI's that the model does not have

std::optional<std::string_view> default_word(const Field* input) noexcept {
  return input != nullptr && input->default_value ? input->default_value->as_string()
                                                  : std::nullopt;
}

// The listed value of that picture type, as the model spells it: "jpeg" is "jpg", "JPEG" or
// "image/jpeg".
Value same_type(const Field& input, std::string_view wanted) {
  const std::optional<media::ImageType> type = media::from_name(wanted);
  const auto is_type = [&](std::string_view word) {
    return type && (media::from_name(word) == type || media::from_mime(word) == type);
  };
  Value value;
  for_each_listed(input, [&](const Json& listed) {
    const auto word = listed.as_string();
    if (!value && word && is_type(*word)) value = listed;
  });
  if (value || !takes_any_text(input)) return value;
  const auto usual = default_word(&input);
  return usual && is_type(*usual) ? *input.default_value : Json::string(wanted);
}

// The listed value of the nearest level; among equally near ones the model's default, else the
// lower.
Value nearest_level(const Field& input, std::string_view wanted) {
  const int wanted_level = quality_step(wanted).value_or(0);
  Value nearest;
  int nearest_distance = 0;
  int nearest_step = 0;
  for_each_listed(input, [&](const Json& value) {
    const auto word = value.as_string();
    const std::optional<int> level = word ? quality_step(*word) : std::nullopt;
    if (!level) return;
    const int distance = std::abs(*level - wanted_level);
    const bool is_default = input.default_value && *input.default_value == value;
    const bool better = !nearest || distance < nearest_distance ||
                        (distance == nearest_distance && (is_default || *level < nearest_step));
    if (!better) return;
    nearest = value;
    nearest_distance = distance;
    nearest_step = *level;
  });
  return nearest;
}

Value like_style(const Field& input, std::string_view wanted) {
  const std::string list = "style." + to_lower(wanted);
  for (const Word& word : words("values", list)) {
    if (const Json* value = find_listed(input, word.text)) return *value;
  }
  return std::nullopt;
}

// ---- other inputs that mean the same; true: one of them is sent

bool switch_transparency(Draft& draft, std::string_view wanted) {
  const Field* input = draft.profile[Role::transparency];
  if (input == nullptr || draft.has(input)) return false;
  draft.send(*input, Json::boolean(wanted == "transparent"), Source::openai, "background", {});
  return true;
}

// The most that a tolerance takes: the greatest number of its enum ("6") or its maximum.
Value most_tolerant(const Field& input) {
  Value most;
  double greatest = 0;
  for_each_listed(input, [&](const Json& value) {
    const auto word = value.as_string();
    double number = value.as_number().value_or(-1);
    if (word && word->size() == 1 && is_digit((*word)[0])) number = (*word)[0] - '0';
    if (number < 0 || (most && number <= greatest)) return;
    most = value;
    greatest = number;
  });
  if (!most && input.maximum && takes_number(input)) {
    const double maximum = std::clamp(*input.maximum, -most_exact, most_exact);
    most = Json::integer(static_cast<std::int64_t>(std::floor(maximum)));
  }
  return most;
}

bool lower_guards(Draft& draft, std::string_view) {
  bool sent = false;
  const auto offer = [&](Role role, const Value& value) {
    const Field* control = draft.profile[role];
    if (control == nullptr || !value || draft.has(control) ||
        schema::check(*control, *value, control->name))
      return;
    draft.send(*control, *value, Source::openai, "moderation", {});
    sent = true;
  };
  const Field* tolerance = draft.profile[Role::tolerance];
  offer(Role::safety_switch, Json::boolean(false));
  offer(Role::tolerance, tolerance == nullptr ? std::nullopt : most_tolerant(*tolerance));
  return sent;
}

// ---- the fields of a request that are words

struct Row {
  std::string_view field;
  std::optional<std::string> Wish::* wanted;
  Role role;
  std::vector<std::string_view> words;  // OpenAI's; none: any will do
  Value (*own)(const Field&, std::string_view);
  Value (*meant)(const Field&, std::string_view) = nullptr;
  bool (*otherwise)(Draft&, std::string_view) = nullptr;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all = {
      {"output_format",
       &Wish::output_format,
       Role::format,
       {"png", "jpeg", "webp"},
       listed,
       same_type},
      {"quality",
       &Wish::quality,
       Role::quality,
       {"auto", "low", "medium", "high", "standard", "hd", "xhigh", "max"},
       listed_or_free,
       nearest_level},
      {"style", &Wish::style, Role::style, {"vivid", "natural"}, listed_or_free, like_style},
      {"background",
       &Wish::background,
       Role::background,
       {"auto", "transparent", "opaque"},
       scene,
       nullptr,
       switch_transparency},
      {"moderation",
       &Wish::moderation,
       Role::moderation,
       {"auto", "low"},
       listed,
       nullptr,
       lower_guards},
      {"input_fidelity", &Wish::input_fidelity, Role::fidelity, {"low", "high"}, listed_or_free},
      {"user", &Wish::user, Role::user, {}, free},
  };
  return all;
}

bool is_openai_word(const Row& row, std::string_view word) {
  if (row.role == Role::format && media::from_name(word)) return true;
  return row.words.empty() || std::ranges::any_of(row.words, [&](std::string_view known) {
           return equal_ignoring_case(known, word);
         });
}

Error not_allowed(const Row& row, std::string_view value, const Field* input) {
  std::string known;
  for (const std::string_view word : row.words)
    known += fmt::format("{}'{}'", known.empty() ? "" : ", ", word);
  const std::string own = input == nullptr ? std::string() : list_values(*input);
  return {ErrorKind::invalid_value,
          fmt::format("Invalid value: '{}'. Supported values of '{}' are: {}{}{}.",
                      wording::shown(value), row.field, known,
                      own.empty() ? "" : ", and the model's own: ", own),
          std::string(row.field)};
}

void drop(Draft& draft, std::string_view field, std::string_view value, std::string_view why) {
  draft.drop(field, Json::string(value), fmt::format("dropped: {}", why));
}

void send_value(Draft& draft, std::string_view field, const Field& input, std::string_view wanted,
                Json value) {
  if (draft.has(&input))
    return drop(draft, field, wanted, fmt::format("'{}' has a value already", input.name));
  const std::optional<std::string_view> word = value.as_string();
  if (word && *word != wanted)
    draft.note(field, fmt::format("{} became {} {}", wanted, input.name, *word));
  draft.send(input, std::move(value), Source::openai, field, {});
}

// "auto", and the model has no such word.
void leave_to_model(Draft& draft, const Row& row, const Field* input) {
  const auto usual = default_word(input);
  if (usual) draft.note(row.field, fmt::format("auto is the model's default, {}", *usual));
  draft.plan.mappings.push_back(
      {std::string(row.field), {}, Json::string("auto"), "the model's own default"});
}

std::optional<Error> send_word(Draft& draft, const Row& row) {
  if (!(draft.request.*row.wanted)) return std::nullopt;
  const std::string& wanted = *(draft.request.*row.wanted);
  const Field* input = draft.profile[row.role];
  Value value = input == nullptr ? std::nullopt : row.own(*input, wanted);
  if (!value && !is_openai_word(row, wanted)) return not_allowed(row, wanted, input);
  if (!value && wanted == "auto") {
    leave_to_model(draft, row, input);
    return std::nullopt;
  }
  if (!value && input != nullptr && row.meant != nullptr) value = row.meant(*input, wanted);
  if (value) {
    send_value(draft, row.field, *input, wanted, *std::move(value));
  } else if (row.otherwise == nullptr || !row.otherwise(draft, wanted)) {
    const bool other = row.role == Role::format && input != nullptr;
    drop(draft, row.field, wanted,
         other ? fmt::format("the model makes {} only", list_values(*input))
               : "the model has nothing for it");
  }
  return std::nullopt;
}

std::string format_name(std::string_view word) {
  std::optional<media::ImageType> type = media::from_name(word);
  if (!type) type = media::from_mime(word);
  return std::string(type ? media::name_of(*type) : word);
}

const Json* format_by_operator(const Draft& draft, const Field& input) {
  const auto set =
      std::ranges::find(draft.settings.defaults, input.name, &std::pair<std::string, Json>::first);
  return set == draft.settings.defaults.end() ? nullptr : &set->second;
}

bool is_jpeg(const Json* value) {
  const auto word = value == nullptr ? std::nullopt : value->as_string();
  return word && format_name(*word) == "jpeg";
}

// Whether the model is told to make a transparent background.
bool becomes_transparent(const Draft& draft) {
  const Draft::Entry* word = draft.find(draft.profile[Role::background]);
  const Draft::Entry* toggle = draft.find(draft.profile[Role::transparency]);
  return (word != nullptr && word->value.as_string() == "transparent") ||
         (toggle != nullptr && toggle->value.as_boolean() == true);
}

// A type that can be transparent, where the model would make a JPEG.
std::optional<Error> choose_transparent_format(Draft& draft) {
  const Field* input = draft.profile[Role::format];
  if (input == nullptr) return std::nullopt;
  if (const Draft::Entry* entry = draft.find(input)) {
    if (!is_jpeg(&entry->value) || !becomes_transparent(draft)) return std::nullopt;
    const bool by_operator = entry->source == Source::operator_override;
    return Error{ErrorKind::invalid_value,
                 fmt::format("A JPEG cannot be transparent, and {} '{}' asks for one. Leave "
                             "'background' out{}.",
                             by_operator ? "the operator's setting" : "the field", input->name,
                             by_operator ? "" : ", or send another format"),
                 "background"};
  }
  const Json* usual = format_by_operator(draft, *input);
  if (usual == nullptr && input->default_value) usual = &*input->default_value;
  Value chosen = same_type(*input, "png");
  if (!chosen) chosen = same_type(*input, "webp");
  if (!chosen || (usual != nullptr && !is_jpeg(usual))) return std::nullopt;
  draft.note("output_format",
             fmt::format("not given: {} was chosen, which can be transparent", chosen->dump()));
  draft.send(*input, *std::move(chosen), Source::openai, "output_format", "can be transparent");
  return std::nullopt;
}

// OpenAI's own default, where the model would make another type.
void prefer_png(Draft& draft) {
  const Field* input = draft.profile[Role::format];
  if (input == nullptr || draft.has(input) || format_by_operator(draft, *input) != nullptr) return;
  Value png = same_type(*input, "png");
  if (!png || png == input->default_value) return;
  draft.note("output_format", fmt::format("not given: {} was chosen", png->dump()));
  draft.send(*input, *std::move(png), Source::openai, "output_format", "OpenAI's default");
}

void send_compression(Draft& draft) {
  if (!draft.request.output_compression) return;
  constexpr std::string_view field = "output_compression";
  const int wanted = *draft.request.output_compression;
  const Field* input = draft.profile[Role::compression];
  if (input == nullptr)
    return drop(draft, field, std::to_string(wanted), "the model has nothing for it");
  double value = wanted;
  for_each_shape(*input, [&](const Field& shape) {
    if (takes_number(shape)) value = whole_numbers(shape, 0, 100).nearest(wanted);
  });
  const Json sent = Json::integer(static_cast<std::int64_t>(value));
  if (schema::check(*input, sent, input->name))
    return drop(draft, field, std::to_string(wanted),
                fmt::format("'{}' does not take it", input->name));
  if (!draft.has(input) && sent.as_integer() != wanted)
    draft.note(field, fmt::format("{} became {}", wanted, sent.dump()));
  send_value(draft, field, *input, std::to_string(wanted), sent);
}

}  // namespace

std::optional<Error> send_looks(Draft& draft) {
  const bool transparent = draft.request.background == "transparent";
  if (transparent && draft.request.output_format == "jpeg") {
    return Error{ErrorKind::invalid_value,
                 "A JPEG cannot be transparent. Send 'output_format': 'png' or 'webp', or leave "
                 "'background' out.",
                 "output_format"};
  }
  const bool sound = draft.request.makes == Medium::audio;
  if (sound) {
    if (std::optional<Error> error = send_sound_format(draft)) return error;
  }
  for (const Row& row : rows()) {
    if (sound && row.role == Role::format) continue;
    if (std::optional<Error> error = send_word(draft, row)) return error;
  }
  if (transparent) {
    if (std::optional<Error> error = choose_transparent_format(draft)) return error;
  }
  const bool picture = draft.request.makes == Medium::image;
  if (picture && !draft.request.output_format && has_openai_name(draft.request)) prefer_png(draft);
  send_compression(draft);
  return std::nullopt;
}

void tell_looks(Draft& draft) {
  // The value that the model gets or has by default, where it is no "auto".
  const auto word_of = [&](Role role) -> std::optional<std::string> {
    const Field* input = draft.profile[role];
    const Draft::Entry* entry = draft.find(input);
    const auto word = entry != nullptr ? entry->value.as_string() : default_word(input);
    if (!word || same_word(*word, "auto")) return std::nullopt;
    return std::string(*word);
  };
  if (draft.request.makes == Medium::audio) return;
  if (const auto word = word_of(Role::format)) draft.plan.output_format = format_name(*word);
  draft.plan.output_format_sent = draft.has(draft.profile[Role::format]);
  if (const auto word = word_of(Role::background)) draft.plan.background = *word;
  if (const auto word = word_of(Role::quality)) {
    if (const auto level = quality_step(*word)) draft.plan.quality = quality_of_step(*level);
  }
  const Draft::Entry* transparent = draft.find(draft.profile[Role::transparency]);
  if (transparent != nullptr && !draft.plan.background) {
    draft.plan.background = transparent->value.as_boolean() == true ? "transparent" : "opaque";
  }
}

}  // namespace falproxy::inline v0::plan
