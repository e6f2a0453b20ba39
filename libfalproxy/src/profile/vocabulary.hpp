// vocabulary.hpp: what names and words mean in fal's documents; vocabulary.json holds them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace falproxy::inline v0::profile {

struct Word {
  std::string text;
  int seen = 0;     ///< in how many of fal's documents
  std::string why;  ///< of a word that is seen in none: why it is here
};

/// A list of words, the likeliest first.
class Words {
 public:
  Words() = default;
  explicit Words(std::vector<Word> words) : words_(std::move(words)) {}

  [[nodiscard]] std::optional<std::size_t> rank(std::string_view word) const noexcept;
  [[nodiscard]] bool has(std::string_view word) const noexcept { return rank(word).has_value(); }
  /// Whether any part of a name, as '_' divides it, is one of them.
  [[nodiscard]] bool any_in(std::string_view name) const noexcept;
  /// Whether any of them stands somewhere in a text of lower case.
  [[nodiscard]] bool told_in(std::string_view text) const noexcept;

  [[nodiscard]] auto begin() const noexcept { return words_.begin(); }
  [[nodiscard]] auto end() const noexcept { return words_.end(); }

 private:
  std::vector<Word> words_;
};

/// One list of vocabulary.json: `group` is "inputs", "words", ... `list` must be there.
[[nodiscard]] const Words& words(std::string_view group, std::string_view list);

/// Every list with its group, for tests and for docs/mapping.md.
struct VocabularyList {
  std::string group, name;
  Words words;
};
[[nodiscard]] const std::vector<VocabularyList>& vocabulary();

/// The same but for case and "-", "_", " ".
[[nodiscard]] bool same_word(std::string_view a, std::string_view b) noexcept;
/// Whether a list of values has that word, however it is spelled.
[[nodiscard]] bool says(const Words& list, std::string_view word) noexcept;

}  // namespace falproxy::inline v0::profile
