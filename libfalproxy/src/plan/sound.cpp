#include "plan/sound.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "plan/within.hpp"
#include "profile/vocabulary.hpp"
#include "wish/languages.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0::plan {

using namespace profile;
namespace {

using schema::Field;

// The voices of OpenAI's own models, which clients send without asking anybody.
constexpr std::array<std::string_view, 13> openai_voices = {
    "alloy", "ash",  "ballad",  "coral", "echo",  "fable", "nova",
    "onyx",  "sage", "shimmer", "verse", "marin", "cedar"};

std::string count_of(std::size_t count, std::string_view thing) {
  return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s");
}

// Already said by the request's own field of the model, or by the operator.
bool drop_if_said(Draft& draft, const RoleInput& input, std::string_view field, Json value) {
  if (!is_said(draft, input)) return false;
  draft.drop(field, std::move(value), fmt::format("dropped: '{}' has a value already", input.path));
  return true;
}

// ---- the text

std::optional<Error> send_text(Draft& draft) {
  const std::optional<std::string>& text = draft.request.prompt;
  if (!text) return std::nullopt;
  const RoleInput* input = draft.profile.find(Role::text);
  if (input == nullptr) {
    draft.drop("input", Json::string(*text), "dropped: the model takes no text");
    return std::nullopt;
  }
  if (drop_if_said(draft, *input, "input", Json::string(*text))) return std::nullopt;
  Json value = Json::string(*text);
  if (!input->field->types.string && input->field->types.array) value = Json::array({value});
  if (std::optional<Error> error = schema::check(*input->field, value, "input")) {
    error->field = "input";
    return error;
  }
  send_at(draft, *input, std::move(value), "input");
  return std::nullopt;
}

std::optional<Error> send_instructions(Draft& draft) {
  const std::optional<std::string>& wanted = draft.request.instructions;
  const RoleInput* input = draft.profile.find(Role::guide);
  if (!wanted) {
    if (input == nullptr || !input->field->required || is_said(draft, *input)) return std::nullopt;
    return Error{
        ErrorKind::missing_parameter,
        "Missing required parameter: 'instructions'. This model has no voices: say how the "
        "one is to be that speaks.",
        "instructions"};
  }
  Json value = Json::string(*wanted);
  if (input == nullptr) {
    draft.drop("instructions", std::move(value), "dropped: the model has nothing for it");
    return std::nullopt;
  }
  if (drop_if_said(draft, *input, "instructions", value)) return std::nullopt;
  if (!input->field->types.string && input->field->types.array) value = Json::array({value});
  if (std::optional<Error> error = schema::check(*input->field, value, "instructions")) {
    error->field = "instructions";
    return error;
  }
  send_at(draft, *input, std::move(value), "instructions");
  return std::nullopt;
}

// ---- the voice

bool has_word(std::string_view name, std::string_view word) {
  std::string plain = to_lower(name);
  std::ranges::replace_if(plain, [](char c) { return !is_alnum(c); }, ' ');
  bool has = false;
  for_each_part(plain, ' ',
                [&](std::string_view part) { has = has || equal_ignoring_case(part, word); });
  return has;
}

// The one that is called so, or has the name as a part of its own: `alloy` is `af_alloy`.
std::optional<std::string> listed_voice(const std::vector<std::string>& voices,
                                        std::string_view wanted) {
  const auto exact = std::ranges::find(voices, wanted);
  if (exact != voices.end()) return *exact;
  for (const std::string& voice : voices) {
    if (same_word(voice, wanted)) return voice;
  }
  for (const std::string& voice : voices) {
    if (has_word(voice, wanted)) return voice;
  }
  return std::nullopt;
}

std::string some_of(const std::vector<std::string>& voices) {
  constexpr std::size_t most = 12;
  std::string text;
  for (std::size_t i = 0; i < std::min(voices.size(), most); ++i)
    text += fmt::format("{}'{}'", i == 0 ? "" : ", ", voices[i]);
  return voices.size() > most ? text + ", and more" : text;
}

bool is_openai_voice(std::string_view name) {
  return std::ranges::any_of(openai_voices,
                             [&](std::string_view one) { return equal_ignoring_case(one, name); });
}

// The model's default, else the first that it lists if it must have one.
void choose_voice(Draft& draft, const RoleInput& input, const std::vector<std::string>& voices,
                  std::string_view wanted) {
  const std::optional<Json>& usual = input.field->default_value;
  const std::string who =
      wanted.empty() ? "not given" : fmt::format("'{}' is no voice of the model's", wanted);
  if (usual && usual->is_string()) {
    if (!wanted.empty())
      draft.note("voice", fmt::format("{}: its default speaks, '{}'", who, *usual->as_string()));
    // An object must be whole, whatever its members are by default.
    if (input.path != input.field->name && is_required(draft, input))
      send_at(draft, input, *usual, "voice", "the model's default");
    return;
  }
  if (is_required(draft, input) && !voices.empty()) {
    draft.note("voice",
               fmt::format("{}: '{}' speaks, the first of its voices", who, voices.front()));
    send_at(draft, input, Json::string(voices.front()), "voice", "the first that the model lists");
  } else if (!wanted.empty()) {
    draft.note("voice", fmt::format("{}: it chooses one itself", who));
  }
}

std::optional<Error> send_voice(Draft& draft) {
  const std::optional<std::string>& wanted = draft.request.voice;
  const RoleInput* input = draft.profile.find(Role::voice);
  if (input == nullptr) {
    if (wanted) draft.drop("voice", Json::string(*wanted), "dropped: the model has no voices");
    return std::nullopt;
  }
  if (is_said(draft, *input)) {
    if (wanted) drop_if_said(draft, *input, "voice", Json::string(*wanted));
    return std::nullopt;
  }
  const std::vector<std::string> voices = voices_of(draft.profile);
  if (!wanted) {
    choose_voice(draft, *input, voices, {});
    return std::nullopt;
  }
  if (const auto voice = listed_voice(voices, *wanted)) {
    if (!same_word(*voice, *wanted))
      draft.note("voice", fmt::format("{} became '{}'", wording::shown(*wanted), *voice));
    send_at(draft, *input, Json::string(*voice), "voice");
  } else if (is_openai_voice(*wanted)) {
    choose_voice(draft, *input, voices, *wanted);
  } else if (takes_any_text(*input->field)) {
    const Json value = Json::string(*wanted);
    if (std::optional<Error> error = schema::check(*input->field, value, "voice")) {
      error->field = "voice";
      return error;
    }
    send_at(draft, *input, value, "voice");
  } else {
    return Error{ErrorKind::invalid_value,
                 fmt::format("Invalid value: '{}'. This model's voices are: {}.",
                             wording::shown(*wanted), some_of(voices)),
                 "voice"};
  }
  return std::nullopt;
}

// ---- speed and language

void send_speed(Draft& draft) {
  const std::optional<double>& wanted = draft.request.speed;
  if (!wanted) return;
  const RoleInput* input = draft.profile.find(Role::speed);
  if (input == nullptr) {
    // 1 asks for nothing.
    if (*wanted != 1)
      draft.drop("speed", Json::number(*wanted), "dropped: the model has nothing for it");
    return;
  }
  if (drop_if_said(draft, *input, "speed", Json::number(*wanted))) return;
  // A pace that may be negative is told in percent of what is usual.
  const bool percent = input->field->minimum.value_or(0) < 0;
  const double asked = percent ? (*wanted - 1) * 100 : *wanted;
  const std::optional<Json> nearest = nearest_number(*input->field, asked);
  if (!nearest) {
    draft.drop("speed", Json::number(*wanted),
               fmt::format("dropped: '{}' does not take it", input->path));
    return;
  }
  if (nearest->as_number() && (percent || *nearest->as_number() != *wanted))
    draft.note("speed",
               fmt::format("{} became {}, the nearest that it takes", *wanted, nearest->dump()));
  send_at(draft, *input, *nearest, "speed");
}

// How a free text for a language is written, as far as the document shows.
std::string in_spelling_of(const Field& input, const Language& language) {
  std::vector<Json> shown = input.examples;
  if (input.default_value) shown.push_back(*input.default_value);
  for (const Json& one : shown) {
    const auto word = one.as_string();
    const Language* known = word ? find_language(*word) : nullptr;
    if (known == nullptr) continue;
    if (equal_ignoring_case(*word, known->name)) {
      std::string name(language.name);
      if (to_lower((*word)[0]) != (*word)[0] && name[0] >= 'a')
        name[0] = static_cast<char>(name[0] - 'a' + 'A');
      return name;
    }
    if (word->size() == 3) return std::string(language.code3);
    break;
  }
  return std::string(language.code);
}

const Json* listed_language(const Field& input, std::string_view wanted) {
  if (const Json* exact = find_listed(input, wanted)) return exact;
  const Language* language = find_language(wanted);
  if (language == nullptr) return nullptr;
  for (const std::string_view word : {language->code, language->code3, language->name}) {
    if (const Json* value = find_listed(input, word)) return value;
  }
  const Json* alike = nullptr;  // "en-US" for "en"
  for_each_listed(input, [&](const Json& value) {
    const auto word = value.as_string();
    if (alike == nullptr && word && find_language(*word) == language) alike = &value;
  });
  return alike;
}

std::optional<Error> send_language(Draft& draft) {
  const std::optional<std::string>& wanted = draft.request.language;
  if (!wanted) return std::nullopt;
  const RoleInput* input = draft.profile.find(Role::language);
  if (input == nullptr) {
    draft.drop("language", Json::string(*wanted), "dropped: the model has nothing for it");
    return std::nullopt;
  }
  if (drop_if_said(draft, *input, "language", Json::string(*wanted))) return std::nullopt;
  std::optional<Json> value;
  if (const Json* listed = listed_language(*input->field, *wanted)) {
    value = *listed;
  } else if (takes_any_text(*input->field)) {
    const Language* language = find_language(*wanted);
    value = Json::string(language == nullptr ? *wanted : in_spelling_of(*input->field, *language));
  }
  if (!value || schema::check(*input->field, *value, "language")) {
    return Error{ErrorKind::invalid_value,
                 fmt::format("Invalid value: '{}'. This model's languages are: {}.",
                             wording::shown(*wanted), list_values(*input->field)),
                 "language"};
  }
  if (value->as_string() && *value->as_string() != *wanted)
    draft.note("language",
               fmt::format("{} became '{}'", wording::shown(*wanted), *value->as_string()));
  send_at(draft, *input, *std::move(value), "language");
  return std::nullopt;
}

// Some models stop after a few seconds of speech unless they are told otherwise, and stop by
// themselves where the text ends.
void make_room(Draft& draft) {
  constexpr std::size_t short_text = 100;
  if (!draft.request.prompt || draft.request.prompt->size() <= short_text) return;
  for (const Word& name : words("inputs", "room")) {
    const Field* input = draft.schema.input(name.text);
    if (input == nullptr || draft.has(input) || !input->maximum || !takes_number(*input)) continue;
    Json most = Json::integer(static_cast<std::int64_t>(std::floor(*input->maximum)));
    if (schema::check(*input, most, input->name) || most == input->default_value) continue;
    draft.note("input",
               fmt::format("{} is {}, so that all of it is spoken", input->name, most.dump()));
    draft.send(*input, std::move(most), Source::document, {}, "room for a long text");
  }
}

// ---- where a sound goes

// Of the inputs that could take it the one that it is meant for: what must be there comes first. A
// sound may go to an input of videos.
const MediaInput* place_for_recording(const Draft& draft, Medium medium) {
  const MediaInput* best = nullptr;
  const auto weight = [&](const MediaInput& input) {
    return (input.medium == medium ? 4 : 0) + (input.required ? 2 : 0) +
           (input.part == Part::source ? 1 : 0);
  };
  for (const MediaInput& input : draft.profile.media) {
    if (input.medium != medium && input.medium != Medium::video) continue;
    if (draft.has(draft.schema.input(input.name))) continue;
    if (best == nullptr || weight(input) > weight(*best)) best = &input;
  }
  return best;
}

// ---- words that are heard

const Json* listed_among(const Field& input, std::string_view list) {
  for (const Word& word : words("values", list)) {
    if (const Json* value = find_listed(input, word.text)) return value;
  }
  return nullptr;
}

// The value that asks for one of the words of a list: by itself, in an array, or as a switch.
std::optional<Json> asking_for(const Field& input, std::string_view list) {
  if (const Json* value = listed_among(input, list)) return *value;
  const Field* elements = elements_of(input);
  const Json* element = elements == nullptr ? nullptr : listed_among(*elements, list);
  if (element != nullptr) return Json::array({*element});
  return input.types.boolean ? std::optional(Json::boolean(true)) : std::nullopt;
}

std::optional<Error> send_task(Draft& draft) {
  if (!draft.request.translate) return std::nullopt;
  const RoleInput* input = draft.profile.find(Role::task);
  std::optional<Json> value =
      input == nullptr ? std::nullopt : asking_for(*input->field, "task.translate");
  if (!value) {
    return Error{ErrorKind::invalid_value,
                 "This model does not translate. Use /v1/audio/transcriptions, or another model.",
                 "model"};
  }
  send_at(draft, *input, *std::move(value), "task");
  return std::nullopt;
}

// Whether the things that a list of the result holds have a member of one of these names.
bool items_have(const Draft& draft, std::string_view list) {
  const Field* items = nullptr;
  bool first = true;
  for_each_part(draft.profile.times, '.', [&](std::string_view part) {
    const std::string_view name = part.substr(0, part.find('['));
    if (std::exchange(first, false)) {
      const auto output = std::ranges::find(draft.schema.outputs, name, &Field::name);
      items = output == draft.schema.outputs.end() ? nullptr : &*output;
    } else if (items != nullptr) {
      items = member_of(*items, name);
    }
    if (items != nullptr && name.size() < part.size()) items = elements_of(*items);
  });
  return items != nullptr && std::ranges::any_of(words("outputs", list), [&](const Word& word) {
           return member_of(*items, word.text) != nullptr;
         });
}

std::optional<Error> send_times(Draft& draft) {
  const Wish& request = draft.request;
  if (request.times == Times::none) return std::nullopt;
  const RoleInput* input = draft.profile.find(Role::timing);
  const bool tells = !draft.profile.times.empty();
  if (!tells && (input == nullptr || draft.schema.outputs.empty())) {
    if (request.needs_times) {
      return Error{ErrorKind::unsupported_value,
                   "This model tells no times. Supported values of 'response_format' are: 'json', "
                   "'text' and 'verbose_json'.",
                   "response_format"};
    }
    draft.note("response_format", "the model tells no times: 'segments' is empty");
    return std::nullopt;
  }
  const bool of_words = request.times == Times::words;
  if (input == nullptr) {
    const std::string_view times = draft.profile.times;
    const bool has_words = times.substr(times.rfind('.') + 1).starts_with("word") || !tells;
    if (of_words && !has_words)
      draft.note("timestamp_granularities[]", "the model tells no times of words");
    return std::nullopt;
  }
  if (is_said(draft, *input)) return std::nullopt;
  std::optional<Json> words_value = asking_for(*input->field, "timing.words");
  std::optional<Json> segments = asking_for(*input->field, "timing.segments");
  if (of_words && !words_value)
    draft.note("timestamp_granularities[]", "the model tells no times of words");
  std::optional<Json> value = of_words && words_value ? words_value
                              : segments              ? segments
                                                      : words_value;
  if (!value) return std::nullopt;
  const bool sends_words = value == words_value && value != segments;
  if (sends_words) draft.plan.times = Times::words;
  if (value == input->field->default_value) return std::nullopt;
  send_at(draft, *input, *std::move(value), "timestamp_granularities[]");
  return std::nullopt;
}

std::optional<Error> send_speakers(Draft& draft) {
  if (!draft.request.speakers) return std::nullopt;
  const RoleInput* input = draft.profile.find(Role::speakers);
  if (input == nullptr) {
    if (items_have(draft, "said.by")) return std::nullopt;
    return Error{ErrorKind::unsupported_value,
                 "This model does not tell speakers apart: it has no 'diarized_json'. Use another "
                 "'response_format'.",
                 "response_format"};
  }
  if (drop_if_said(draft, *input, "response_format", Json::boolean(true))) return std::nullopt;
  if (input->field->default_value == Json::boolean(true)) return std::nullopt;
  draft.note("response_format", "telling speakers apart may cost more");
  send_at(draft, *input, Json::boolean(true), "response_format");
  return std::nullopt;
}

}  // namespace

