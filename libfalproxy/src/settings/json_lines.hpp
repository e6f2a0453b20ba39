// json_lines.hpp: in which line of a JSON text a member stands, which JSON libraries do not tell.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace falproxy::inline v0 {

/// The names of members are as in the value, escapes resolved.
struct JsonLines {
  using Path = std::vector<std::string>;
  struct Repeat {
    Path path;
    int line = 0;
  };
  std::map<Path, int> lines =
      {};  ///< 1-based; members of the outer object, of the objects in it, and of those in them
  std::vector<Repeat> repeats = {};  ///< members whose name an earlier one of the same object has

  /// 0: not there.
  [[nodiscard]] int line_of(const Path& path) const;
};

/// Precondition: `text` is JSON.
[[nodiscard]] JsonLines json_lines(std::string_view text);

}  // namespace falproxy::inline v0
