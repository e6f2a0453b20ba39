#include "base/text.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/http_date.hpp"
#include "base/utf8.hpp"

using namespace falproxy;

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
