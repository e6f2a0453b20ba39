#include "paging.hpp"

#include <algorithm>
#include <charconv>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/http.hpp"

namespace falproxy::app {
namespace {

// As in forms: '+' is a blank. What cannot be decoded stands for itself.
std::string decoded(std::string_view text) {
  std::string plain(text);
  std::ranges::replace(plain, '+', ' ');
  return percent_decode(plain).value_or(plain);
}

}  // namespace

std::string query_value(std::string_view target, std::string_view name) {
  const std::size_t mark = std::min(target.find('?'), target.size());
  std::string_view left = target.substr(mark);
  while (!left.empty()) {
    left.remove_prefix(1);
    const std::size_t end = std::min(left.find('&'), left.size());
    const std::string_view pair = left.substr(0, end);
    const std::size_t equals = std::min(pair.find('='), pair.size());
    if (decoded(pair.substr(0, equals)) == name)
      return decoded(pair.substr(std::min(equals + 1, pair.size())));
    left.remove_prefix(end);
  }
  return "";
}

Result<Page> page_of(const serving::RequestHead& head, std::size_t usual, std::size_t most) {
  Page page{.limit = usual, .after = query_value(head.target, "after")};
  if (const std::string limit = query_value(head.target, "limit"); !limit.empty()) {
    const char* const end = limit.data() + limit.size();
    const auto [read, fault] = std::from_chars(limit.data(), end, page.limit);
    if (fault != std::errc() || read != end || page.limit < 1 || page.limit > most) {
      return Error{.kind = ErrorKind::invalid_value,
                   .message = fmt::format("'limit' must be a whole number from 1 to {}.", most),
                   .field = "limit"};
    }
  }
  if (const std::string order = query_value(head.target, "order"); !order.empty()) {
    if (order != "asc" && order != "desc") {
      return Error{.kind = ErrorKind::invalid_value,
                   .message = "'order' must be 'asc' or 'desc'.",
                   .field = "order"};
    }
    page.oldest_first = order == "asc";
  }
  return page;
}

}  // namespace falproxy::app
