// How the picture is to look and to be stored: OpenAI's words onto whatever the model has for them.

#include <algorithm>
#include <array>
#include <cmath>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/media.hpp"
#include "openai/wording.hpp"
#include "translate/draft.hpp"
#include "translate/quality_ladder.hpp"
#include "translate/whole_numbers.hpp"

namespace falproxy::translate {
namespace {

using schema::Field;

// A word of OpenAI's and the words by which models mean the same.
struct Synonym {
  std::string_view openai;
  std::array<std::string_view, 4> words;
};
constexpr std::array style_synonyms = {
    Synonym{"natural", {"natural", "realistic", "realistic image", "photographic"}},
    Synonym{"vivid", {"vivid", "dramatic", "cinematic", "hyperreal"}},
};

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& words, std::string_view word) noexcept {
  return std::ranges::find(words, word) != words.end();
}

Error not_allowed(std::string_view field, std::string_view value, std::string_view openai_words,
                  const Field* input) {
  const std::string own = input == nullptr ? std::string() : list_values(*input);
  return {ErrorKind::invalid_value,
          fmt::format("Invalid value: '{}'. Supported values of '{}' are: {}{}{}.",
                      openai::shown(value), field, openai_words,
                      own.empty() ? "" : ", and the model's own: ", own),
          std::string(field)};
}

// The value of `input` that says `word`, whether the input takes it by itself or in an array.
std::optional<Json> as_value_of(const Field& input, std::string_view word) {
  if (const Json* listed = find_listed(input, word)) return *listed;
  std::optional<Json> value;
  for_each_shape(input, [&](const Field& shape) {
    if (value || !shape.types.array || shape.items == nullptr) return;
    if (const Json* listed = find_listed(*shape.items, word)) value = Json::array({*listed});
  });
  if (!value && takes_any_text(input)) value = Json::string(word);
  return value;
}

// True where the input has a value already, or the model has no such input: the field is then
// dropped.
bool cannot_send(Draft& draft, std::string_view name, const Field* input, std::string_view value) {
  if (input == nullptr) {
    draft.drop(name, Json::string(value), "dropped: the model has nothing for it");
    return true;
  }
  if (!draft.has(input)) return false;
  draft.drop(name, Json::string(value),
             fmt::format("dropped: '{}' has a value already", input->name));
  return true;
}

void send_word(Draft& draft, std::string_view name, const Field& input, std::string_view wanted,
               Json value) {
  const std::optional<std::string_view> word = value.as_string();
  if (word && *word != wanted)
    draft.note(name, fmt::format("{} became {} {}", wanted, input.name, *word));
  draft.send(input, std::move(value), Source::openai, name, {});
}

std::optional<std::string_view> default_word(const Field* input) noexcept {
  return input != nullptr && input->default_value ? input->default_value->as_string()
                                                  : std::nullopt;
}

// ---- output_format

// The listed value of that picture type, as the model spells it: "jpeg" is "jpg", "JPEG" or
// "image/jpeg".
std::optional<Json> format_value(const Field& input, std::string_view wanted) {
  if (const Json* listed = find_listed(input, wanted)) return *listed;
  const std::optional<media::ImageType> type = media::from_name(wanted);
  const auto is_type = [&](std::string_view word) {
    return type && (media::from_name(word) == type || media::from_mime(word) == type);
  };
  std::optional<Json> value;
  for_each_listed(input, [&](const Json& listed) {
    const auto word = listed.as_string();
    if (!value && word && is_type(*word)) value = listed;
  });
  if (value || !takes_any_text(input)) return value;
  const auto usual = default_word(&input);
  return usual && is_type(*usual) ? *input.default_value : Json::string(wanted);
}

std::string format_name(std::string_view word) {
  std::optional<media::ImageType> type = media::from_name(word);
  if (!type) type = media::from_mime(word);
  return std::string(type ? media::name_of(*type) : word);
}

std::optional<Error> send_format(Draft& draft) {
  const Field* input = draft.inputs[Role::format];
  if (!draft.request.output_format) return std::nullopt;
  const std::string& wanted = *draft.request.output_format;
  if (!media::from_name(wanted) && (input == nullptr || find_listed(*input, wanted) == nullptr)) {
    return not_allowed("output_format", wanted, "'png', 'jpeg', 'webp'", input);
  }
  if (cannot_send(draft, "output_format", input, wanted)) return std::nullopt;
  std::optional<Json> value = format_value(*input, wanted);
  if (!value) {
    draft.drop("output_format", Json::string(wanted),
               fmt::format("dropped: the model makes {} only", list_values(*input)));
    return std::nullopt;
  }
  send_word(draft, "output_format", *input, wanted, *std::move(value));
  return std::nullopt;
}

// ---- output_compression

void send_compression(Draft& draft) {
  if (!draft.request.output_compression) return;
  const int wanted = *draft.request.output_compression;
  const Field* input = draft.inputs[Role::compression];
  if (cannot_send(draft, "output_compression", input, std::to_string(wanted))) return;
  double value = wanted;
  for_each_shape(*input, [&](const Field& shape) {
    if (shape.types.integer || shape.types.number)
      value = whole_numbers(shape, 0, 100).nearest(wanted);
  });
  const Json sent = Json::integer(static_cast<std::int64_t>(value));
  if (schema::check(*input, sent, input->name)) {
    draft.drop("output_compression", Json::integer(wanted),
               fmt::format("dropped: '{}' does not take it", input->name));
    return;
  }
  if (sent.as_integer() != wanted)
    draft.note("output_compression", fmt::format("{} became {}", wanted, sent.dump()));
  draft.send(*input, sent, Source::openai, "output_compression", {});
}

// ---- quality

// The listed value of the nearest level; among equally near ones the model's default, else the
// lower.
const Json* nearest_level(const Field& input, int wanted) {
  const Json* nearest = nullptr;
  int nearest_distance = 0;
  int nearest_level = 0;
  for_each_listed(input, [&](const Json& value) {
    const auto word = value.as_string();
    const std::optional<int> level = word ? quality_step(*word) : std::nullopt;
    if (!level) return;
    const int distance = std::abs(*level - wanted);
    const bool is_default = input.default_value && *input.default_value == value;
    const bool better = nearest == nullptr || distance < nearest_distance ||
                        (distance == nearest_distance && (is_default || *level < nearest_level));
    if (!better) return;
    nearest = &value;
    nearest_distance = distance;
    nearest_level = *level;
  });
  return nearest;
}

std::optional<Error> send_quality(Draft& draft) {
  if (!draft.request.quality) return std::nullopt;
  constexpr std::array<std::string_view, 8> openai_words = {"auto",     "low", "medium", "high",
                                                            "standard", "hd",  "xhigh",  "max"};
  const std::string& wanted = *draft.request.quality;
  const Field* input = draft.inputs[Role::quality];
  std::optional<Json> value = input == nullptr ? std::nullopt : as_value_of(*input, wanted);
  if (!value) {
    if (!contains(openai_words, wanted)) {
      return not_allowed("quality", wanted,
                         "'auto', 'low', 'medium', 'high', 'standard', 'hd', 'xhigh', 'max'",
                         input);
    }
    if (wanted == "auto") {
      draft.plan.mappings.push_back(
          {"quality", {}, Json::string(wanted), "the model's own default"});
      return std::nullopt;
    }
    if (input != nullptr) {
      if (const Json* nearest = nearest_level(*input, *quality_step(wanted))) value = *nearest;
    }
  }
  if (cannot_send(draft, "quality", value ? input : nullptr, wanted)) return std::nullopt;
  send_word(draft, "quality", *input, wanted, *std::move(value));
  return std::nullopt;
}

// ---- style

std::optional<Error> send_style(Draft& draft) {
  if (!draft.request.style) return std::nullopt;
  const std::string& wanted = *draft.request.style;
  const Field* input = draft.inputs[Role::style];
  std::optional<Json> value = input == nullptr ? std::nullopt : as_value_of(*input, wanted);
  const auto synonym = std::ranges::find_if(style_synonyms, [&](const Synonym& style) {
    return equal_ignoring_case(style.openai, wanted);
  });
  if (!value && synonym == style_synonyms.end())
    return not_allowed("style", wanted, "'vivid', 'natural'", input);
  if (!value && input != nullptr) {
    for (const std::string_view word : synonym->words) {
      if (const Json* listed = value ? nullptr : find_listed(*input, word)) value = *listed;
    }
  }
  if (cannot_send(draft, "style", value ? input : nullptr, wanted)) return std::nullopt;
  send_word(draft, "style", *input, wanted, *std::move(value));
  return std::nullopt;
}

// ---- background, input_fidelity

std::optional<Error> send_background(Draft& draft) {
  if (!draft.request.background) return std::nullopt;
  constexpr std::array<std::string_view, 3> openai_words = {"auto", "transparent", "opaque"};
  const std::string& wanted = *draft.request.background;
  const Field* input = draft.inputs[Role::background];
  const bool openai = contains(openai_words, wanted);
  // A free text named background describes a scene; OpenAI's words are none.
  const bool listed = input != nullptr && (find_listed(*input, wanted) != nullptr ||
                                           (!openai && takes_any_text(*input)));
  if (listed) {
    if (!cannot_send(draft, "background", input, wanted)) {
      send_word(draft, "background", *input, wanted, *as_value_of(*input, wanted));
    }
    return std::nullopt;
  }
  if (!openai) return not_allowed("background", wanted, "'auto', 'transparent', 'opaque'", input);
  if (wanted == "auto") {
    draft.plan.mappings.push_back(
        {"background", {}, Json::string(wanted), "the model's own default"});
    return std::nullopt;
  }
  const Field* transparency = draft.inputs[Role::transparency];
  if (cannot_send(draft, "background", transparency, wanted)) return std::nullopt;
  draft.send(*transparency, Json::boolean(wanted == "transparent"), Source::openai, "background",
             {});
  return std::nullopt;
}

std::optional<Error> send_fidelity(Draft& draft) {
  if (!draft.request.input_fidelity) return std::nullopt;
  const std::string& wanted = *draft.request.input_fidelity;
  const Field* input = draft.inputs[Role::fidelity];
  std::optional<Json> value = input == nullptr ? std::nullopt : as_value_of(*input, wanted);
  if (!value && wanted != "low" && wanted != "high")
    return not_allowed("input_fidelity", wanted, "'low', 'high'", input);
  if (cannot_send(draft, "input_fidelity", value ? input : nullptr, wanted)) return std::nullopt;
  send_word(draft, "input_fidelity", *input, wanted, *std::move(value));
  return std::nullopt;
}

// ---- moderation

// The most that a tolerance takes: the greatest number of its enum ("6") or its maximum.
std::optional<Json> most_tolerant(const Field& input) {
  std::optional<Json> most;
  double greatest = 0;
  for_each_listed(input, [&](const Json& value) {
    const auto word = value.as_string();
    double number = value.as_number().value_or(-1);
    if (word && word->size() == 1 && (*word)[0] >= '0' && (*word)[0] <= '9')
      number = (*word)[0] - '0';
    if (number < 0 || (most && number <= greatest)) return;
    most = value;
    greatest = number;
  });
  if (!most && input.maximum && (input.types.integer || input.types.number)) {
    const double maximum = std::clamp(*input.maximum, -most_exact, most_exact);
    most = Json::integer(static_cast<std::int64_t>(std::floor(maximum)));
  }
  return most;
}

std::optional<Error> send_moderation(Draft& draft) {
  if (!draft.request.moderation) return std::nullopt;
  const std::string& wanted = *draft.request.moderation;
  const Field* input = draft.inputs[Role::moderation];
  if (input != nullptr && find_listed(*input, wanted) != nullptr) {
    if (!cannot_send(draft, "moderation", input, wanted)) {
      send_word(draft, "moderation", *input, wanted, *find_listed(*input, wanted));
    }
    return std::nullopt;
  }
  if (wanted != "auto" && wanted != "low")
    return not_allowed("moderation", wanted, "'auto', 'low'", input);
  if (wanted == "auto") {
    draft.plan.mappings.push_back(
        {"moderation", {}, Json::string(wanted), "the model's own default"});
    return std::nullopt;
  }
  bool sent = false;
  const auto offer = [&](Role role, const std::optional<Json>& value) {
    const Field* control = draft.inputs[role];
    if (control == nullptr || !value || draft.has(control) ||
        schema::check(*control, *value, control->name))
      return;
    draft.send(*control, *value, Source::openai, "moderation", {});
    sent = true;
  };
  const Field* tolerance = draft.inputs[Role::tolerance];
  offer(Role::safety_switch, Json::boolean(false));
  offer(Role::unsafe_switch, Json::boolean(true));
  offer(Role::tolerance, tolerance == nullptr ? std::nullopt : most_tolerant(*tolerance));
  if (!sent)
    draft.drop("moderation", Json::string(wanted), "dropped: the model has nothing for it");
  return std::nullopt;
}

void send_user(Draft& draft) {
  if (!draft.request.user) return;
  const Field* input = draft.inputs[Role::user];
  if (input != nullptr && !takes_any_text(*input)) input = nullptr;
  if (cannot_send(draft, "user", input, *draft.request.user)) return;
  draft.send(*input, Json::string(*draft.request.user), Source::openai, "user", {});
}

}  // namespace

