#include "profile/names.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "profile/vocabulary.hpp"

namespace falproxy::inline v0::profile {
namespace {

const Words& parts(std::string_view list) { return words("words", list); }

template <class... Lists>
bool has_only(std::string_view name, const Lists&... lists) noexcept {
  bool only = true;
  for_each_part(name, '_', [&](std::string_view word) { only = only && (lists.has(word) || ...); });
  return only;
}

}  // namespace

bool is_count_name(std::string_view name) noexcept {
  static const Words& counters = parts("count.counters");
  static const Words& things = parts("count.things");
  static const Words& links = parts("count.links");
  static const Words& made = parts("made");
  bool counted = false;
  for_each_part(name, '_', [&](std::string_view word) { counted = counted || word == "count"; });
  const bool one_thing = counted && made.any_in(name);
  return counters.any_in(name) && (things.any_in(name) || one_thing) &&
         has_only(name, counters, things, links, made);
}

bool is_format_name(std::string_view name) noexcept {
  static const Words& nouns = parts("format.nouns");
  static const Words& links = parts("format.links");
  static const Words& made = parts("made");
  return nouns.any_in(name) && has_only(name, nouns, links, made);
}

bool is_length_name(std::string_view name) noexcept {
  static const Words& nouns = parts("length.nouns");
  static const Words& links = parts("length.links");
  return nouns.any_in(name) && has_only(name, nouns, links, parts("count.counters"), parts("made"));
}

bool is_voice_name(std::string_view name) noexcept {
  static const Words& nouns = parts("voice");
  static const Words& links = parts("voice.links");
  return nouns.any_in(name) && has_only(name, nouns, links);
}

bool is_prompt_name(std::string_view name) noexcept {
  static const Words& nouns = parts("text.nouns");
  static const Words& links = parts("text.links");  // no "image": an image prompt is a picture
  return nouns.any_in(name) && has_only(name, nouns, links);
}

bool is_size_name(std::string_view name) noexcept {
  static const Words& nouns = parts("size.nouns");
  static const Words& links = parts("size.links");
  static const Words& made = parts("made");
  return nouns.any_in(name) && has_only(name, nouns, links, made);
}

std::optional<std::string_view> side_prefix(std::string_view name, std::string_view side) noexcept {
  static const Words& links = parts("side.links");
  static const Words& made = parts("made");
  if (!name.ends_with(side)) return std::nullopt;
  const std::string_view prefix = name.substr(0, name.size() - side.size());
  if (prefix.empty()) return prefix;
  const std::string_view word = prefix.substr(0, prefix.size() - 1);
  const bool known = prefix.ends_with('_') && (links.has(word) || made.has(word));
  return known ? std::optional(prefix) : std::nullopt;
}

std::string snake_case(std::string_view name) {
  std::string snake;
  char before = '_';
  for (const char c : name) {
    const bool begins = to_lower(c) != c && is_alnum(before) && to_lower(before) == before;
    if (begins) snake += '_';
    snake += c == '-' || c == ' ' ? '_' : to_lower(c);
    before = c;
  }
  return snake;
}

bool is_number(std::string_view word) noexcept { return std::ranges::all_of(word, is_digit); }

MediaName read_media_name(std::string_view name) {
  static const Words& address = parts("address");
  MediaName read;
  for_each_part(name, '_', [&](std::string_view word) {
    if (!word.empty()) read.words.push_back(word);
  });
  while (!read.words.empty() && (address.has(read.words.back()) || is_number(read.words.back()))) {
    read.address = read.address || !is_number(read.words.back());
    read.words.pop_back();
  }
  return read;
}

}  // namespace falproxy::inline v0::profile
