#include <algorithm>
#include <utility>

#include "base/decimal.hpp"
#include "base/text.hpp"
#include "falproxy/chat_router.hpp"

namespace falproxy::inline v0::router {
namespace {

constexpr std::size_t longest_name = 8;  // "response"
constexpr std::size_t longest_number = 40;
constexpr std::string_view data_field = "data:";

bool is_of_number(char c) noexcept {
  return is_digit(c) || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E';
}

}  // namespace

void CostReader::feed(std::string_view bytes) {
  for (const char c : bytes) {
    if (!is_stream_) {
      read(c);
      continue;
    }
    if (c == '\n' || c == '\r') {
      if (line_ == Line::data) end_number();
      line_ = Line::begin;
      line_start_.clear();
      continue;
    }
    if (line_ == Line::begin) {
      line_start_ += c;
      if (line_start_ == data_field) {
        line_ = Line::data;
        depth_ = usage_depth_ = 0;
        in_string_ = escaped_ = false;
        number_.clear();
      } else if (!data_field.starts_with(line_start_)) {
        line_ = Line::other;
      }
    } else if (line_ == Line::data) {
      read(c);
    }
  }
}

void CostReader::read(char c) {
  if (!in_string_) return read_structure(c);
  if (escaped_) {
    escaped_ = false;
  } else if (c == '\\') {
    escaped_ = true;
  } else if (c == '"') {
    in_string_ = false;
    return;
  }
  if (text_.size() <= longest_name) text_ += c;
}

// What a client sent may come back in an answer (`tools`, `metadata`): only the answer's own
// `usage` counts, at the top or in the `response` of an event.
void CostReader::read_structure(char c) {
  if (is_of_number(c)) {
    if (usage_depth_ == depth_ && depth_ > 0 && key_ == "cost" && number_.size() < longest_number)
      number_ += c;
    return;
  }
  end_number();
  switch (c) {
    case '"':
      in_string_ = true;
      text_.clear();
      break;
    case ':':
      key_ = text_;
      if (depth_ == 1) outer_key_ = key_;
      break;
    case ',':
      key_.clear();
      break;
    case '{': {
      const bool is_own = depth_ == 1 || (depth_ == 2 && outer_key_ == "response");
      ++depth_;
      if (is_own && key_ == "usage") usage_depth_ = depth_;
      key_.clear();
      break;
    }
    case '[':
      ++depth_;
      key_.clear();
      break;
    case '}':
    case ']':
      if (usage_depth_ == depth_) usage_depth_ = 0;
      --depth_;
      key_.clear();
      break;
    default:
      break;
  }
}

void CostReader::end_number() {
  if (number_.empty()) return;
  double dollars = 0;
  const std::string text = std::exchange(number_, {});
  const auto [end, fault] = read_decimal(text.data(), text.data() + text.size(), dollars);
  if (fault == std::errc() && end == text.data() + text.size()) {
    if (const std::optional<Usd> amount = Usd::nearest(dollars)) cost_ = amount;
  }
}

}  // namespace falproxy::inline v0::router
