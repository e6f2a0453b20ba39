#include "schema/names.hpp"

#include <algorithm>
#include <array>

#include "base/text.hpp"

namespace falproxy::schema {
namespace {

template <std::size_t N>
using Words = std::array<std::string_view, N>;

constexpr Words<9> output_words = {"image",  "img",       "output", "picture", "canvas",
                                   "result", "generated", "final",  "frame"};

template <std::size_t N>
bool among(const Words<N>& words, std::string_view word) noexcept {
  return std::ranges::find(words, word) != words.end();
}

template <std::size_t N>
bool has_any(std::string_view name, const Words<N>& words) noexcept {
  bool any = false;
  for_each_part(name, '_', [&](std::string_view word) { any = any || among(words, word); });
  return any;
}

template <class... Lists>
bool has_only(std::string_view name, const Lists&... lists) noexcept {
  bool only = true;
  for_each_part(name, '_',
                [&](std::string_view word) { only = only && (among(lists, word) || ...); });
  return only;
}

}  // namespace

bool is_count_name(std::string_view name) noexcept {
  constexpr Words<6> counters = {"num", "number", "count", "n", "total", "per"};
  constexpr Words<8> things = {"images",   "outputs",    "samples",     "results",
                               "pictures", "variations", "generations", "variants"};
  constexpr Words<6> others = {"of", "to", "generate", "prompt", "request", "by"};
  const bool one_thing = has_any(name, Words<1>{"count"}) && has_any(name, output_words);
  return has_any(name, counters) && (has_any(name, things) || one_thing) &&
         has_only(name, counters, things, others, output_words);
}

bool is_format_name(std::string_view name) noexcept {
  constexpr Words<5> nouns = {"format", "extension", "ext", "type", "mime"};
  constexpr Words<5> others = {"file", "media", "export", "save", "download"};
  return has_any(name, nouns) && has_only(name, nouns, others, output_words);
}

bool is_prompt_name(std::string_view name) noexcept {
  constexpr Words<2> nouns = {"prompt", "prompts"};
  // No "image": what is called an image prompt is a picture.
  constexpr Words<10> others = {"text", "input",  "positive",   "main",   "user",
                                "edit", "custom", "generation", "target", "scene"};
  return has_any(name, nouns) && has_only(name, nouns, others);
}

bool is_size_name(std::string_view name) noexcept {
  constexpr Words<7> nouns = {"size",  "dimension",  "dimensions", "aspect",
                              "ratio", "resolution", "orientation"};
  constexpr Words<3> others = {"mode", "preset", "shot"};
  return has_any(name, nouns) && has_only(name, nouns, others, output_words);
}

std::optional<std::string_view> side_prefix(std::string_view name, std::string_view side) noexcept {
  if (!name.ends_with(side)) return std::nullopt;
  const std::string_view prefix = name.substr(0, name.size() - side.size());
  if (prefix.empty()) return prefix;
  const std::string_view word = prefix.substr(0, prefix.size() - 1);
  const bool known = prefix.ends_with('_') && (word == "target" || among(output_words, word));
  return known ? std::optional(prefix) : std::nullopt;
}

}  // namespace falproxy::schema
