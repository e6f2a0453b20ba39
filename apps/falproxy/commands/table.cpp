#include "commands/table.hpp"

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace falproxy::app {
namespace {

// Characters, as far as UTF-8 tells: bytes that do not continue one.
std::size_t width_of(std::string_view text) {
  const auto begins = [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; };
  return static_cast<std::size_t>(std::ranges::count_if(text, begins));
}

std::vector<std::string> lines_of(std::string_view cell) {
  std::vector<std::string> lines(1);
  for (const char c : cell) {
    if (c == '\n') {
      lines.emplace_back();
    } else {
      const bool control = static_cast<unsigned char>(c) < ' ' || c == '\x7f';
      lines.back() += control ? '?' : c;
    }
  }
  return lines;
}

}  // namespace

std::string table_text(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const std::vector<std::string>& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i + 1 < row.size(); ++i) {
      for (const std::string& line : lines_of(row[i])) {
        widths[i] = std::max(widths[i], width_of(line));
      }
    }
  }
  std::string text;
  for (const std::vector<std::string>& row : rows) {
    std::vector<std::vector<std::string>> cells;
    std::size_t height = 1;
    for (const std::string& cell : row) {
      cells.push_back(lines_of(cell));
      height = std::max(height, cells.back().size());
    }
    for (std::size_t k = 0; k < height; ++k) {
      std::string line;
      std::size_t column = 0;
      for (std::size_t i = 0; i < cells.size(); ++i) {
        const std::string part = k < cells[i].size() ? cells[i][k] : "";
        if (!part.empty()) {
          line.append(column - std::min(column, width_of(line)), ' ');
          line += part;
        }
        column += widths[i] + 2;
      }
      text += line + '\n';
    }
  }
  return text;
}

}  // namespace falproxy::app
