// paging.hpp: lists that come in pages: ?limit=20&after=ID&order=desc.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "falproxy/result.hpp"
#include "serving/head.hpp"

namespace falproxy::app {

/// What part of a list is asked for.
struct Page {
  std::size_t limit = 0;
  std::string after = {};  ///< an id; empty: from the beginning
  bool oldest_first = false;
};

/// Errors: invalid_value of `limit` (1 to `most`) or `order` (asc, desc).
[[nodiscard]] Result<Page> page_of(const serving::RequestHead& head, std::size_t usual,
                                   std::size_t most);

/// A parameter of the address behind its '?', decoded; empty: it is not there.
[[nodiscard]] std::string query_value(std::string_view target, std::string_view name);

}  // namespace falproxy::app
