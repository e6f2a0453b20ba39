// Which file a sound comes in: what the client asks for, what the model offers, and what it makes
// by itself.

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/media.hpp"
#include "plan/sound.hpp"
#include "plan/within.hpp"
#include "profile/vocabulary.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0::plan {

using namespace profile;
namespace {

using schema::Field;

constexpr std::string_view field = "response_format";
constexpr int pcm_rate = 24000;  // OpenAI's

// "mp3_44100_128" and "MP3" are mp3.
std::string codec_of(std::string_view word) {
  std::string lower = to_lower(word);
  std::ranges::replace_if(lower, [](char c) { return !is_alnum(c); }, ' ');
  return std::string(trim(lower.substr(0, trim(lower).find(' '))));
}

bool is_codec(std::string_view word, std::string_view wanted) {
  const std::string codec = codec_of(word);
  const bool opus = wanted == "opus" && to_lower(word).find("opus") != std::string::npos;
  return codec == wanted || opus;
}

// Of several of one codec the usual one; 0: none like it.
int fitness(std::string_view word, std::string_view wanted) {
  const auto has = [&](std::string_view part) { return word.find(part) != std::string_view::npos; };
  if (wanted == "pcm" && has("24000")) return 2;
  if (wanted == "mp3" && has("44100_128")) return 2;
  if (wanted == "opus" && has("48000")) return 2;
  return 1;
}

// The input beside it for samples in a second, if there is one; it takes `rate` then.
std::optional<RoleInput> rate_beside(const Draft& draft, const RoleInput& format) {
  const Field& outer = outer_of(draft, format);
  const bool within = format.path != format.field->name;
  for (const Word& name : words("inputs", "rate")) {
    const Field* rate = within ? member_of(outer, name.text) : draft.schema.input(name.text);
    if (rate == nullptr) continue;
    const std::string path =
        within ? format.path.substr(0, format.path.rfind('.') + 1) + name.text : name.text;
    if (!schema::check(*rate, Json::integer(pcm_rate), rate->name))
      return RoleInput{Role::format, path, rate};
  }
  return std::nullopt;
}

// Who wants an address has what lies there.
bool is_by_address(const Draft& draft) {
  return draft.request.response_format == ResponseFormat::url;
}

// What is sent so that the file comes in a codec; none: the model does not offer it.
struct Offer {
  Json value;
  std::optional<RoleInput> rate = std::nullopt;  // is to be `pcm_rate`
};
std::optional<Offer> offer_of(const Draft& draft, const RoleInput* input, std::string_view wanted) {
  if (input == nullptr || is_said(draft, *input)) return std::nullopt;
  const Json* best = nullptr;
  int best_fitness = 0;
  for_each_listed(*input->field, [&](const Json& value) {
    const auto word = value.as_string();
    if (!word || !is_codec(*word, wanted)) return;
    const bool usual = input->field->default_value == value && wanted != "pcm";
    const int fit = usual ? 3 : fitness(*word, wanted);
    if (fit > best_fitness) {
      best = &value;
      best_fitness = fit;
    }
  });
  if (best == nullptr) return std::nullopt;
  Offer offer{*best};
  if (wanted != "pcm" || best_fitness == 2) return offer;
  offer.rate = rate_beside(draft, *input);
  return offer.rate ? std::optional(offer) : std::nullopt;
}

void take(Draft& draft, const RoleInput& input, const Offer& offer, std::string_view from) {
  send_at(draft, input, offer.value, from);
  if (offer.rate)
    send_at(draft, *offer.rate, Json::integer(pcm_rate), from, "OpenAI's rate for pcm");
}

// A type that a text of an example names.
std::optional<media::SoundType> type_in(const Json& value, int depth) {
  if (depth > 4) return std::nullopt;
  if (const auto text = value.as_string()) {
    const bool named = text->find('.') != std::string_view::npos || text->starts_with("audio/");
    return named ? media::sound_from_name(*text) : std::nullopt;
  }
  for (const Json& element : value.elements()) {
    if (const auto type = type_in(element, depth + 1)) return type;
  }
  for (const std::string_view key : value.keys()) {
    if (const auto type = type_in(*value.find(key), depth + 1)) return type;
  }
  return std::nullopt;
}

std::optional<media::SoundType> type_shown(const Field& output, int depth) {
  if (depth > 3) return std::nullopt;
  for (const Json& example : output.examples) {
    if (const auto type = type_in(example, 0)) return type;
  }
  if (output.default_value) {
    if (const auto type = type_in(*output.default_value, 0)) return type;
  }
  for (const Field& member : output.properties) {
    if (const auto type = type_shown(member, depth + 1)) return type;
  }
  for (const Field& branch : output.branches) {
    if (const auto type = type_shown(branch, depth + 1)) return type;
  }
  return output.items == nullptr ? std::nullopt : type_shown(*output.items, depth + 1);
}

// What the model makes by itself, in OpenAI's word; empty: its document does not show it.
std::string made_by_itself(const Draft& draft, const RoleInput* input) {
  if (input != nullptr) {
    const Draft::Entry* entry = draft.find(input->field);
    const std::optional<Json> usual =
        entry != nullptr ? std::optional(entry->value) : input->field->default_value;
    const auto word = usual ? usual->as_string() : std::nullopt;
    if (word) return codec_of(*word);
  }
  for (const std::string& place : draft.plan.places) {
    const std::string_view name = std::string_view(place).substr(0, place.find_first_of(".["));
    for (const Field& output : draft.schema.outputs) {
      if (output.name != name) continue;
      if (const auto type = type_shown(output, 0)) return std::string(media::name_of(*type));
    }
  }
  return {};
}

bool is_listed(const std::vector<std::string>& list, std::string_view word) {
  return std::ranges::find(list, word) != list.end();
}

// What can be read to make another of it.
bool is_readable(std::string_view codec) {
  constexpr std::string_view readable[] = {"wav", "flac", "mp3", "opus", "ogg"};
  return std::ranges::find(readable, codec) != std::end(readable);
}

// What the model is asked for, so that another kind can be made of it; none: nothing, since what
// it makes by itself can be read. Whole samples first: nothing is lost twice then.
struct Origin {
  std::optional<Offer> offer = std::nullopt;
};
std::optional<Origin> origin_of(const Draft& draft, const RoleInput* input, const std::string& own,
                                std::string_view wanted) {
  if (is_by_address(draft) || !is_listed(draft.options.converted_sounds, wanted))
    return std::nullopt;
  const auto offered = [&](std::string_view codec) { return offer_of(draft, input, codec); };
  for (const std::string_view whole : {"wav", "flac"}) {
    if (own == whole) return Origin{};
    if (auto offer = offered(whole)) return Origin{std::move(offer)};
  }
  if (is_readable(own)) return Origin{};
  for (const std::string_view other : {"mp3", "opus", "ogg"}) {
    if (auto offer = offered(other)) return Origin{std::move(offer)};
  }
  return std::nullopt;
}

Error not_made(const Draft& draft, const RoleInput* input, const std::string& own,
               std::string_view wanted) {
  const bool by_address = is_by_address(draft);
  std::vector<std::string> known;
  const auto add = [&](std::string_view word) {
    if (!word.empty() && std::ranges::find(known, word) == known.end()) known.emplace_back(word);
  };
  if (!by_address) add("mp3");
  for (const std::string_view word : {"mp3", "opus", "aac", "flac", "wav", "pcm"}) {
    if (own == word || offer_of(draft, input, word) || origin_of(draft, input, own, word))
      add(word);
    if (by_address) continue;
    const bool from_wav = own == "wav" || offer_of(draft, input, "wav").has_value();
    if (word == "pcm" && from_wav) add(word);
    if (word == "wav" && offer_of(draft, input, "pcm")) add(word);
  }
  if (known.empty()) add("mp3");  // whatever it makes
  std::string list;
  for (const std::string& word : known)
    list += fmt::format("{}'{}'", list.empty() ? "" : ", ", word);
  return {
      ErrorKind::unsupported_value,
      fmt::format("The model '{}' makes no '{}'. Supported values of 'response_format' are: {}.",
                  wording::shown(draft.request.model.value_or("")), wording::shown(wanted), list),
      std::string(field)};
}

bool is_set_by_operator(const Draft& draft, const RoleInput& input) {
  const std::string& name = outer_of(draft, input).name;
  return std::ranges::any_of(draft.settings.defaults,
                             [&](const auto& one) { return one.first == name; });
}

}  // namespace

