#include "base/printer.hpp"

#include "base/utf8.hpp"

namespace falproxy::inline v0 {

void print_quoted(std::ostream& out, std::string_view text) {
  constexpr std::size_t most = 400;
  out << '"';
  for (std::string rest = cut(text, most); const char c : rest) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out << "\\n";
    } else if (c == '"' || c == '\\') {
      out << '\\' << c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out << fmt::format("\\x{:02x}", byte);
    } else {
      out << c;
    }
  }
  out << '"';
}

}  // namespace falproxy::inline v0
