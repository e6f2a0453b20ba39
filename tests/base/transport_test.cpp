#include "falproxy/transport.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

using namespace falproxy;

namespace {

// Plays one answer: a head, some pieces of a body, and an end.
class Script final : public Transport {
 public:
  HttpHead head{200, {}};
  std::vector<std::string> pieces = {};
  Result<Done, TransportError> end = Done{};
  std::size_t delivered = 0;

  Result<Done, TransportError> send(const HttpRequest&, TimePoint, std::stop_token,
                                    ResponseSink& sink) override {
    const TransportError stopped{TransportFault::cancelled, "the sink said no"};
    if (!sink.head(head)) return stopped;
    for (const std::string& piece : pieces) {
      ++delivered;
      if (!sink.data(piece)) return stopped;
    }
    return end;
  }
};

Result<HttpResponse, TransportError> get(Script& script, std::size_t max_bytes) {
  return fetch(script, HttpRequest{}, TimePoint::max(), {}, max_bytes);
}

}  // namespace

TEST_CASE("an answer is collected, whatever its status") {
  Script script;
  script.head = {404, {{"x", "y"}}};
  script.pieces = {"ab", "", "cd"};
  const auto response = get(script, 4);
  REQUIRE(response.has_value());
  CHECK(response->head.status == 404);
  CHECK(response->head.headers.find("X") == "y");
  CHECK(response->body == "abcd");
}

TEST_CASE("an answer that is too large is not read to its end") {
  Script script;
  SUBCASE("and says so at its head") {
    script.head.headers.add("Content-Length", "5");
    script.pieces = {"abcde"};
    const auto response = get(script, 4);
    REQUIRE_FALSE(response.has_value());
    CHECK(response.error().fault == TransportFault::too_large);
    CHECK(script.delivered == 0);
  }
  SUBCASE("and says nothing") {
    script.pieces = {"abc", "de", "fg"};
    const auto response = get(script, 4);
    REQUIRE_FALSE(response.has_value());
    CHECK(response.error().fault == TransportFault::too_large);
    CHECK(script.delivered == 2);
  }
  SUBCASE("and lies") {
    script.head.headers.add("Content-Length", "1");
    script.pieces = {"abcde"};
    CHECK(get(script, 4).error().fault == TransportFault::too_large);
  }
}

TEST_CASE("a fault of the transport is handed on") {
  Script script;
  script.pieces = {"ab"};
  script.end = TransportError{TransportFault::interrupted, "reset", false};
  const auto response = get(script, 4);
  REQUIRE_FALSE(response.has_value());
  CHECK(response.error().fault == TransportFault::interrupted);
  CHECK(response.error().message == "reset");
}
