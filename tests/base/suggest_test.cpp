#include "falproxy/suggest.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using falproxy::nearest;

TEST_CASE("the nearest name is the one that the fewest slips of the keyboard turn into the text") {
  const std::vector<std::string_view> names{"--env", "--json", "--edits", "--model", "PORT"};
  struct Case {
    std::string text;
    std::string want;
  };
  for (const Case& c : {
           Case{"--env", "--env"},
           {"--evn", "--env"},      // two swapped
           {"--jsn", "--json"},     // one missing
           {"--jsson", "--json"},   // one too many
           {"--modal", "--model"},  // one wrong
           {"--MODEL", "--model"},
           {"port", "PORT"},
           {"--xyzzy", ""},
           {"TROP", ""},
           {"", ""},
           {"-", ""},
       }) {
    CAPTURE(c.text);
    CHECK(nearest(c.text, names) == c.want);
  }
}

TEST_CASE("of names that are equally near the first is suggested") {
  const std::vector<std::string_view> names{"flux-a", "flux-b"};
  CHECK(nearest("flux-c", names) == "flux-a");
}

TEST_CASE("long texts and long names are no slips of the keyboard") {
  const std::string text(100'000, 'a');
  const std::vector<std::string_view> names{text, "a"};
  CHECK(nearest(text, names).empty());
  CHECK(nearest("a", names) == "a");
  CHECK(nearest("a", {}).empty());
}
