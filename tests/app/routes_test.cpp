#include "server/routes.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "falproxy/result.hpp"
#include "process_limits.hpp"
#include "server/answers.hpp"
#include "server/body_memory.hpp"
#include "server/debug_text.hpp"
#include "server/images.hpp"

namespace falproxy::app {
namespace {

TEST_CASE("an address is normal whatever way it was written") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"/v1/models", "/models"},
      {"/models", "/models"},
      {"//v1///models//", "/models"},
      {"/v1", "/"},
      {"/v1/", "/"},
      {"/", "/"},
      {"/v1/v1/models", "/v1/models"},
      {"/%76%31/models", "/models"},
      {"/v1/models/a%2Fb", "/models/a/b"},
      {"/v10/models", "/v10/models"},
      {"/a%zz", "/%"},
      {"/models/a b", "/models/a b"},
  };
  for (const auto& [given, want] : cases) {
    const std::string path(given);
    CAPTURE(path);
    CHECK(normal_path(path) == want);
  }
}

TEST_CASE("a route is found by path and method") {
  CHECK(find_route("GET", "/health").route->id == RouteId::health);
  CHECK(find_route("HEAD", "/models").route->id == RouteId::models);
  CHECK(find_route("POST", "/images/edits").route->id == RouteId::edits);
  const RouteMatch model = find_route("GET", "/models/fal-ai/flux/dev");
  CHECK(model.route->id == RouteId::model);
  CHECK(model.rest == "fal-ai/flux/dev");
  CHECK(find_route("GET", "/images/edits").route == nullptr);
  CHECK(find_route("GET", "/images/edits").path_known);
  CHECK_FALSE(find_route("GET", "/nothing").path_known);
  CHECK(allowed_methods("/images/edits") == "POST, OPTIONS");
  CHECK(allowed_methods("/models") == "GET, HEAD, OPTIONS");
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

TEST_CASE("bodies share the memory that there is, and give it back") {
  BodyMemory memory(100);
  {
    BodyMemory::Share one(memory);
    CHECK(one.grow_to(60));
    CHECK(one.grow_to(50));
    BodyMemory::Share two(memory);
    CHECK_FALSE(two.grow_to(41));
    CHECK(two.grow_to(40));
    CHECK(memory.used() == 100);
  }
  CHECK(memory.used() == 0);
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
  const Capacity roomy =
      capacity(8000, {.descriptors = 20'000, .threads = 32'000, .stacks = 32'000});
  CHECK(roomy.in_flight == 8000);
  CHECK(roomy.warning.empty());
  CHECK(roomy.connections >= 8000);
  const Capacity files = capacity(8000, {.descriptors = 1024, .threads = 32'000, .stacks = 32'000});
  CHECK(files.in_flight == (1024 - 128) / 2);
  CHECK(files.warning.find("ulimit -n") != std::string::npos);
  CHECK(files.connections + static_cast<std::size_t>(files.in_flight) <= 1024);
  const Capacity stacks = capacity(8000, {.descriptors = 20'000, .threads = 32'000, .stacks = 500});
  CHECK(stacks.in_flight == (500 - 64) / 2);
  CHECK(stacks.threads + stacks.fibers <= 500 - 64);
  CHECK(stacks.fibers >= static_cast<std::size_t>(stacks.in_flight));
  CHECK(stacks.warning.find("vm.max_map_count") != std::string::npos);
  CHECK(capacity(10, {}).in_flight == 1);
  // What the system has room for is there when a reload raises the number.
  const Capacity low = capacity(10, {.descriptors = 20'000, .threads = 32'000, .stacks = 32'000});
  CHECK(low.in_flight == 10);
  CHECK(low.threads == roomy.threads);
  CHECK(low.fibers == roomy.fibers);
  CHECK(low.connections == roomy.connections);
}

TEST_CASE("where threads are few, only what needs one is limited") {
  const Capacity few = capacity(8000, {.descriptors = 20'000, .threads = 500, .stacks = 32'000});
  CHECK(few.in_flight == 8000);
  CHECK(few.threads == 500 - 64);
  CHECK(few.warning.find("436 edits and variations") != std::string::npos);
  CHECK(few.warning.find("ulimit -u") != std::string::npos);
}

}  // namespace
}  // namespace falproxy::app
