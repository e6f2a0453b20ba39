#include "profile/vocabulary.hpp"

#include <algorithm>
#include <exception>

#include "base/text.hpp"
#include "json/access.hpp"
#include "profile/vocabulary_text.hpp"

namespace falproxy::inline v0::profile {
namespace {

using Raw = nlohmann::json;

Words read_words(const Raw& entries) {
  std::vector<Word> list;
  list.reserve(entries.size());
  for (const Raw& entry : entries) {
    list.push_back({entry[0].get<std::string>(), entry[1].get<int>(),
                    entry.size() > 2 ? entry[2].get<std::string>() : std::string()});
  }
  return Words(std::move(list));
}

std::vector<VocabularyList> read_vocabulary() {
  std::vector<VocabularyList> lists;
  const Raw root = Raw::parse(vocabulary_text, nullptr, false);
  for (const auto& [group, named] : root.items()) {
    if (!named.is_object()) continue;
    for (const auto& [name, entries] : named.items())
      lists.push_back({group, name, read_words(entries)});
  }
  return lists;
}

}  // namespace

std::optional<std::size_t> Words::rank(std::string_view word) const noexcept {
  const auto found = std::ranges::find(words_, word, &Word::text);
  if (found == words_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - words_.begin());
}

bool Words::any_in(std::string_view name) const noexcept {
  bool any = false;
  for_each_part(name, '_', [&](std::string_view part) { any = any || has(part); });
  return any;
}

bool Words::told_in(std::string_view text) const noexcept {
  return std::ranges::any_of(
      words_, [&](const Word& word) { return text.find(word.text) != std::string_view::npos; });
}

const std::vector<VocabularyList>& vocabulary() {
  static const std::vector<VocabularyList> lists = read_vocabulary();
  return lists;
}

const Words& words(std::string_view group, std::string_view list) {
  const auto found = std::ranges::find_if(vocabulary(), [&](const VocabularyList& one) {
    return one.group == group && one.name == list;
  });
  if (found == vocabulary().end()) std::terminate();  // a list that code asks for is compiled in
  return found->words;
}

bool same_word(std::string_view a, std::string_view b) noexcept {
  const auto plain = [](char c) { return c == '-' || c == '_' ? ' ' : to_lower(c); };
  return std::ranges::equal(a, b, {}, plain, plain);
}

bool says(const Words& list, std::string_view word) noexcept {
  return std::ranges::any_of(list, [&](const Word& one) { return same_word(one.text, word); });
}

}  // namespace falproxy::inline v0::profile
