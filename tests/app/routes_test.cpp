#include "routes.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "answers.hpp"
#include "falproxy/result.hpp"
#include "handlers/handlers.hpp"
#include "log.hpp"
#include "process.hpp"
#include "serving/request.hpp"

namespace falproxy::app {
namespace {

TEST_CASE("every row of the table can be told from every other") {
  for (const auto table : {api_routes(), metrics_routes()}) {
    std::vector<serving::Route> routes;
    for (const RouteRow& row : table)
      routes.push_back({row.method, row.pattern,
                        [](serving::Request&) { return serving::Response(); }, row.name});
    const serving::Router router(routes);
    for (const RouteRow& row : table) {
      CAPTURE(row.pattern);
      const std::string address = "/v1/" + std::string(row.pattern);
      const serving::Match match = router.find(row.method, address);
      REQUIRE(match.route != nullptr);
      CHECK(match.route->pattern == row.pattern);
      CHECK(match.route->method == row.method);
      CHECK(row.name.starts_with('/'));
    }
  }
}

TEST_CASE("an error says when to try again, as far as the SDKs listen") {
  const auto fields = [](Error error) { return error_answer(error).fields; };
  CHECK(fields({.kind = ErrorKind::keys_resting, .message = "", .retry_after = Milliseconds(1500)})
            .find("retry-after: 2\r\nretry-after-ms: 1500\r\n") != std::string::npos);
  CHECK(fields({.kind = ErrorKind::keys_resting, .message = "", .retry_after = Seconds(300)})
            .find("retry-after: 60\r\n") != std::string::npos);
  CHECK(fields({.kind = ErrorKind::rate_limited, .message = "", .retry_after = Milliseconds(0)})
            .find("retry-after: 1\r\n") != std::string::npos);
  CHECK(fields({.kind = ErrorKind::overloaded, .message = ""}).find("retry-after: 1\r\n") !=
        std::string::npos);
  CHECK(fields({.kind = ErrorKind::overloaded, .message = ""}).find("x-should-retry") ==
        std::string::npos);
  CHECK(fields({.kind = ErrorKind::upstream_unreachable, .message = "", .submitted = true})
            .find("x-should-retry: false\r\n") != std::string::npos);
  CHECK(fields({.kind = ErrorKind::timed_out, .message = ""}).find("x-should-retry: false\r\n") !=
        std::string::npos);
}

TEST_CASE("a header's value cannot become another header") {
  std::string fields;
  append_safe_field(fields, "x-a", "b\r\nx-c: d");
  CHECK(fields == "x-a: bx-c: d\r\n");
}

TEST_CASE("a client may shorten its wait, not lengthen it") {
  const auto seconds = [](const std::string& fields) {
    RequestHead head;
    const std::string text = "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
    REQUIRE(parse_head(text, head).has_value());
    return std::chrono::duration<double>(deadline_of(head, TimePoint(), Seconds(600)) - TimePoint())
        .count();
  };
  CHECK(seconds("") == 600);
  CHECK(seconds("x-stainless-timeout: 60\r\n") == 60);
  CHECK(seconds("x-stainless-read-timeout: 0.5\r\nx-request-timeout: 7\r\n") == 0.5);
  CHECK(seconds("x-stainless-timeout: 6000\r\n") == 600);
  for (const char* nonsense : {"-1", "0", "nan", "inf", "NOT_GIVEN", "1s", ""}) {
    CAPTURE(nonsense);
    CHECK(seconds("x-stainless-timeout: " + std::string(nonsense) + "\r\n") == 600);
  }
}

TEST_CASE("who may send a request again without saying so") {
  const auto repeats = [](const std::string& fields) {
    RequestHead head;
    const std::string text = "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
    REQUIRE(parse_head(text, head).has_value());
    return may_repeat(head);
  };
  CHECK(repeats("X-Stainless-Lang: js\r\n"));
  CHECK(repeats("Idempotency-Key: a\r\n"));
  CHECK_FALSE(repeats("User-Agent: x-stainless-\r\n"));
}

TEST_CASE("a debug line shows a body without its pictures") {
  CHECK(without_base64(R"({"image":"data:image/png;base64,)" + std::string(500, 'A') +
                       R"(=","n":1})") == R"({"image":"data:image/png;base64,[501 bytes]","n":1})");
  CHECK(without_base64(std::string(300, ' '), 100).size() < 200);
}

TEST_CASE("fewer requests run at once where the system allows fewer") {
  const Capacity roomy = capacity(8000, {.descriptors = 20'000, .stacks = 32'000});
  CHECK(roomy.in_flight == 8000);
  CHECK(roomy.warning.empty());
  CHECK(roomy.connections >= 8000);
  const Capacity files = capacity(8000, {.descriptors = 1024, .stacks = 32'000});
  CHECK(files.in_flight == (1024 - 128) / 2);
  CHECK(files.warning.find("ulimit -n") != std::string::npos);
  CHECK(files.connections + static_cast<std::size_t>(files.in_flight) <= 1024);
  const Capacity stacks = capacity(8000, {.descriptors = 20'000, .stacks = 500});
  CHECK(stacks.in_flight == (500 - 64) / 2);
  CHECK(stacks.fibers == 500 - 64);
  CHECK(stacks.warning.find("vm.max_map_count") != std::string::npos);
  CHECK(capacity(10, {}).in_flight == 1);
  // What the system has room for is there when a reload raises the number.
  const Capacity low = capacity(10, {.descriptors = 20'000, .stacks = 32'000});
  CHECK(low.in_flight == 10);
  CHECK(low.fibers == roomy.fibers);
  CHECK(low.connections == roomy.connections);
}

}  // namespace
}  // namespace falproxy::app
