#include "server/debug_text.hpp"

#include <iterator>

#include "base/fmt.hpp"
#include "base/text.hpp"

namespace falproxy::app {

std::string without_base64(std::string_view text, std::size_t max_bytes) {
  constexpr std::size_t longest_word = 120;
  const auto is_base64 = [](char c) {
    return is_alnum(c) || c == '+' || c == '/' || c == '-' || c == '_' || c == '=';
  };
  std::string out;
  while (!text.empty() && out.size() < max_bytes) {
    std::size_t run = 0;
    while (run < text.size() && is_base64(text[run])) ++run;
    if (run > longest_word) {
      fmt::format_to(std::back_inserter(out), "[{} bytes]", run);
    } else {
      out.append(text.substr(0, run));
    }
    text.remove_prefix(run);
    if (!text.empty()) {
      out += text.front();
      text.remove_prefix(1);
    }
  }
  if (!text.empty()) fmt::format_to(std::back_inserter(out), "... ({} bytes more)", text.size());
  return out;
}

}  // namespace falproxy::app