std::optional<Error> send_looks(Draft& draft) {
  for (const auto step :
       {send_format, send_quality, send_style, send_background, send_moderation, send_fidelity}) {
    if (std::optional<Error> error = step(draft)) return error;
  }
  send_compression(draft);
  send_user(draft);
  return std::nullopt;
}

void tell_looks(Draft& draft) {
  // The value that the model gets or has by default, where it is no "auto".
  const auto word_of = [&](Role role) -> std::optional<std::string> {
    const Field* input = draft.inputs[role];
    const Draft::Entry* entry = draft.find(input);
    const auto word = entry != nullptr ? entry->value.as_string() : default_word(input);
    if (!word || same_word(*word, "auto")) return std::nullopt;
    return std::string(*word);
  };
  if (const auto word = word_of(Role::format)) draft.plan.output_format = format_name(*word);
  draft.plan.output_format_sent = draft.has(draft.inputs[Role::format]);
  if (const auto word = word_of(Role::background)) draft.plan.background = *word;
  if (const auto word = word_of(Role::quality)) {
    if (const auto level = quality_step(*word)) draft.plan.quality = quality_of_step(*level);
  }
  const Draft::Entry* transparent = draft.find(draft.inputs[Role::transparency]);
  if (transparent != nullptr && !draft.plan.background) {
    draft.plan.background = transparent->value.as_boolean() == true ? "transparent" : "opaque";
  }
}

}  // namespace falproxy::translate
