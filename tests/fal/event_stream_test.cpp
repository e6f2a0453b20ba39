#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "falproxy/fal.hpp"

using falproxy::fal::EventStreamReader;

namespace {

std::vector<std::string> read(std::string_view stream, std::size_t step) {
  EventStreamReader reader;
  std::vector<std::string> events;
  for (std::size_t at = 0; at < stream.size(); at += step) {
    const bool more = reader.feed(stream.substr(at, step), [&](std::string_view data) {
      events.emplace_back(data);
      return true;
    });
    CHECK(more);
  }
  return events;
}

}  // namespace

TEST_CASE("a stream is read alike however it is cut up") {
  struct Case {
    const char* name;
    const char* stream;
    std::vector<std::string> events;
  };
  const Case cases[] = {
      {"line feeds", "data: a\n\ndata: b\n\n", {"a", "b"}},
      {"carriage returns and line feeds", "data: a\r\n\r\ndata: b\r\n\r\n", {"a", "b"}},
      {"carriage returns", "data: a\r\rdata: b\r\r", {"a", "b"}},
      {"comments", ": ping\n\ndata: a\n: in between\n\n: ping\n\n", {"a"}},
      {"several data lines", "data: a\ndata: b\n\n", {"a\nb"}},
      {"no blank after the colon, two of them, no colon",
       "data:a\n\ndata:  b\n\ndata\n\n",
       {"a", " b", ""}},
      {"other fields", "event: x\nid: 1\nretry: 5\ndata: a\n\nevent: y\n\ndatabase: no\n\n", {"a"}},
      {"a byte order mark",
       "\xEF\xBB\xBF"
       "data: a\n\n",
       {"a"}},
      {"an end without a blank line", "data: a\n\ndata: lost\n", {"a"}},
      {"empty lines only", "\n\n\r\n\r\r", {}},
  };
  for (const Case& c : cases) {
    CAPTURE(std::string(c.name));
    for (const std::size_t step :
         {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{1000}}) {
      CAPTURE(step);
      CHECK(read(c.stream, step) == c.events);
    }
  }
}

TEST_CASE("an event that is too large ends the reader for good") {
  const auto ignore = [](std::string_view) { return true; };
  SUBCASE("in one line") {
    EventStreamReader reader(10);
    CHECK(reader.feed("data: 1234", ignore));
    CHECK_FALSE(reader.feed("5", ignore));
    CHECK_FALSE(reader.feed("\n\ndata: a\n\n", ignore));
  }
  SUBCASE("in many lines") {
    EventStreamReader reader(10);
    CHECK(reader.feed("data: 123\ndata: 456\n", ignore));
    CHECK_FALSE(reader.feed("data: 789\n", ignore));
  }
}

TEST_CASE("a reader that is told to stop stops at that event") {
  EventStreamReader reader;
  int seen = 0;
  CHECK_FALSE(reader.feed("data: a\n\ndata: b\n\n", [&](std::string_view) { return ++seen < 1; }));
  CHECK(seen == 1);
}