std::optional<Error> send_speech(Draft& draft) {
  for (const auto step : {send_text, send_instructions, send_voice}) {
    if (std::optional<Error> error = step(draft)) return error;
  }
  send_speed(draft);
  if (std::optional<Error> error = send_language(draft)) return error;
  make_room(draft);
  return std::nullopt;
}

std::optional<Error> place_recording(Draft& draft) {
  const std::vector<InputFile>& files = draft.request.images;
  const auto is_recording = [](const InputFile& one) { return one.medium != Medium::image; };
  const auto file = std::ranges::find_if(files, is_recording);
  if (file == files.end()) return std::nullopt;
  if (std::ranges::count_if(files, is_recording) > 1) {
    return Error{ErrorKind::invalid_value,
                 fmt::format("Invalid 'file': there may be only one; {} came.",
                             count_of(files.size(), "file")),
                 "file"};
  }
  const MediaInput* input = place_for_recording(draft, file->medium);
  if (input == nullptr && file->medium == Medium::video) {
    return Error{ErrorKind::unsupported_parameter,
                 fmt::format("The model '{}' takes no video.",
                             wording::shown(draft.request.model.value_or(""))),
                 "video"};
  }
  if (input == nullptr) {
    draft.drop("file", {}, "dropped: the model's own field says what it listens to");
    return std::nullopt;
  }
  const auto index = static_cast<std::size_t>(file - files.begin());
  Json value = Json::string(file->url.empty() ? "(file)" : file->url);
  std::string path = input->array ? "/0" : "";
  if (!input->member.empty()) {
    path += "/" + input->member;
    value = Json::object({{input->member, value}});
  }
  draft.slots.push_back({index, input->name, path});
  draft.send(*draft.schema.input(input->name), input->array ? Json::array({value}) : value,
             Source::openai, "file", {});
  return std::nullopt;
}

std::optional<Error> send_listening(Draft& draft) {
  for (const auto step : {send_language, send_task, send_times, send_speakers}) {
    if (std::optional<Error> error = step(draft)) return error;
  }
  return std::nullopt;
}

}  // namespace falproxy::inline v0::plan
