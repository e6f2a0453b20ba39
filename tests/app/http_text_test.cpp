#include "connection/http_text.hpp"

#include <doctest/doctest.h>

namespace falproxy::app {
namespace {

TEST_CASE("a date is written as RFC 9110 has it") {
  const auto date = [](std::time_t time) {
    std::string line;
    append_date(line, time);
    return line;
  };
  CHECK(date(784'111'777) == "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
  CHECK(date(951'782'400) == "Date: Tue, 29 Feb 2000 00:00:00 GMT\r\n");
}

TEST_CASE("a chunk says its size in hexadecimal") {
  CHECK(chunk("hello, wonderful you") == "14\r\nhello, wonderful you\r\n");
}

}  // namespace
}  // namespace falproxy::app
