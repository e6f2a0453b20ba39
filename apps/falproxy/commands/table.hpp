// table.hpp: columns for people.
#pragma once

#include <string>
#include <vector>

namespace falproxy::app {

/// Lines up the cells of `rows`, two blanks apart. A cell may hold several lines; the last one of a
/// row goes as far as it needs. Control characters are shown as '?'.
[[nodiscard]] std::string table_text(const std::vector<std::vector<std::string>>& rows);

}  // namespace falproxy::app
