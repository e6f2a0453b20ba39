#include "plan/beside.hpp"

#include <algorithm>
#include <utility>

#include "json/access.hpp"
#include "profile/vocabulary.hpp"

namespace falproxy::inline v0::plan {
namespace {

// It goes into an answer as it is, so nothing may stand in it that JSON would have to escape.
bool is_plain_address(std::string_view text) noexcept {
  const bool is_http = text.starts_with("https://") || text.starts_with("http://");
  return is_http && std::ranges::all_of(
                        text, [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '\\'; });
}

}  // namespace

std::string address_beside(const ResultText& result, std::string_view list) {
  for (const profile::Word& word : profile::words("outputs", list)) {
    const nlohmann::json* found = member_of(result.root(), word.text);
    if (found == nullptr) continue;
    const nlohmann::json* const place = found->is_string() ? found : member_of(*found, "url");
    if (place == nullptr || !place->is_string()) continue;
    const Piece address = result.text(*place);
    if (is_plain_address(address.bytes)) return std::string(address.bytes);
  }
  return {};
}

std::string spritesheet_of(std::shared_ptr<const std::string> result) {
  const Result<ResultText> text = ResultText::parse(std::move(result));
  return text ? address_beside(*text, "spritesheet") : std::string();
}

}  // namespace falproxy::inline v0::plan
