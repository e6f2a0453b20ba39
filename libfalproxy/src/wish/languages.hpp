// languages.hpp: the codes and English names of languages that are spoken.
#pragma once

#include <string_view>

namespace falproxy::inline v0 {

/// ISO 639-1 where there is one, ISO 639-3, and the name in lower case, as OpenAI writes them.
struct Language {
  std::string_view code, code3, name;
};

/// By a code, with or without a region ("en-US", "English (US)"), or by its name, in any case;
/// null: not known.
[[nodiscard]] const Language* find_language(std::string_view word) noexcept;

}  // namespace falproxy::inline v0