std::optional<Error> send_sound_format(Draft& draft) {
  const RoleInput* input = draft.profile.find(Role::format);
  const std::optional<std::string>& asked = draft.request.output_format;
  if (!asked && input != nullptr && is_set_by_operator(draft, *input)) return std::nullopt;
  const std::string wanted = to_lower(asked.value_or("mp3"));
  draft.plan.output_format = asked ? std::optional(wanted) : std::nullopt;
  const std::string own = made_by_itself(draft, input);
  const std::string_view from = asked ? field : std::string_view();
  if (input != nullptr && is_said(draft, *input)) {
    if (asked) draft.note(field, fmt::format("'{}' has a value already", input->path));
    draft.plan.output_format.reset();
    return std::nullopt;
  }
  // The model's own word: "mp3_22050_32".
  if (const Json* exact = input == nullptr ? nullptr : find_listed(*input->field, wanted);
      exact != nullptr && wanted != "pcm") {
    if (*exact == input->field->default_value && !asked) return std::nullopt;
    send_at(draft, *input, *exact, from);
    return std::nullopt;
  }
  if (const auto offer = offer_of(draft, input, wanted)) {
    if (asked || offer->value != input->field->default_value) take(draft, *input, *offer, from);
    return std::nullopt;
  }
  if (own == wanted && wanted != "pcm") return std::nullopt;
  // Samples with a head and without one are the same.
  const bool by_address = is_by_address(draft);
  if (wanted == "pcm" && !by_address) {
    if (const auto offer = offer_of(draft, input, "wav")) {
      take(draft, *input, *offer, from);
      return std::nullopt;
    }
    if (own == "wav") return std::nullopt;
  }
  if (wanted == "wav" && !by_address) {
    if (const auto offer = offer_of(draft, input, "pcm")) {
      take(draft, *input, *offer, from);
      return std::nullopt;
    }
  }
  if (const auto origin = origin_of(draft, input, own, wanted)) {
    if (origin->offer) take(draft, *input, *origin->offer, from);
    draft.plan.output_format = wanted;
    if (asked) {
      draft.plan.mappings.push_back(
          {std::string(field), {}, Json::string(wanted), "made here of what the model makes"});
    }
    return std::nullopt;
  }
  if (wanted == "mp3") {
    if (asked && by_address) {
      draft.plan.output_format = own.empty() ? std::nullopt : std::optional(own);
      draft.note(field, own.empty() ? "what the model makes comes, which may be no mp3"
                                    : fmt::format("{} comes, which is what the model makes", own));
    } else if (asked) {
      draft.plan.mappings.push_back({std::string(field),
                                     {},
                                     Json::string(wanted),
                                     "the model makes what it makes: Content-Type tells"});
    }
    return std::nullopt;
  }
  return not_made(draft, input, own, wanted);
}

}  // namespace falproxy::inline v0::plan
