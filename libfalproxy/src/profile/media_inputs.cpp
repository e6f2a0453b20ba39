#include "profile/media_inputs.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <utility>

#include "base/text.hpp"
#include "profile/names.hpp"
#include "profile/shapes.hpp"
#include "profile/vocabulary.hpp"

namespace falproxy::inline v0::profile {
namespace {

using schema::Field;
using Tokens = std::vector<std::string_view>;

const Words& parts(std::string_view list) { return words("words", list); }
const Words& prose(std::string_view list) { return words("prose", list); }

bool any_of(const Words& list, const Tokens& tokens) {
  return std::ranges::any_of(tokens, [&](std::string_view token) { return list.has(token); });
}
bool all_of(const Words& list, const Tokens& tokens) {
  return std::ranges::all_of(tokens, [&](std::string_view token) { return list.has(token); });
}

struct MediumWords {
  Medium medium;
  const Words& nouns;
};
const auto& medium_words() {
  static const std::array all = {
      MediumWords{Medium::image, parts("image")},
      MediumWords{Medium::video, parts("video")},
      MediumWords{Medium::audio, parts("audio")},
      MediumWords{Medium::archive, parts("archive")},
      MediumWords{Medium::embedding, parts("embedding")},
      MediumWords{Medium::mesh, parts("mesh")},
  };
  return all;
}

std::optional<Medium> medium_of(std::string_view word) noexcept {
  for (const MediumWords& one : medium_words()) {
    if (one.nouns.has(word)) return one.medium;
  }
  return std::nullopt;
}

bool has_picture_limits(const schema::FalLimits& limits) {
  return limits.max_width || limits.max_height || limits.min_width || limits.min_height ||
         limits.min_aspect_ratio || limits.max_aspect_ratio;
}

// Does a property of this name take the address of a file (where its type lets it), and of which?
std::optional<Medium> named_medium(const MediaName& name, const Field& field) {
  const std::string description = to_lower(field.description);
  if (prose("archive").told_in(description) || any_of(parts("archive"), name.words))
    return name.address ? std::optional(Medium::archive) : std::nullopt;
  if (name.words.empty()) return name.address ? medium_told(description) : std::nullopt;
  const std::string_view noun = name.words.back();
  if (name.address) {
    if (any_of(parts("embedding"), name.words)) return Medium::embedding;
    if (const auto medium = medium_of(noun)) return medium;
    if (parts("no_medium").has(noun)) return std::nullopt;
    // "face_url": the noun alone does not tell.
    if (const auto medium = medium_in(name.words)) return medium;
    return medium_told(description);
  }
  // "image", "garment_image": the address of a picture, or words about one?
  const std::optional<Medium> medium = medium_of(noun);
  if (!medium) return std::nullopt;
  const bool limited = *medium == Medium::image && has_picture_limits(field.limits());
  return limited || prose("address").told_in(description) ? medium : std::nullopt;
}

bool takes_free_string(const Field& field) {
  if (!field.branches.empty()) return std::ranges::any_of(field.branches, takes_free_string);
  return field.types.string && field.allowed.empty();
}

Part part_of(Tokens tokens) {
  const bool mask = any_of(parts("mask"), tokens);
  std::erase_if(
      tokens, [&](std::string_view word) { return medium_of(word) || (!mask && is_number(word)); });
  if (mask) return all_of(parts("mask.plain"), tokens) ? Part::mask : Part::other;
  if (any_of(parts("control"), tokens)) return Part::control;
  if (any_of(parts("reference"), tokens)) return Part::reference;
  if (any_of(parts("last"), tokens)) return Part::last;
  return all_of(parts("source"), tokens) ? Part::source : Part::other;
}

// The greatest number that stands behind one of the phrases in a text of lower case, before one of
// `things` if there are some; none: 0.
std::size_t number_told(const std::string& text, const Words& phrases, const Words* things) {
  std::size_t greatest = 0;
  for (const Word& phrase : phrases) {
    for (std::size_t at = text.find(phrase.text); at != std::string::npos;
         at = text.find(phrase.text, at + 1)) {
      const char* const end = text.data() + text.size();
      std::size_t number = 0;
      const std::from_chars_result read =
          std::from_chars(text.data() + at + phrase.text.size(), end, number);
      const bool counts = things == nullptr || std::ranges::any_of(*things, [&](const Word& thing) {
                            return std::string_view(read.ptr, end).starts_with(" " + thing.text);
                          });
      if (read.ec == std::errc() && counts) greatest = std::max(greatest, number);
    }
  }
  return greatest;
}

void read_most_used(const Field& field, MediaInput& input) {
  if (!input.array || input.medium != Medium::image) return;
  const std::string text = to_lower(field.description);
  const std::size_t first = number_told(text, prose("most.first"), nullptr);
  const std::size_t last = number_told(text, prose("most.last"), nullptr);
  const std::size_t most = number_told(text, prose("most"), &prose("most.things"));
  input.uses_last = last > 0;
  for (const std::size_t told : {last, first, most}) {
    if (told == 0) continue;
    input.most_used = told;
    return;
  }
}

struct Member {
  const Field* field;
  Medium medium;
};

// The member of an object that holds the address of its file.
std::optional<Member> media_member(const Field& object) {
  for (const Field& member : object.properties) {
    if (!takes_free_string(member)) continue;
    const MediaName name = read_media_name(member.name);
    if (const auto medium = named_medium(name, member)) return Member{&member, *medium};
    if (name.words.empty() && name.address) return Member{&member, Medium::image};
  }
  for (const Field& branch : object.branches) {
    if (const auto member = media_member(branch)) return member;
  }
  return std::nullopt;
}

MediaInput as_input(const Field& field, const Field* array) {
  MediaInput input;
  input.name = field.name;
  input.array = array != nullptr && !takes_free_string(field);
  input.required = field.required;
  if (input.array) {
    input.min_items = std::max<std::size_t>(1, array->min_items.value_or(1));
    input.max_items = array->max_items.value_or(SIZE_MAX);
  }
  return input;
}

std::optional<MediaInput> as_media(const Field& field) {
  const MediaName name = read_media_name(field.name);
  const Field* array = array_of(field);
  const Field& value = array != nullptr ? *array->items : field;
  MediaInput input = as_input(field, array);
  if (input.max_items == 0) return std::nullopt;
  if (takes_free_string(field) || takes_free_string(value)) {
    const std::optional<Medium> medium = named_medium(name, field);
    if (!medium) return std::nullopt;
    input.medium = *medium;
    input.part = part_of(name.words);
    // Ideogram's image_urls lend their style, whatever their name promises.
    if (input.part == Part::source && !field.required &&
        prose("style").told_in(to_lower(field.description)))
      input.part = Part::reference;
    return input;
  }
  const std::optional<Member> member = media_member(value);
  if (!member) return std::nullopt;
  const MediaName inner = read_media_name(member->field->name);
  const std::optional<Medium> own = medium_in(name.words);
  if (!own && !named_medium(inner, *member->field)) return std::nullopt;
  input.member = member->field->name;
  input.medium = own.value_or(member->medium);
  Tokens tokens = name.words;
  tokens.insert(tokens.end(), inner.words.begin(), inner.words.end());
  input.part = part_of(std::move(tokens));
  // What else such an object needs, no request has: it is never where the picture to work on goes.
  if (!own && input.part == Part::source) input.part = Part::other;
  return input;
}

// A picture that becomes a video is its first frame, and several are what is to be seen in it.
void read_frames(const schema::ModelSchema& schema, MediaInput& input) {
  if (input.medium != Medium::image || input.part != Part::source) return;
  const Field* field = schema.input(input.name);
  const bool first = parts("first").any_in(input.name);
  const bool told = !first && prose("reference").told_in(to_lower(field->description));
  input.part = input.array || told ? Part::reference : Part::first;
}

// A sound that a text is spoken with is a voice, unless it lends a manner only.
void read_voices(const schema::ModelSchema& schema, MediaInput& input) {
  if (input.medium != Medium::audio && input.medium != Medium::embedding) return;
  const auto tells = [&](const Words& list) {
    return list.any_in(input.name) || list.any_in(input.member);
  };
  const bool speaks = schema.category == "text-to-speech";
  const bool sample = input.part == Part::source || input.part == Part::reference;
  if (tells(parts("manner"))) {
    input.part = Part::reference;
  } else if (tells(parts("voice")) || (speaks && sample)) {
    input.part = Part::voice;
  }
}

// What listens takes a sound, whatever its input is called: the one free text that it requires.
void take_only_text(const schema::ModelSchema& schema, std::vector<MediaInput>& media) {
  if (schema.category != "speech-to-text" && schema.category != "audio-to-text") return;
  const auto heard = [](const MediaInput& input) {
    return input.medium == Medium::audio || input.medium == Medium::video;
  };
  if (std::ranges::any_of(media, heard)) return;
  const Field* only = nullptr;
  for (const Field& field : schema.inputs) {
    if (!field.required || !takes_free_string(field)) continue;
    if (only != nullptr) return;
    only = &field;
  }
  if (only == nullptr) return;
  std::erase_if(media, [&](const MediaInput& input) { return input.name == only->name; });
  MediaInput input = as_input(*only, nullptr);
  input.medium = Medium::audio;
  input.part = Part::source;
  media.push_back(std::move(input));
}

// What is made of a picture takes one, whatever its input is called: each that must be there and
// whose name has a picture in it, or is that of an address.
void take_pictures(const schema::ModelSchema& schema, std::vector<MediaInput>& media) {
  if (!schema.category.starts_with("image-to-")) return;
  const auto begins = [](const MediaInput& input) {
    return input.medium == Medium::image && input.part != Part::mask && input.part != Part::last;
  };
  if (std::ranges::any_of(media, begins)) return;
  for (const Field& field : schema.inputs) {
    const MediaName name = read_media_name(field.name);
    const bool named = medium_in(name.words) == Medium::image ||
                       (name.address && !medium_in(name.words) &&
                        std::ranges::none_of(name.words, [](std::string_view word) {
                          return parts("no_medium").has(word);
                        }));
    const bool known = std::ranges::find(media, field.name, &MediaInput::name) != media.end();
    if (!field.required || !named || !takes_free_string(field) || known) continue;
    MediaInput input = as_input(field, nullptr);
    input.medium = Medium::image;
    input.part = part_of(name.words);
    media.push_back(std::move(input));
  }
}

}  // namespace

std::optional<Medium> medium_in(const Tokens& tokens) noexcept {
  for (auto word = tokens.rbegin(); word != tokens.rend(); ++word) {
    if (const auto medium = medium_of(*word)) return medium;
  }
  return std::nullopt;
}

std::optional<Medium> medium_told(std::string_view description) {
  const std::string text = to_lower(description);
  if (prose("image").told_in(text)) return Medium::image;
  if (prose("video").told_in(text)) return Medium::video;
  return prose("audio").told_in(text) ? std::optional(Medium::audio) : std::nullopt;
}

std::optional<MediaInput> media_input(const Field& field, Part part) {
  const Field* array = array_of(field);
  MediaInput input = as_input(field, array);
  input.part = part;
  const Field& value = array != nullptr ? *array->items : field;
  if (takes_free_string(field) || takes_free_string(value)) return input;
  const std::optional<Member> member = media_member(value);
  if (!member) return std::nullopt;
  input.member = member->field->name;
  return input;
}

std::vector<MediaInput> find_media(const schema::ModelSchema& schema, std::optional<Medium> makes) {
  std::vector<MediaInput> media;
  for (const Field& field : schema.inputs) {
    std::optional<MediaInput> input = as_media(field);
    if (!input) continue;
    read_most_used(field, *input);
    media.push_back(*std::move(input));
  }
  take_only_text(schema, media);
  take_pictures(schema, media);
  const auto is_source = [](const MediaInput& input) {
    return input.medium == Medium::image && input.part == Part::source;
  };
  if (std::ranges::none_of(media, is_source)) {
    const auto first = std::ranges::find_if(media, [](const MediaInput& input) {
      return input.medium == Medium::image && input.required && input.part != Part::mask;
    });
    if (first != media.end()) first->part = Part::source;
  }
  for (MediaInput& input : media) {
    // Many pictures in one file are what a result is to look like.
    if (input.medium == Medium::archive && input.part == Part::source) input.part = Part::reference;
    if (makes == Medium::video) read_frames(schema, input);
    read_voices(schema, input);
  }
  std::ranges::stable_sort(
      media, {}, [](const MediaInput& input) { return std::pair(!input.required, input.part); });
  return media;
}

std::string MediaInput::path() const {
  return name + (array ? "[]" : "") + (member.empty() ? "" : "." + member);
}

}  // namespace falproxy::inline v0::profile
