// table.hpp: columns for people.
#pragma once

#include <string>
#include <vector>

namespace falproxy::app {

/// Lines up the cells of `rows`, two blanks apart; a cell may hold several lines. The last column
/// is not padded. Control characters are shown as '?'.
[[nodiscard]] std::string table_text(const std::vector<std::vector<std::string>>& rows);

}  // namespace falproxy::app
