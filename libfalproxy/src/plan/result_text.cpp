#include "plan/result_text.hpp"

#include <charconv>
#include <utility>

#include "json/access.hpp"

namespace falproxy::inline v0::plan {
namespace {

constexpr std::size_t long_text = 512;
// What stands for a long string: the mark as JSON text, and as the parsed string. A result that
// spells the mark itself names one of its own long strings by it, which does no harm.
constexpr std::string_view mark_json = "\"\\u0001long:";
constexpr std::string_view mark = "\x01long:";

}  // namespace

Result<ResultText> ResultText::parse(std::shared_ptr<const std::string> body) {
  ResultText result;
  result.body_ = std::move(body);
  const std::string_view text = *result.body_;
  std::string reduced;
  std::size_t copied = 0;  // of `text`, up to here
  for (std::size_t begin = text.find('"'); begin != std::string_view::npos;) {
    const std::size_t end = find_string_end(text, begin + 1);
    if (end == std::string_view::npos) break;
    const std::string_view literal = text.substr(begin + 1, end - begin - 1);
    if (literal.size() >= long_text && stands_for_itself(literal)) {
      reduced.append(text.substr(copied, begin - copied));
      reduced.append(mark_json).append(std::to_string(result.long_texts_.size())).push_back('"');
      result.long_texts_.push_back(literal);
      copied = end + 1;
    }
    begin = text.find('"', end + 1);
  }
  reduced.append(text.substr(copied));
  Result<nlohmann::json> root = parse_raw(reduced, {64, 1'000'000});
  if (!root) return std::move(root).error();
  result.root_ = std::move(*root);
  return result;
}

Piece ResultText::text(const nlohmann::json& string) const {
  const auto& stored = string.get_ref<const std::string&>();
  if (stored.starts_with(mark)) {
    std::size_t index = 0;
    const char* const end = stored.data() + stored.size();
    const auto [stop, fault] = std::from_chars(stored.data() + mark.size(), end, index);
    if (fault == std::errc{} && stop == end && index < long_texts_.size())
      return {body_, long_texts_[index]};
  }
  auto owner = std::make_shared<const std::string>(stored);
  const std::string_view bytes = *owner;
  return {std::move(owner), bytes};
}

}  // namespace falproxy::inline v0::plan
