#include "base/text.hpp"

#include <doctest/doctest.h>

#include <charconv>
#include <chrono>
#include <string>
#include <vector>

#include "base/decimal.hpp"
#include "base/http_date.hpp"
#include "base/name_pattern.hpp"
#include "base/utf8.hpp"

using namespace falproxy;

TEST_CASE("a pattern's '*' stands for any characters, and for none") {
  struct Row {
    const char* pattern;
    const char* name;
    bool fits;
  };
  for (const Row& row : {Row{"*", "", true},
                         {"*", "flux", true},
                         {"gpt-image-*", "gpt-image-2", true},
                         {"gpt-image-*", "gpt-image-", true},
                         {"gpt-image-*", "gpt-image", false},
                         {"*-mini", "gpt-image-1-mini", true},
                         {"*-mini", "gpt-image-1-mini-2", false},
                         {"a*b*c", "a-b-b-c", true},
                         {"a*b*c", "a-c-b", false},
                         {"flux", "flux", true},
                         {"flux", "flux-2", false},
                         {"", "", true},
                         {"", "x", false}}) {
    CAPTURE(row.pattern);
    CAPTURE(row.name);
    CHECK(matches_pattern(row.pattern, row.name) == row.fits);
  }
}

TEST_CASE("a text falls into its parts, the empty ones too") {
  const auto parts = [](std::string_view text) {
    std::vector<std::string> found;
    for_each_part(text, ',', [&](std::string_view part) { found.emplace_back(part); });
    return found;
  };
  CHECK(parts("a,b") == std::vector<std::string>{"a", "b"});
  CHECK(parts("") == std::vector<std::string>{""});
  CHECK(parts(",a,,") == std::vector<std::string>{"", "a", "", ""});
}

TEST_CASE("letters are ASCII's, whatever the locale") {
  CHECK(to_lower("ABC\xC4xyz") == "abc\xC4xyz");
  CHECK(equal_ignoring_case("X-Fal", "x-fAL"));
  CHECK_FALSE(equal_ignoring_case("x-fal", "x-fal-"));
  CHECK(trim(" \t\r\n a b \n") == "a b");
  CHECK(trim(" \n").empty());
}

TEST_CASE("UTF-8 is told from other bytes") {
  for (const char* text : {"", "plain", "\xC3\xA9", "\xE2\x82\xAC", "\xED\x9F\xBF", "\xEE\x80\x80",
                           "\xF0\x9F\x90\xB1", "\xF4\x8F\xBF\xBF", "a\xC2\x80z"}) {
    CAPTURE(std::string(text));
    CHECK(is_utf8(text));
  }
  for (const char* text : {"\x80", "\xC3", "\xC3(", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\xAF",
                           "\xE2\x82", "\xED\xA0\x80", "\xF0\x80\x80\xAF", "\xF0\x9F\x90",
                           "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "a\xFE"}) {
    CAPTURE(std::string(text));
    CHECK_FALSE(is_utf8(text));
  }
}

TEST_CASE("a text is read character by character, and a byte that is none is told") {
  struct Case {
    std::string_view bytes;
    std::size_t length;
    std::optional<char32_t> code;
  };
  for (const Case& c :
       {Case{"a\x80", 1, U'a'}, Case{"\xC2\x9Bx", 2, 0x9b}, Case{"\u2028", 3, 0x2028},
        Case{"\U0001F431!", 4, 0x1f431}, Case{"\x9B", 1, {}}, Case{"\xE2\x80", 1, {}},
        Case{"\xED\xA0\x80", 1, {}}}) {
    CAPTURE(std::string(c.bytes));
    CHECK(first_character(c.bytes).length == c.length);
    CHECK(first_character(c.bytes).code == c.code);
  }
}

TEST_CASE("a long text is cut at a character's end, and says how much is left out") {
  CHECK(cut("", 5).empty());
  CHECK(cut("12345", 5) == "12345");
  CHECK(cut("123456", 5) == "12345... (1 bytes more)");
  CHECK(cut("123\u20AC56", 5) == "123... (5 bytes more)");
  CHECK(cut("1\U0001F431", 4) == "1... (4 bytes more)");
  CHECK(cut(std::string(20'000'000, 'x'), 100) ==
        std::string(100, 'x') + "... (19999900 bytes more)");
  // Bytes that are no text are cut, too.
  CHECK(cut("\x80\x80\x80\x80\x80\x80", 5).size() < 40);
}

TEST_CASE("an HTTP date is a point in time") {
  using namespace std::chrono;
  CHECK(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT") ==
        sys_days(1994y / November / 6) + hours(8) + minutes(49) + seconds(37));
  CHECK(parse_http_date("Thu, 01 Jan 1970 00:00:00 GMT") == sys_seconds{});
  CHECK(parse_http_date(" Sat, 29 Feb 2020 23:59:60 GMT ").has_value());
  for (const char* text : {"", "0", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
                           "Sun, 31 Feb 2020 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT",
                           "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET",
                           "Sun, -6 Nov 1994 08:49:37 GMT"}) {
    CAPTURE(std::string(text));
    CHECK_FALSE(parse_http_date(text).has_value());
  }
}

TEST_CASE("a decimal number is read the same, whatever the standard library has for it") {
  for (const std::string_view text : {"0",    "7",
                                      "-7",   "+7",
                                      "1.5",  ".5",
                                      "5.",   ".",
                                      "-",    "",
                                      "1e3",  "1E+3",
                                      "1e",   "1e-",
                                      "1.5s", "0x10",
                                      "inf",  "-inf",
                                      "nan",  "1e400",
                                      "1e-2", "12345678901234567890",
                                      "1,5",  " 1"}) {
    for (const std::chars_format format : {std::chars_format::general, std::chars_format::fixed}) {
      double one = 0;
      double other = 0;
      const auto read = read_decimal(text.data(), text.data() + text.size(), one, format);
      const auto by_stream =
          read_decimal_by_stream(text.data(), text.data() + text.size(), other, format);
      CAPTURE(text);
      CHECK(read.ec == by_stream.ec);
      CHECK(read.ptr - text.data() == by_stream.ptr - text.data());
      CHECK(one == other);
    }
  }
}
